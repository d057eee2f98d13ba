-- The module `console`: the server's console, on its terminal and on sockets.
local c = ...

local type, error, getmetatable = type, error, getmetatable

local M = {}

--- Open the console on standard input and wait until the user has left it.
-- One at a time in the process. Returns true; or nil and an error when it
-- cannot be opened. Yields. Throws 'fiber is cancelled'.
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

--- Serve the console on a unix socket: @path, also written 'unix/:PATH'. Its
-- file has mode 0600; the one of a server that is gone is replaced. Returns an
-- object with the method close() and the field path; or nil and an error.
function M.listen(path)
    if type(path) ~= 'string' or path == '' then
        error(('console.listen(path): a path is wanted, not %s')
            :format(path == '' and 'an empty string' or type(path)), 2)
    end
    path = path:gsub('^unix/:', '')
    if path:find('^%d+$') or path:find('^[%w%.%-]*:%d+$') then
        error(("console.listen('%s'): only unix sockets are served")
            :format(path), 2)
    end
    return c.listen(path)
end

return M
