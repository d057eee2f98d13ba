-- The module `cmod`: C functions from shared libraries, loaded, replaced and
-- unloaded while the server runs.
--
-- A library is a module; what its file was when it was loaded is an instance.
-- When the file has changed, the next `cmod.load()` gives a new instance; the
-- old one, an orphan from then on, lives until nobody holds it any more: its
-- handles, its functions, calls in progress. What runs is a private copy, so
-- overwriting the file cannot harm it.
--
-- A function is called with any values that can be told as MessagePack:
-- `func(...)` gives `true, ...`, a lone `true` when it returns nothing, or
-- `nil, err`. A failure inside is never thrown: the function's own error, an
-- argument that cannot be told, results that are not MessagePack, want of memory
-- are all `nil, err`; only calling an unloaded function throws (IllegalParams).
-- The call yields when the C function waits.
--
-- Handles are told apart by `tostring()`; fields are nil once it is unloaded,
-- and so are unknown ones. Collecting a handle unloads it.
local c = ...

local M = {}

local load, live = c.load, c.live

-- The module, when the helper process has survived it; else throws.
local function wait_for(probe, path)
    local status = c.probe_wait(probe)
    if status ~= 0 then
        c.failed(status)
    end
    return c.probe_finish(probe, path)
end

--- cmod.load(path, [options]) -> module
-- Load the library @path, which is written without its `.so`: a path with a
-- slash, or a name, whose dots are folders, that is looked for in the working
-- directory, in the trees `rocks/` there and in its parents, and in
-- `package.cpath`. A library that has not changed since it was last loaded is
-- not read again. Throws: IllegalParams (no path, not a string, empty),
-- SystemError (the file cannot be opened, read or stat'ed), ClientError (no such
-- module; not a loadable library), OutOfMemory. Yields: no.
--
-- @options is a table: with `probe` (true) a library that is not loaded yet is first loaded and
-- closed in a helper process. When that dies, or does not end within `timeout`
-- seconds (30), or takes more than `memory` bytes (1 GiB), load() throws a
-- ClientError that names the signal or the reason, and nothing of the library
-- has been in the server. What is loaded here then is the very copy that was
-- probed. Yields: with `probe`, yes.
function M.load(...)
    local path, options = ...
    local probe = options ~= nil and c.probe_new(path, options)
    if not probe then
        return load(...)
    end
    return wait_for(probe, path)
end

--- cmod.live(path, name, [options]) -> live_function
-- The function @name of the library @path (as for `cmod.load()`), which follows
-- its file: each call is made to the newest build that can be used, calls in
-- progress end on the old one. A build that stays
-- unusable (damaged, without the function, gone) is logged once, and the former
-- one goes on serving; calls try such a build again, after a while once a second.
-- Throws: as `cmod.load()` and `module:load()`. Yields: with `probe`, yes.
--
-- @options are those of `module:load()`: `offload`, `isolate`, `timeout`,
-- `memory` and `workers` say where calls run, and their limits; helper processes
-- are started anew for each build. With `probe` (true) each build, the first one
-- and those that come later, is loaded and closed in a helper process before it
-- is loaded here, with the usual limits of `cmod.load()`. live() waits for the
-- first. Calls wait for none: the former build serves until the new one has
-- passed, and goes on when it has not.
function M.live(...)
    local path, name, options = ...
    local probe = options ~= nil and c.probe_live(path, name, options)
    if not probe then
        return live(path, name, options)
    end
    return live(path, name, options, wait_for(probe, path))
end

--- cmod.watch(path, fn) -> watch
-- Call @fn with each new build of the library @path (as for `cmod.load()`), a
-- module as `cmod.load()` gives it: after the file was replaced, written into or
-- touched, or a link to it turned, and only when the new build could be loaded.
-- One that cannot is waited for; when it stays so, that is logged once. What
-- counts as known is what `cmod.load()` gave last, so that no build is lost in
-- between.
--
-- @fn runs in a fiber of its own and may wait. The next call comes when it has
-- ended, with the newest build; those in between are left out. Its errors are
-- logged and end nothing. A module it does not keep is unloaded when it is
-- collected.
--
-- A watch goes on, and keeps the process alive, until it is stopped, also when
-- its handle is not kept. Changes are told by the kernel, within a tenth of a
-- second or so; where it cannot, as on network file systems, within two.
-- Throws: IllegalParams (no path, no function), as `cmod.load()` when there is no
-- such module or its file cannot be read. Yields: no.
M.watch = c.watch

--- cmod.list() -> table
-- All instances alive in this process, oldest first, each a table: `id` (1, 2, ..:
-- no other one of this process has it), `path`, `file`, `state`, `version` (of
-- NEAP_MODULE), `device`, `inode`, `size`, `mtime`, `since` (loaded at),
-- `references`, `functions` (how many are held), `calls`, `errors`, `cpu` (seconds
-- of CPU time that its functions took) and `never_closes` (the system's loader
-- keeps it mapped for good). `state` is 'cached'
-- or 'orphan'; behind all others, what is mapped though nobody holds it: 'unloaded'.
-- `by_function` holds the same of each function that is held: `name`,
-- `references`, `calls`, `errors`, `cpu`; those let go of count in the sums alone.
-- `cpu` leaves out time asleep and counts offloaded calls and helper processes
-- (also one that was killed; up to a millisecond behind; without what it forks),
-- but not the work of `coio_call`. A call that takes more than 50 microseconds
-- is told by the thread's CPU clock, within 50 microseconds; a shorter one is as
-- long as it took, waits in the kernel included. Functions that take less than
-- about 400 nanoseconds and are called on end are measured one time in some 32,
-- and a long call among those is found by a look each millisecond: it is told
-- in full, or within some milliseconds when Lua worked for long beside it; one
-- of less than a millisecond may be missed, as may any on a machine that is too
-- busy for the look.
-- Yields: no.
M.list = c.list

return M
