-- What `make bench` measures. A source is one thing that is run: ours, its
-- limit and its peers, of those that there are, in turn; a row is one number of
-- a source, beside one peer, and what it is to reach. Those of servers are in
-- figures_network.lua.

local network = require('figures_network')
local programs = require('programs')

local tarantool = { 'peer' }

local sources = {
    { name = 'create', kind = 'micro', peers = tarantool },
    { name = 'switch', kind = 'micro', peers = tarantool },
    { name = 'channel', kind = 'micro', peers = tarantool },
    { name = 'idle 100 k', kind = 'micro', args = { 'idle', '100000' },
      quick_args = { 'idle', '10000' }, peers = tarantool },
    { name = 'idle 1 M', kind = 'micro', args = { 'idle', '1000000' },
      rounds = 3, quick_args = { 'idle', '10000' } },
    { name = 'delay', kind = 'delay', spinners = 0, seconds = 0.7, rounds = 3,
      peers = tarantool },
    { name = 'delay, 1 spins', kind = 'delay', spinners = 1, seconds = 0.7,
      rounds = 3, peers = tarantool },
    { name = 'delay, 10 spin', kind = 'delay', spinners = 10, seconds = 0.7,
      rounds = 3, peers = tarantool },
    { name = 'start', kind = 'start', peers = tarantool },
    { name = 'cmod_noop', kind = 'micro', peers = tarantool, module = true },
    { name = 'cmod_sum', kind = 'micro', peers = tarantool, module = true },
    { name = 'cmod_echo', kind = 'micro', peers = tarantool, module = true },
    { name = 'cmod_offload', kind = 'micro' },
    { name = 'cmod_offload_many', kind = 'micro' },
    { name = 'cmod_isolate', kind = 'micro' },
    { name = 'cmod_cached', kind = 'micro', peers = tarantool, module = true },
    { name = 'cmod_uncached', kind = 'micro', peers = tarantool, module = true },
    { name = 'msgpack_encode', kind = 'micro', bytes = true, peers = tarantool },
    { name = 'msgpack_decode', kind = 'micro', bytes = true, peers = tarantool },
}
network.add_sources(sources)
programs.add_sources(sources)

-- reach: `share` of the limit, `times` the peer, `ours` itself, or no more than
-- `over` the limit; in the figure's own unit before scaling.
local function row(name, source, key, unit, scale, better, reach)
    return { name = name, source = source, key = key, unit = unit,
             scale = scale, better = better, reach = reach or {} }
end

-- The peer cannot hold as many.
local function without_peer(r)
    r.no_peer = true
    return r
end

-- How late a fiber wakes that sleeps, and one that waits for a line.
local function delay_rows(rows, source, beside, reach)
    for _, wait in ipairs({ 'sleep', 'line' }) do
        for _, part in ipairs({ 'p50', 'p99' }) do
            rows[#rows + 1] = row(
                ('%s late%s, %s'):format(wait, beside, part), source,
                wait .. '_' .. part, 'ms', 1e3, 'less',
                part == 'p99' and reach or nil)
        end
    end
end

local SLICE = 0.002 -- the default

local rows = {
    row('fiber create + finish', 'create', 'rate', 'M/s', 1e-6, 'more',
        { times = 4 }),
    row('switch, two fibers', 'switch', 'rate', 'M/s', 1e-6, 'more',
        { times = 3 }),
    row('channel round trip', 'channel', 'rate', 'M/s', 1e-6, 'more',
        { times = 3 }),
    row('idle fibers, of 100 k', 'idle 100 k', 'count', 'k', 1e-3, 'more'),
    row('idle fiber, RAM', 'idle 100 k', 'rss', 'KB', 1e-3, 'less',
        { ours = 1000 }),
    row('idle fiber, Lua memory', 'idle 100 k', 'lua', 'KB', 1e-3, 'less'),
    row('idle fiber, RAM, of 1 M', 'idle 1 M', 'rss', 'KB', 1e-3, 'less',
        { ours = 1000 }),
    without_peer(row('collector step, 100 k', 'idle 100 k', 'step', 'ms', 1e3,
                     'less')),
    row('collector step, 1 M', 'idle 1 M', 'step', 'ms', 1e3, 'less'),
    row('start-up, time', 'start', 'seconds', 'ms', 1e3, 'less',
        { ours = 0.005 }),
    row('start-up, RAM', 'start', 'bytes', 'MB', 1e-6, 'less',
        { over = 10e6 }),
    row('C call, no-op', 'cmod_noop', 'rate', 'M/s', 1e-6, 'more'),
    row('C call, sum of two', 'cmod_sum', 'rate', 'M/s', 1e-6, 'more',
        { share = 0.45, times = 7 }),
    row('C call, echo of a map', 'cmod_echo', 'rate', 'M/s', 1e-6, 'more'),
    row('C call off the loop, sum', 'cmod_offload', 'rate', 'k/s', 1e-3,
        'more'),
    row('the same from 64 fibers', 'cmod_offload_many', 'rate', 'k/s', 1e-3,
        'more'),
    row('C call in a process, sum', 'cmod_isolate', 'rate', 'k/s', 1e-3,
        'more'),
    row('load + unload, cached', 'cmod_cached', 'rate', 'k/s', 1e-3, 'more',
        { ours = 1e6 }),
    row('load + unload, uncached', 'cmod_uncached', 'rate', 'k/s', 1e-3,
        'more', { times = 3 }),
    row('msgpack encode, 1 KiB', 'msgpack_encode', 'rate', 'MB/s', 1e-6,
        'more'),
    row('msgpack decode, 1 KiB', 'msgpack_decode', 'rate', 'MB/s', 1e-6,
        'more'),
}
network.add_rows(rows, row)
delay_rows(rows, 'delay', '')
delay_rows(rows, 'delay, 1 spins', ' by 1 that spins', { ours = 2 * SLICE })
delay_rows(rows, 'delay, 10 spin', ' by 10 that spin')
rows[#rows + 1] = row('classic programs, hook checks', 'classic', 'unsliced',
                      'ms', 1e3, 'less')
rows[#rows + 1] = row('classic programs, 1 ms slices', 'classic', 'sliced',
                      'ms', 1e3, 'less', { share = 0.97 })

return { sources = sources, rows = rows }
