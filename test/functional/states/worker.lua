-- Functions of the workers' states, for test_states.sh and test_load.sh.
local states = require('neap.states')

local register = states.register

assert(states.id >= 1 and states.id <= states.count)
require('states_common')('P')

-- A function with the number that the shared state's has: of another body.
counter = states.id * 1000000
register('action', 'own-count', function()
    counter = counter + 1
    return states.id, counter
end)

register('fetch', 'P-nest', function(r, text)
    return 'P(' .. r:call('converter', 'upper', text) .. ')'
end)
register('action', 'P-deep', function(r, n)
    return r:call('action', 'S-deep', n + 1)
end)
