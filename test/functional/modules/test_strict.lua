-- The module strict: what Tarantool's does.
local tap = require('tap')
local strict = require('strict')

local function get(name)
    return function() return _G[name] end
end
local function set(name)
    return function() _G[name] = 1 end
end

tap.is(get('never')(), nil, 'nothing is strict yet')
first = 1
strict.on()
tap.throws(get('never'), "test_strict.lua:6: variable 'never' is not declared", 'read')
tap.throws(set('never'), "assign to undeclared variable 'never'", 'written')
tap.throws(loadstring('return never'), "'never' is not declared", 'a chunk reads')
tap.is(first, 1, 'what was there')
tap.is(get('first')(), 1, 'also for functions')
second = 2
tap.is(get('second')(), 2, 'what a main chunk has set')
loadstring('third = nil')()
tap.is(get('third')(), nil, 'be it nil')
set('third')()
tap.is(third, 1, 'may be set then')
second = nil
tap.is(get('second')(), nil, 'and be nil again')
tap.is(rawget(_G, 'never'), nil, 'rawget is free')
rawset(_G, 'fourth', 4)
tap.is(get('fourth')(), 4, 'and rawset')
tap.throws(get(1), "variable '1' is not declared", 'any key')
tap.ok(pcall(require, 'http.server'), "the server's own modules")
local own = setfenv(function() return nothing end, {})
tap.is(own(), nil, 'other environments are free')
strict.on()

strict.off()
tap.is(get('never')(), nil, 'off')
set('fifth')()
strict.on()
tap.is(get('fifth')(), 1, 'on again')
strict.off()
setmetatable(_G, { __tostring = function() return 'mine' end, __index = math })
strict.on()
tap.is(tostring(_G), 'mine', "the application's metatable stays")
tap.throws(get('never'), 'is not declared', 'and is strict')
strict.off()
tap.is(tostring(_G), 'mine', 'after it, too')
tap.is(getmetatable(_G).__newindex, nil, 'and is not')
tap.done()
