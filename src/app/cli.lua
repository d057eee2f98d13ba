-- What a console command of core.register_cli() gets: HAProxy's class AppletTCP, whose
-- output goes to the operator and whose input is the payload (require 'neap.cli', which is
-- no public module).
local rawget, setmetatable, tonumber, tostring = rawget, setmetatable, tonumber,
    tostring

local CLI = {}
local cli_mt = { __index = CLI, __tostring = function() return 'AppletTCP' end }

-- new(send, payload, level) -> applet: @send(text) tells the operator.
local function new(send, payload, level)
    return setmetatable({ write = send, input = payload or '', at = 1,
                          operator = level, variables = {} }, cli_mt)
end

function CLI:send(text)
    text = tostring(text)
    self.write(text)
    return #text
end

local function take(self, to)
    local text = self.input:sub(self.at, to)
    self.at = self.at + #text
    return text
end

function CLI:getline()
    return take(self, self.input:find('\n', self.at, true))
end

function CLI:receive(size)
    return take(self, size and self.at + tonumber(size) - 1)
end

CLI.try_receive = CLI.receive

function CLI:level()
    return self.operator
end

function CLI:set_priv(value)
    self.private = value
end

function CLI:get_priv()
    return rawget(self, 'private')
end

function CLI:set_var(name, value)
    self.variables[name] = value
    return true
end

function CLI:get_var(name)
    return self.variables[name]
end

function CLI:unset_var(name)
    local there = self.variables[name] ~= nil
    self.variables[name] = nil
    return there
end

return { new = new }
