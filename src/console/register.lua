-- A part of the module `console`: admin commands of scripts, and what they get.

local error, setmetatable, tostring, type = error, setmetatable, tostring, type
local tonumber, pairs = tonumber, pairs
local sleep = require('fiber').sleep

return function(c, M)

local usage = c.usage
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
        if n == nil or n == taken and n < size then
            local status = c_wait(self)
            if status ~= 0 then
                c.failed(status) -- cancelled, as one whose client has left is
            end
        end
        if n == nil then
            error('the operator has gone', 0)
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

local levels = { user = 0, operator = 1, admin = 2 }

--- console.command(line, [level]) -> string | nil, err
-- What the admin commands of @line answer, as an operator would be told: "show metrics" for a
-- page of metrics. @level is what they may do: 'user', if nothing is said, 'operator' or
-- 'admin'. In any worker. At most 16 MiB. Yields: yes. Throws: misuse; cancelled, and the
-- command is given up.
function M.command(line, level)
    if type(line) ~= 'string' then
        usage('console.command(line): a string is wanted, not ' .. type(line))
    end
    level = levels[level or 'user']
    if level == nil then
        usage("console.command(): level: 'user', 'operator' or 'admin'")
    end
    local ask = c.ask(level)
    local status = c.ask_begin(ask, line)
    if status ~= 0 then
        c.ask_end(ask)
        c.failed(status)
    end
    return c.ask_end(ask)
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

-- --- as HAProxy has them ---

-- What a command of core.register_cli() gets: an AppletTCP.
local applet = {}

--- applet:send(text) -> number
-- Tell the operator @text; how many bytes that were. Yields: maybe. Throws: the operator
-- has gone.
function applet:send(text)
    text = tostring(text)
    command.send(self, text)
    return #text
end

--- applet:getline() -> string
-- The next line of the payload, with its newline; '' at the end. Yields: no.
function applet:getline()
    return command.getline(self) or ''
end

--- applet:receive([size]) -> string
-- The rest of the payload, or @size bytes of it; '' at the end. Yields: no.
function applet:receive(size)
    local text, at = c_payload(self) or '', read[self] or 1
    local stop = size and at + tonumber(size) - 1 or #text
    read[self] = at + #text:sub(at, stop)
    return text:sub(at, stop)
end

--- applet:try_receive([size]) -> string
-- As `applet:receive()` of @size bytes: all of the payload is there. Yields: no.
applet.try_receive = applet.receive

--- applet:level() -> string
-- What the operator may do: "user", "operator" or "admin". Yields: no.
applet.level = c.command.level

-- What each has been given to keep.
local kept = setmetatable({}, { __mode = 'k' })

local function variables(self)
    local own = kept[self]
    if own == nil then
        own = { variables = {} }
        kept[self] = own
    end
    return own
end

--- applet:set_priv(value)
-- Keep a @value with this call. Yields: no.
function applet:set_priv(value)
    variables(self).private = value
end

--- applet:get_priv() -> any
-- What set_priv() was given. Yields: no.
function applet:get_priv()
    return variables(self).private
end

--- applet:set_var(name, value) -> boolean
-- Give the variable @name of this call a @value. Yields: no.
function applet:set_var(name, value)
    variables(self).variables[name] = value
    return true
end

--- applet:get_var(name) -> any
-- The value of the variable @name. Yields: no.
function applet:get_var(name)
    return variables(self).variables[name]
end

--- applet:unset_var(name) -> boolean
-- Forget the variable @name. Yields: no.
function applet:unset_var(name)
    variables(self).variables[name] = nil
    return true
end

local function is_done(v)
    return v ~= nil and v ~= false and v ~= 0
end

--- console.register_cli(path, usage, parse, [io_handler], [options])
-- An admin command by the conventions of HAProxy: @path is the list of the words of its
-- name, @usage its help. @parse(applet, word, ...) gets an AppletTCP and the words that were
-- typed, those of the name among them. Without an @io_handler it does all; with one it says
-- by what it returns whether it has: unless that is true, or a number that is not 0,
-- @io_handler(applet, word, ...) is called again and again, others between, until it returns
-- such a value. @options as of `console.register_command()`; the level is "operator", and the
-- command takes a payload, if nothing else is said. Yields: no. Throws: misuse; there is a
-- command of that name.
function M.register_cli(path, help, parse, io_handler, options)
    if type(io_handler) == 'table' and options == nil then
        io_handler, options = nil, io_handler
    end
    if type(path) ~= 'table' or type(help) ~= 'string' or type(parse) ~= 'function'
            or io_handler ~= nil and type(io_handler) ~= 'function'
            or options ~= nil and type(options) ~= 'table' then
        usage('console.register_cli({word, ...}, usage, parse[, io_handler]'
            .. '[, {level=, payload=}])')
    end
    local o = { level = 'operator', payload = true, help = help }
    for name, value in pairs(options or {}) do
        o[name] = value
    end
    c.register_command(path, io_handler == nil and parse or function(self, ...)
        local done = parse(self, ...)
        while not is_done(done) do
            done = io_handler(self, ...)
            sleep(0)
        end
    end, o, applet)
end

end
