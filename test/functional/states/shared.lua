-- Functions of the shared state, for test_states.sh and test_load.sh.
local fiber = require('fiber')
local states = require('neap.states')

local register = states.register

assert(states.id == 0)
require('states_common')('S')

-- One for the whole process.
counter = 0
register('action', 'count', function()
    counter = counter + 1
    return counter
end)

-- What the workers' functions call, and the way back.
register('converter', 'upper', function(_, text)
    return text:upper()
end)
register('action', 'S-nest', function(r, text)
    local before = r:get_priv()
    r:set_priv('nesting')
    local out = r:call('fetch', 'P-nest', text)
    assert(r:get_priv() == 'nesting')
    r:set_priv(before)
    return 'S(' .. out .. ')'
end)
-- For ever, unless somebody counts.
register('action', 'S-deep', function(r, n)
    return r:call('action', 'P-deep', n + 1)
end)

-- A queue inside the state serves all workers, and so does a pipe.
local queue = fiber.channel(1000)
register('action', 'put', function(_, v)
    return queue:put(v, 10)
end)
register('action', 'get', function()
    return queue:get(10)
end)
-- Sets, not counters: a function may be made to give way between reading and
-- writing.
local function size(set)
    local n = 0
    for _ in pairs(set) do n = n + 1 end
    return n
end
local got = {}
register('action', 'got', function(_, v)
    assert(not got[v], 'got twice')
    got[v] = true
end)
register('fetch', 'got', function()
    return size(got)
end)
local pipe
states.init(function()
    pipe = io.popen('seq 1000')
end)
register('action', 'pipe-line', function()
    return pipe:read('*l')
end)

local finished = {}
register('action', 'finish', function(_, id)
    finished[id] = true
end)
register('action', 'finished', function()
    return size(finished)
end)
register('action', 'pipe-close', function()
    pipe:close()
end)

-- Spins until told, whoever else wants the state.
fiber.set_limits('command', {}) -- none
stop = false
local spinning = {}
register('command', 'spin-until-stopped', function()
    local me = fiber.self()
    spinning[me] = true
    while not stop do end
    spinning[me] = nil
end)
register('action', 'stop', function()
    stop = true
end)
register('action', 'spinning', function()
    return size(spinning)
end)
