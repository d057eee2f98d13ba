-- The module `console`: the server's console, on its terminal and on sockets.
-- See doc/guide-console.md for the console itself.

local c = ...

local usage = c.usage

local type, error = type, error

local M = {}

--- console.start() -> true | nil, err
-- Open the console on standard input and wait until the user has left it; the
-- script goes on then. It cannot be opened twice at a time, and with several
-- workers in worker 1 alone. Yields: yes.
-- Throws: cancelled, and the console is closed.
function M.start()
    local status, err = c.start_begin()
    if status == nil then
        return nil, err
    end
    c.start_end()
    if status ~= 0 then
        c.failed(status)
    end
    return true
end

--- console.listen(path) -> console_server | nil, err
-- Serve the console on a unix socket: @path, which may also be written
-- 'unix/:PATH'. Its file has mode 0600: who may open it may run anything here.
-- The file of a server that is gone is replaced. The server works on without
-- its object, and keeps the process running. With several workers it is worker
-- 1 that serves: in the others this gives a server that is closed. Yields: no.
function M.listen(path)
    if type(path) ~= 'string' or path == '' then
        usage(('console.listen(path): a path is wanted, not %s')
            :format(path == '' and 'an empty string' or type(path)))
    end
    path = path:gsub('^unix/:', '')
    if path:find('^%d+$') or path:find('^[%w%.%-]*:%d+$') then
        usage(("console.listen('%s'): only unix sockets are served")
            :format(path))
    end
    return c.listen(path)
end

return M
