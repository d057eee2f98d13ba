-- The module `fio`: files and folders.
--
-- Names, arguments and return values are those of Tarantool's public
-- documentation. No function keeps other fibers waiting: a thread of the pool
-- does the work (`offload.threads`), and a pipe or a terminal is waited for by the
-- loop. Where a fiber cannot wait (a callback of `table.sort`) they block.
--
-- What the system refuses is `false, err` or `nil, err`, and `errno()` has the
-- reason. A fiber that is cancelled, or whose time is over, leaves at once: what
-- has begun on a thread is done to its end, and a file that was being opened is
-- closed. Where a mode or flags are wanted, a number will do, a name of `fio.c`, or
-- an array of such names.
local c = ...

local ffi = require('ffi')

local M = {
    --- fio.c -> table
    -- The system's constants: `fio.c.flag.O_RDONLY`, `fio.c.mode.S_IRUSR`,
    -- `fio.c.seek.SEEK_SET` and their like.
    c = c.c,
}

local failed, usage, file = c.failed, c.usage, c.file

local function settle(ok, ...)
    if ok ~= true then
        failed(ok)
    end
    return ...
end

-- --- names; these do not wait ---

local function check_string(v, text)
    if type(v) ~= 'string' then
        usage('Usage: ' .. text)
    end
end

