-- Lua's library io, print() and the functions of os that may block, anew: the C
-- half is lua_io.c. See the page `io`.

--- The page `io`: files, in fibers.
--
-- Lua's library io, `print()` and the functions of os that may block give the
-- same results as ever, but where they would keep every fiber waiting, only the
-- one that calls them waits: for a pipe, a terminal or a child, or for a thread
-- of the pool that works for it (`offload.threads`). Where a fiber cannot wait (in
-- a `__lt` that `table.sort` calls) they block.
--
-- Fibers that use the same file take turns. A cancelled fiber leaves at once: what
-- it was writing is written to its end, a command goes on and is reaped, and a
-- file it was opening is closed. Functions of io and os are on the page `lua`.
--
-- The C half gives true and the results, or a status, which is thrown.

local c = ...

local failed, methods, default, EPIPE = c.failed, c.methods, c.default, c.EPIPE
local stdin, stdout = c.stdin, c.stdout
local error, type, select, unpack = error, type, select, unpack

local input, output = stdin, stdout

local function settle(ok, ...)
    if ok ~= true then
        failed(ok)
    end
    return ...
end

--- io.open(path [, mode]) -> file | nil, text, errno
-- As Lua's. The file at @path is opened on another thread, with @mode as in
-- fopen(3), and no child of ours gets it. Yields: until it is open.
function io.open(path, mode)
    return settle(c.open(path, mode))
end

--- io.popen(command [, mode]) -> file | nil, text, errno
-- As Lua's: a shell runs @command, whose output is read (@mode `r`) or whose
-- input is written (`w`). `file:close()` waits for its end. See also the module
-- `popen`. Yields: until it has started.
function io.popen(command, mode)
    return settle(c.popen(command, mode))
end

--- io.tmpfile() -> file | nil, text, errno
-- As Lua's. Yields: until it is open.
function io.tmpfile()
    return settle(c.tmpfile())
end

--- io.type(value) -> 'file' | 'closed file' | nil
-- As Lua's: what @value is. Yields: no.
function io.type(...)
    return settle(c.type(...))
end

-- The next result of an iterator, or its end.
local function next_of(file, close, ok, value, err, ...)
    if ok ~= true then
        failed(ok)
    elseif value == nil then
        if type(err) == 'string' then
            error(err, 2)
        elseif close then
            settle(c.close(file))
        end
    end
    return value, err, ...
end

local function lines_of(file, close, ...)
    local n = select('#', ...)
    if n == 0 then
        return function()
            return next_of(file, close, c.read(file))
        end
    end
    local formats = { ... }
    return function()
        return next_of(file, close, c.read(file, unpack(formats, 1, n)))
    end
end

--- file:read(...) -> values | nil, text, errno
-- As Lua's. What is in memory is given at once, of a regular file too; else
-- the fiber waits for the pipe or terminal, or for a thread that reads. Fibers
-- that read the same file take turns. A read that is cancelled before its
-- thread has begun takes nothing. Yields: until there is something.
function methods.read(...)
    return settle(c.read(...))
end

--- file:write(...) -> true | nil, text, errno
-- As Lua's. What does not fit into the buffer is written by another thread: a
-- slow reader holds up this fiber alone. Output that was begun is written to its
-- end, also when the fiber is cancelled. Yields: while the buffer is full.
function methods.write(...)
    return settle(c.write(...))
end

--- file:flush() -> true | nil, text, errno
-- As Lua's. Yields: until it is written.
function methods.flush(...)
    return settle(c.flush(...))
end

--- file:seek([whence] [, offset]) -> position | nil, text, errno
-- As Lua's: @whence is `set`, `cur` or `end`, and @offset counts from there.
-- Yields: until what was buffered is written.
function methods.seek(...)
    return settle(c.seek(...))
end

--- file:setvbuf(mode [, size]) -> true | nil, text, errno
-- As Lua's: @mode is `full`, `line` or `no`; @size is left to the system.
-- Yields: no.
function methods.setvbuf(...)
    return settle(c.setvbuf(...))
end

