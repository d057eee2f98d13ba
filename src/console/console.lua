-- The module `console`: the server's console, on its terminal and on sockets.
-- See doc/guide-console.md for the console itself.

local c = ...

local usage = c.usage

local error, setmetatable, tostring, type = error, setmetatable, tostring, type

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

-- --- commands of scripts ---

local c_send, c_wait, c_payload = c.command.send, c.command.wait,
    c.command.payload

local command = { level = c.command.level }

-- What was read of the payload, for getline().
local read = setmetatable({}, { __mode = 'k' })

--- command:send(text) -> true
-- Tell the operator @text. Waits while so much is unread that no more is kept.
-- Yields: maybe. Throws: the operator has gone.
function command:send(text)
    text = tostring(text)
    local taken, size = 0, #text
    repeat
        local n = c_send(self, text, taken)
        if n == nil then
            error('the operator has gone', 0)
        elseif n == taken and n < size then
            local status = c_wait(self)
            if status ~= 0 then
                c.failed(status)
            end
        end
        taken = n
    until taken == size
    return true
end

--- command:payload() -> string | nil
-- The lines behind "<<", each with its newline; nil: none were given. Yields: no.
command.payload = c_payload

--- command:level() -> string | nil
-- What the operator may do: "user", "operator" or "admin"; nil: he has gone. Yields: no.

--- command:getline() -> string | nil
-- The next of these lines, with its newline; nil: there are no more. Yields: no.
function command:getline()
    local text, at = c_payload(self) or '', read[self] or 1
    local stop = text:find('\n', at, true)
    if stop == nil then
        return nil
    end
    read[self] = stop + 1
    return text:sub(at, stop)
end

--- console.register_command(words, f, [options])
-- An admin command of this application: @words is the list of the one to five words
-- of its name. In a fiber @f is called with a command object and the words that were
-- typed, those of the name among them; it tells the operator what it has by
-- `command:send(text)`. What it throws is told to him, and logged. A client that
-- vanishes has it cancelled.
-- @options: `level`, the least ("admin"); `help`, a line; `payload`, true: it takes lines
-- behind "<<". With several workers it is worker 1 that has it: in the others nothing
-- is done. Yields: no. Throws: misuse; there is a command of that name.
function M.register_command(words, f, options)
    if type(words) ~= 'table' or type(f) ~= 'function' or
       options ~= nil and type(options) ~= 'table' then
        usage('console.register_command({word, ...}, f[, {level=, help=, '
            .. 'payload=}])')
    end
    c.register_command(words, f, options or {}, command)
end

return M