--- fio.pathjoin(...) -> string
-- The arguments, with one slash between each two. Yields: no.
function M.pathjoin(...)
    local parts = {}
    for i = 1, select('#', ...) do
        local part = select(i, ...)
        if type(part) ~= 'string' and type(part) ~= 'number' then
            usage('Usage: fio.pathjoin(part[, part...])')
        elseif part ~= '' then
            parts[#parts + 1] = part
        end
    end
    if #parts == 0 then
        return '.'
    end
    local path = table.concat(parts, '/'):gsub('//+', '/')
    if #path > 1 then
        path = path:gsub('/$', '')
    end
    return path
end

--- fio.basename(path, [suffix]) -> string
-- The last part of @path, without @suffix if it ends so. Yields: no.
function M.basename(path, suffix)
    local text = 'fio.basename(path[, suffix])'
    check_string(path, text)
    local name = path:match('([^/]*)$')
    if suffix ~= nil then
        check_string(suffix, text)
        if #suffix > 0 and name:sub(-#suffix) == suffix then
            name = name:sub(1, -#suffix - 1)
        end
    end
    return name
end

--- fio.dirname(path) -> string
-- @path without its last part: `/a` of `/a/b` and of `/a/b/`; `.` when there is but
-- one part. Yields: no.
function M.dirname(path)
    check_string(path, 'fio.dirname(path)')
    local bare = path:match('^(.-)/*$')
    if bare == '' then
        return path == '' and '.' or '/'
    end
    local dir = bare:match('^(.*)/')
    if dir == nil then
        return '.'
    end
    dir = dir:match('^(.-)/*$')
    return dir == '' and '/' or dir
end

--- fio.cwd() -> string | nil, err
-- The process's current folder. Yields: no.
function M.cwd()
    return settle(c.cwd())
end

--- fio.abspath(path) -> string
-- @path from the root, without `.` and `..` in it; links are not looked at. Yields: no.
-- Throws: there is no current folder any more.
function M.abspath(path)
    check_string(path, 'fio.abspath(path)')
    if path:sub(1, 1) ~= '/' then
        local cwd, err = M.cwd()
        if cwd == nil then
            error(err)
        end
        path = cwd .. '/' .. path
    end
    local parts = {}
    for part in path:gmatch('[^/]+') do
        if part == '..' then
            parts[#parts] = nil
        elseif part ~= '.' then
            parts[#parts + 1] = part
        end
    end
    return '/' .. table.concat(parts, '/')
end

--- fio.umask([mask]) -> number
-- What is taken off the mode of new files, before it became @mask, if there is one.
-- It is the whole process's: all workers'. Yields: no.
function M.umask(mask)
    return settle(c.umask(mask))
end

-- --- numbers by their names ---

local function number_of(what, names, default, kind)
    if what == nil then
        return default
    elseif type(what) == 'number' then
        return what
    elseif type(what) ~= 'table' then
        what = {what}
    end
    local sum = 0
    for _, name in ipairs(what) do
        local value = type(name) == 'number' and name or names[name]
        if value == nil then
            usage(('fio: unknown %s: %s'):format(kind, tostring(name)))
        end
        sum = bit.bor(sum, value)
    end
    return sum
end

local function mode_of(mode, default)
    return number_of(mode, M.c.mode, default, 'mode')
end

-- --- what a file is ---

local kinds = {
    is_fifo = 0x1000,
    is_chr = 0x2000,
    is_dir = 0x4000,
    is_blk = 0x6000,
    is_reg = 0x8000,
    is_link = 0xa000,
    is_sock = 0xc000,
}

local stat_methods = {}
for name, kind in pairs(kinds) do
    stat_methods[name] = function(st)
        if type(st) ~= 'table' or type(st.mode) ~= 'number' then
            usage(('Usage: stat:%s()'):format(name))
        end
        return bit.band(st.mode, 0xf000) == kind
    end
end
local stat_meta = {__index = stat_methods}

local function as_stat(st, err)
    if st == nil then
        return nil, err
    end
    return setmetatable(st, stat_meta)
end

--- fio.stat(path) -> table | nil, err
-- fio.lstat(path) -> table | nil, err
-- What the system knows of @path: `dev`, `inode`, `mode`, `nlink`, `uid`, `gid`, `rdev`,
-- `size`, `blksize`, `blocks`, and the times `atime`, `mtime` and `ctime` in seconds,
-- with their fractions. `st:is_reg()`, `is_dir()`, `is_link()`, `is_fifo()`,
-- `is_sock()`, `is_chr()` and `is_blk()` say which kind it is. `stat` follows
-- links, `lstat` tells of them. Yields: until it is done.
function M.stat(path)
    return as_stat(settle(c.stat(path)))
end

function M.lstat(path)
    return as_stat(settle(c.lstat(path)))
end

--- fio.path -> table
-- Questions about a path, each answered by a boolean: `fio.path.exists(path)`, there is
-- something, and be it what a link leads to; `lexists`, the same or a link that
-- leads nowhere; `is_file`, `is_dir`, it is or leads to a file, a folder; `is_link`,
-- it is a symbolic link. Each waits until it is done.
M.path = {}

function M.path.exists(path)
    return M.stat(path) ~= nil
end

function M.path.lexists(path)
    return M.lstat(path) ~= nil
end

function M.path.is_file(path)
    local st = M.stat(path)
    return st ~= nil and st:is_reg()
end

function M.path.is_dir(path)
    local st = M.stat(path)
    return st ~= nil and st:is_dir()
end

function M.path.is_link(path)
    local st = M.lstat(path)
    return st ~= nil and st:is_link()
end

-- --- one call of the system ---

--- fio.mkdir(path, [mode]) -> boolean, err
-- Make the folder @path, with @mode (0777 unless given) less the mask. Yields: until
-- it is done.
function M.mkdir(path, mode)
    return settle(c.mkdir(path, mode_of(mode)))
end

--- fio.rmdir(path) -> boolean, err
-- Delete the empty folder @path. Yields: until it is done.
function M.rmdir(path)
    return settle(c.rmdir(path))
end

--- fio.chdir(path) -> boolean, err
-- Make @path the current folder: of the whole process, all workers. Yields: until
-- it is done.
function M.chdir(path)
    return settle(c.chdir(path))
end

--- fio.unlink(path) -> boolean, err
-- Delete the file or link @path. Yields: until it is done.
function M.unlink(path)
    return settle(c.unlink(path))
end

--- fio.rename(old, new) -> boolean, err
-- What is at @old is at @new from now on; what was there is gone. Yields: until it
-- is done.
function M.rename(old, new)
    return settle(c.rename(old, new))
end

--- fio.link(target, path) -> boolean, err
-- Another name, @path, for the file @target. Yields: until it is done.
function M.link(target, path)
    return settle(c.link(target, path))
end

--- fio.symlink(target, path) -> boolean, err
-- A link at @path that leads to @target. Yields: until it is done.
function M.symlink(target, path)
    return settle(c.symlink(target, path))
end

--- fio.readlink(path) -> string | nil, err
-- Where the link @path leads. Yields: until it is done.
function M.readlink(path)
    return settle(c.readlink(path))
end

--- fio.chmod(path, mode) -> boolean, err
-- Give @path that @mode. Yields: until it is done.
function M.chmod(path, mode)
    return settle(c.chmod(path, mode_of(mode)))
end

--- fio.chown(path, owner, group) -> boolean, err
-- Give @path to @owner and @group: numbers, or names (one that nobody has is
-- EINVAL). Yields: until it is done.
function M.chown(path, owner, group)
    return settle(c.chown(path, owner, group))
end

--- fio.truncate(path, [length]) -> boolean, err
-- Cut the file @path, or make it grow with zero bytes, to @length (0 unless given).
-- Yields: until it is done.
function M.truncate(path, length)
    return settle(c.truncate(path, length))
end

--- fio.utime(path, [atime], [mtime]) -> boolean, err
-- Set when @path was read last, to @atime (now, unless given), and changed last, to
-- @mtime (the same unless given), in seconds since 1970. Yields: until it is done.
function M.utime(path, atime, mtime)
    atime = atime == nil and require('fiber').time() or atime
    return settle(c.utime(path, atime, mtime == nil and atime or mtime))
end

--- fio.sync() -> boolean
-- Have the system write all that it keeps for all disks. Yields: until it is done.
function M.sync()
    return settle(c.sync())
end

--- fio.tempdir() -> string | nil, err
-- A new folder, ours alone, in the one that the environment's `TMPDIR` names, or in
-- /tmp. Nobody deletes it. Yields: until it is made.
function M.tempdir()
    local where = os.getenv('TMPDIR')
    if where == nil or where == '' then
        where = '/tmp'
    end
    return settle(c.tempdir(where .. '/XXXXXX'))
end

-- --- many ---

local function split(names)
    local list, at = {}, 1
    while at <= #names do
        local stop = names:find('\0', at, true)
        list[#list + 1] = names:sub(at, stop - 1)
        at = stop + 1
    end
    return list
end

--- fio.listdir(path) -> table | nil, err
-- The names of what is in the folder @path, in no order. Yields: until it is done.
function M.listdir(path)
    local names, err = settle(c.listdir(path))
    if names == nil then
        return nil, err
    end
    return split(names)
end

--- fio.glob(pattern) -> table | nil, err
-- The paths that match @pattern, by the rules of glob(3), sorted; a backslash is
-- itself. Yields: until it is done.
function M.glob(pattern)
    local names, err = settle(c.glob(pattern))
    if names == nil then
        return nil, err
    end
    return split(names)
end

--- fio.mktree(path, [mode]) -> boolean, text
-- Make the folder @path and those above it that are missing, with @mode (0777 unless
-- given) less the mask. Yields: until it is done.
function M.mktree(path, mode)
    return settle(c.mktree(path, mode_of(mode)))
end

--- fio.rmtree(path) -> boolean, text
-- Delete the folder @path and all that is in it, up to 256 folders deep; links are
-- deleted, not followed. Yields: until it is done.
function M.rmtree(path)
    return settle(c.rmtree(path))
end

--- fio.copyfile(from, to) -> boolean, text
-- Copy the file @from, with its mode, to @to: a path, or a folder, where it gets the
-- same name. What was there is replaced; onto itself it is refused. Yields: until it
-- is done.
function M.copyfile(from, to)
    return settle(c.copyfile(from, to))
end

--- fio.copytree(from, to) -> boolean, text
-- Copy the files, folders and links that are in the folder @from into the folder @to,
-- which is made if it is missing, up to 256 folders deep. Anything else that is
-- met, and a @to inside @from, is a failure. Yields: until it is done.
function M.copytree(from, to)
    return settle(c.copytree(from, to))
end

-- --- open files ---

--- fio.open(path, [flags], [mode]) -> fh | nil, err
-- Open the file @path as @flags say: names like `O_RDWR`, `O_CREAT`, `O_TRUNC`,
-- `O_APPEND`, `O_EXCL`; only to be read, unless given. A new file gets @mode (0777
-- unless given) less the mask. No child of ours gets it. A handle that is collected
-- is closed. Yields: until it is open.
function M.open(path, flags, mode)
    return settle(c.open(path, number_of(flags, M.c.flag, 0, 'flag'),
        mode_of(mode)))
end

local methods = {}

local function is_buffer(v)
    return type(v) == 'cdata'
end

-- What was read, into the memory of the caller.
local function fill(buffer, data, err)
    if data == nil then
        return nil, err
    end
    ffi.copy(buffer, data, #data)
    return #data
end

local function check_count(count, text)
    if type(count) ~= 'number' or not (count >= 0) then
        usage('Usage: ' .. text)
    end
end

--- fh:read([count]) -> string | nil, err
-- The next @count bytes, or all to the end; fewer at the end, and from a pipe or a
-- terminal what there is. `fh:read(buffer, count)` puts them into memory of the FFI
-- that has room, and the result is how many there were. A state with a memory limit does
-- not read more than that is. Yields: until it is done.
function methods:read(count, size)
    if is_buffer(count) then
        check_count(size, 'fh:read(buffer, count)')
        return fill(count, settle(file.read(self, size)))
    end
    return settle(file.read(self, count))
end

--- fh:pread(count, offset) -> string | nil, err
-- As `fh:read()`, but @count bytes from @offset on; the position of the file stays.
-- `fh:pread(buffer, count, offset)` puts them into memory of the FFI. Yields: until it is done.
function methods:pread(count, offset, at)
    if is_buffer(count) then
        check_count(offset, 'fh:pread(buffer, count, offset)')
        check_count(at, 'fh:pread(buffer, count, offset)')
        return fill(count, settle(file.read(self, offset, at)))
    end
    check_count(count, 'fh:pread(count, offset)')
    check_count(offset, 'fh:pread(count, offset)')
    return settle(file.read(self, count, offset))
end

--- fh:write(data) -> boolean, err
-- Write all of @data; `fh:write(buffer, count)` takes bytes from memory of the FFI.
-- Cancelled before a thread has
-- begun it nothing is written; into a pipe or a terminal, what it took until then.
-- Yields: until it is done.
function methods:write(data, count)
    if is_buffer(data) then
        check_count(count, 'fh:write(buffer, count)')
        data = ffi.string(data, count)
    end
    return settle(file.write(self, data))
end

--- fh:pwrite(data, offset) -> boolean, err
-- Write all of @data from @offset on; the position of the file stays.
-- `fh:pwrite(buffer, count, offset)` takes bytes from memory of the FFI. Yields: until it is done.
function methods:pwrite(data, count, offset)
    if is_buffer(data) then
        check_count(count, 'fh:pwrite(buffer, count, offset)')
        data, count = ffi.string(data, count), offset
    end
    check_count(count, 'fh:pwrite(data, offset)')
    return settle(file.write(self, data, count))
end

--- fh:seek(offset, [whence]) -> number | nil, err
-- Go to @offset from @whence: `SEEK_SET`, the beginning, unless given; `SEEK_CUR`,
-- where it stands; `SEEK_END`. The result is the new position. Yields: until it is
-- done.
function methods:seek(offset, whence)
    if type(whence) == 'string' then
        local name = whence
        whence = M.c.seek[name]
        if whence == nil then
            usage('fh:seek(): unknown whence: ' .. name)
        end
    end
    return settle(file.seek(self, offset, whence))
end

--- fh:stat() -> table | nil, err
-- As `fio.stat()`, of the open file. Yields: until it is done.
function methods:stat()
    return as_stat(settle(file.stat(self)))
end

--- fh:truncate([length]) -> boolean, err
-- As `fio.truncate()`, to @length, of the open file. Yields: until it is done.
function methods:truncate(length)
    return settle(file.truncate(self, length))
end

--- fh:fsync() -> boolean, err
-- Have the system write what it keeps of the file to the disk. Yields: until it is
-- done.
function methods:fsync()
    return settle(file.fsync(self))
end

--- fh:fdatasync() -> boolean, err
-- The same, but not when it was read and changed. Yields: until it is done.
function methods:fdatasync()
    return settle(file.fdatasync(self))
end

--- fh:close() -> boolean, err
-- Close it: nothing can be done with the handle any more. Where other fibers still
-- work on the file, it is closed when they have done. Yields: until it is done.
function methods:close()
    return settle(file.close(self))
end

local meta = c.meta

--- fh.fh -> number
-- The descriptor's number; -1 when it is closed.
function meta.__index(self, key)
    local method = methods[key]
    return method == nil and key == 'fh' and file.fd(self) or method
end

function meta.__tostring(self)
    return 'fh: ' .. file.fd(self)
end

function meta.__serialize(self)
    return {fh = file.fd(self)}
end

return M