--- file:close() -> true | nil, text, errno
-- As Lua's. One of io.popen waits for the end of its child; cancelled, the
-- file is closed all the same. Yields: until it is done.
function methods.close(...)
    return settle(c.close(...))
end

--- file:lines(...) -> function
-- As Lua's: each call reads by the formats given. Yields: no; the function does,
-- as `file:read()`.
function methods.lines(file, ...)
    settle(c.check(file))
    return lines_of(file, false, ...)
end

--- io.lines([path] [, ...]) -> function
-- As Lua's, for the file at @path, which is closed at its end; without one, for
-- the default input. Yields: until it is open; the function as `file:read()`.
function io.lines(path, ...)
    if path == nil then
        settle(default.check(input))
        return lines_of(input, false, ...)
    end
    local file, err = settle(c.open(path))
    if file == nil then
        error(("bad argument #1 to 'lines' (%s)"):format(err), 2)
    end
    return lines_of(file, true, ...)
end

--- io.read(...) -> values | nil, text, errno
-- `file:read()` of the default input. Yields: as that does.
function io.read(...)
    return settle(default.read(input, ...))
end

--- io.write(...) -> true | nil, text, errno
-- `file:write()` of the default output. Yields: as that does.
function io.write(...)
    return settle(default.write(output, ...))
end

--- io.flush() -> true | nil, text, errno
-- `file:flush()` of the default output. Yields: as that does.
function io.flush()
    return settle(default.flush(output))
end

--- io.close([file]) -> true | nil, text, errno
-- `file:close()` of @file or the default output. Yields: as that does.
function io.close(file)
    if file == nil then
        return settle(default.close(output))
    end
    return settle(c.close(file))
end

-- A file of a name, or the file itself.
local function file_of(file, mode, name)
    if type(file) == 'string' or type(file) == 'number' then
        local opened, err = settle(c.open(file, mode))
        if opened == nil then
            error(("bad argument #1 to '%s' (%s)"):format(name, err), 3)
        end
        return opened
    end
    settle(c.check_default(file))
    return file
end

--- io.input([file]) -> file
-- As Lua's: the default input, after it was set to @file, a file or the name of
-- one, if there is any. Yields: while a name is opened.
function io.input(file)
    if file ~= nil then
        input = file_of(file, 'r', 'input')
    end
    return input
end

--- io.output([file]) -> file
-- As Lua's: the default output, after it was set to @file, a file or the name of
-- one, if there is any. Yields: while a name is opened.
function io.output(file)
    if file ~= nil then
        output = file_of(file, 'w', 'output')
    end
    return output
end

io.stdin, io.stdout, io.stderr = stdin, stdout, c.stderr

local function after_print(ok, errno)
    if ok ~= true then
        failed(ok)
    elseif errno == EPIPE then
        c.broken()
    end
end

--- print(...)
-- As Lua's, but for a standard output that is a pipe nobody reads any more:
-- a main script that is still running ends as quietly as SIGPIPE would end it;
-- a server whose main script is over goes on. The line is one: no other thread
-- writes into it, and what is printed keeps its order with what is written to
-- `io.stdout`. Into a terminal, or a pipe that is full, a thread writes, and
-- this fiber waits until it has: the others do not.
-- Yields: when the buffer of standard output is full, or is a terminal.
function print(...)
    after_print(c.print(stdout, ...))
end

--- os.execute([command]) -> status
-- As Lua's: a shell runs @command; the status is as of wait(2). Without one: 1,
-- there is a shell. A fiber that is cancelled does not wait for the end; the
-- command is not killed. Yields: until it has ended.
function os.execute(command)
    return settle(c.execute(command))
end

--- os.remove(path) -> true | nil, text, errno
-- As Lua's: delete the file or the empty folder at @path. Yields: until it is
-- done.
function os.remove(path)
    return settle(c.remove(path))
end

--- os.rename(from, to) -> true | nil, text, errno
-- As Lua's: the file @from is now @to. Yields: until it is done.
function os.rename(from, to)
    return settle(c.rename(from, to))
end

--- os.tmpname() -> path
-- As Lua's: a new, empty file in /tmp. Yields: until it is made.
function os.tmpname()
    return settle(c.tmpname())
end
