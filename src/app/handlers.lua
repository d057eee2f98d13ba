-- Functions that scripts have registered, and how they are called (require
-- 'neap.handlers', which is no public module): directly, in a fiber of their own,
-- when they belong to this state, or by a call into the one they belong to.
local c = ...

local states = require('neap.states')

local local_call, local_wait, find = c.local_call, c.local_wait, c.find
local error, type, pcall, tostring = error, type, pcall, tostring
local ipairs = ipairs

local id = states.id
local M = {}

local own = {
    action = {}, fetch = {}, converter = {}, service = {}, filter = {},
    command = {},
}

-- What a function gets when it is called from another state: made by the module of
-- its first argument. serve[kind](call, object, head, ...): call(...) -> true, value |
-- false, text.
M.serve = {}

-- f(first, ...) in a fiber of its own, of this state: true, value | false, text. When it
-- begins to wait first:flush() is called, if there is one.
local function local_caller(kind, name, f)
    local record
    local function outcome(first, ok, value)
        if ok == true then
            return true, value
        elseif ok == nil then
            local flush = type(first) == 'table' and first.flush
            if flush then
                flush(first)
            end
            return outcome(first, local_wait(value))
        elseif ok == false then
            return false, value or 'not enough memory'
        end
        c.failed(ok)
    end
    return function(first, ...)
        record = record or find(kind, name)
        return outcome(first, local_call(record, f, first, ...))
    end
end

-- register(kind, name, f, note, [again]): in this state. @note is what the rules of all
-- states must know of it; @again: the function whose place is told when there was one
-- before (@f), or false: that is no mistake.
function M.register(kind, name, f, note, again)
    local serve, call = M.serve[kind], local_caller(kind, name, f)
    if again == nil then
        again = f
    end
    states.register(kind, name, function(object, ...)
        return serve(call, object, ...)
    end, note, again)
    own[kind][name] = call
end

-- settle(txn, after): what a function elsewhere tells besides its result. Remote.lua's.
M.settle = nil

-- An error of a call, as text; a cancel goes on.
local function outcome(txn, ok, value, after)
    if ok then
        if after ~= nil then
            ok, after = pcall(M.settle, txn, after)
            if not ok then
                return false, tostring(after)
            end
        end
        return true, value
    elseif type(value) == 'userdata' and value.type == 'FiberIsCancelled' then
        error(value, 0)
    end
    return false, tostring(value)
end

-- caller(kind, name) -> f, note, elsewhere | nil: f(txn, ...) -> true, value | false, text.
-- All states are loaded; nil: there is none. In this state the function gets the first
-- argument as it is, and when it begins to wait, first:flush() is called, if there is one;
-- elsewhere it gets what the request @txn is there.
function M.caller(kind, name)
    local record, shared, note = find(kind, name)
    if record == nil then
        return nil
    end
    local call = own[kind][name]
    if call then
        local where = ('%s \'%s\' in %s: '):format(kind, name,
            id == 0 and 'the shared state' or 'worker ' .. id)
        local function tell(ok, value)
            if not ok then
                value = where .. value
            end
            return ok, value
        end
        if kind == 'converter' then -- which gets its value alone
            return function(_, ...)
                return tell(call(...))
            end, note
        end
        return function(first, ...)
            return tell(call(first, ...))
        end, note
    end
    return function(txn, ...)
        local object = txn:object()
        return outcome(txn, pcall(object.call, object, kind, name, txn:head(),
            ...))
    end, note, true
end

-- commands() -> {{words = {}, level =, payload =, help =, run =}, ..}: those of the
-- console. run(command, ...) -> true | false, text: @command has send(), payload() and
-- level().
function M.commands()
    local list = {}
    for i, name in ipairs(c.names('command')) do
        local _, _, note = find('command', name)
        local level, payload, help = note:match('^(%S+) (%S+) (.*)$')
        local words, call = {}, own.command[name]
        for word in name:gmatch('%S+') do
            words[#words + 1] = word
        end
        local f = call and M.caller('command', name)
        list[i] = { words = words, level = level, payload = payload == 'true',
                    help = help, run = f and function(command, ...)
            return f(require('neap.cli').new(function(text)
                command:send(text)
            end, command:payload(), command:level()), ...)
        end or function(command, ...)
            return states.with_request(function(request, ...)
                request:set_priv(command)
                return outcome({}, pcall(request.call, request, 'command', name,
                    { payload = command:payload(), level = command:level() },
                    ...))
            end, ...)
        end }
    end
    return list
end

-- The names of all functions of a kind, by those that methods have: - . + are _.
local methods = {}

local function names_of(kind)
    local names = methods[kind]
    if names == nil then
        names = {}
        for _, name in ipairs(c.names(kind)) do
            names[name:gsub('[-.+]', '_')] = name
        end
        methods[kind] = names
    end
    return names
end

-- method(kind, name) -> f | nil: the function that a request has by the method @name,
-- lua_NAME or lua.NAME. As caller() gives it.
function M.method(kind, name)
    name = name:match('^lua[._](.+)$')
    if name == nil then
        return nil
    elseif find(kind, name) == nil then
        name = names_of(kind)[name]
    end
    if name then
        return M.caller(kind, name)
    end
end

return M
