-- The benchmark run: every source of figures.lua, ours, its limit and its peer
-- in turn, round after round, so that all see the same machine; medians, and a
-- table.
-- Started by the script `run`, which tells the folders in the environment.

local bare = bare
local figures = require('figures')
local machine = require('machine')
local process = require('process')
local programs = require('programs')
local report = require('report')
local servers = require('servers')

local options = { rounds = 5, write = true, peer = true, load_seconds = 0.6,
                  starts = 20, runs = 3 }
do
    local i = 1
    while arg[i] do
        if arg[i] == '--quick' then
            options.rounds, options.write, options.quick = 1, false, true
            options.load_seconds, options.starts, options.runs = 0.1, 3, 1
        elseif arg[i] == '--rounds' then
            i = i + 1
            options.rounds = assert(tonumber(arg[i]), '--rounds takes a number')
        elseif arg[i] == '--only' then
            i = i + 1
            options.only = assert(arg[i], '--only takes a pattern')
            options.write = false
        elseif arg[i] == '--no-peer' then
            options.peer, options.write = false, false
        elseif arg[i] == '--no-write' then
            options.write = false
        elseif arg[i] == '--slice' then
            i = i + 1
            options.slice = assert(arg[i], '--slice takes milliseconds')
            options.write = false
        elseif arg[i] == '--verbose' then
            options.verbose = true
        else
            io.stderr:write('bench: see the top of test/bench/run\n')
            os.exit(2)
        end
        i = i + 1
    end
end

local measure = {}
for _, kinds in ipairs({ 'measure_programs', 'measure_servers' }) do
    for kind, f in pairs(require(kinds)(options)) do
        measure[kind] = f
    end
end

-- results[source][side][key] = list of a number each round; see report.table
local results = {}

local function sample(source, side)
    local result = results[source.name]
    if result.without[side] or result.failed[side] then
        return
    end
    local ok, numbers = pcall(measure[source.kind], source, side)
    if not ok then
        -- The table may go into the page: no folders of this machine.
        result.failed[side] = tostring(numbers):gsub('%S*/test/bench/', '')
            :gsub('%S*/bench%-peers/', ''):gsub(process.WORK .. '/', '')
        return
    end
    for key, number in pairs(numbers) do
        result[side][key] = result[side][key] or {}
        table.insert(result[side][key], number)
    end
end

local function wanted(source)
    return not options.only or source.name:find(options.only)
end

-- What is left out is told in the table; a side that a source has not is empty.
local function without(source)
    local list = { limit = source.no_limit and '' or nil }
    for name in pairs(servers.TITLES) do
        list[name] = ''
    end
    for _, side in ipairs(source.peers or {}) do
        list[side] = not options.peer and 'left out' or nil
    end
    return list
end

-- All sides of a source, another one first in each round.
local function sample_all(source, round)
    local sides = { 'ours', 'limit', unpack(source.peers or {}) }
    for i = 1, #sides do
        sample(source, sides[(round + i) % #sides + 1])
    end
end

local function run_all()
    for _, source in ipairs(figures.sources) do
        local result = { failed = {}, without = without(source),
                         left_out = not wanted(source) }
        for _, side in ipairs({ 'ours', 'limit',
                                unpack(source.peers or {}) }) do
            result[side] = {}
        end
        results[source.name] = result
    end
    for round = 1, options.rounds do
        for _, source in ipairs(figures.sources) do
            if wanted(source) and round <= (source.rounds or round) then
                io.stderr:write(('bench: round %d of %d: %s\n'):format(
                    round, options.rounds, source.name))
                sample_all(source, round)
            end
        end
    end
end

local some = false
for _, source in ipairs(figures.sources) do
    some = some or wanted(source)
end
if not some then
    io.stderr:write('bench: no source has that name: ', options.only, '\n')
    os.exit(2)
end

local begin = bare.clock()
local ok, err = xpcall(run_all, debug.traceback)
local stop_error = servers.stop_all()
if not ok then
    error(err, 0)
end

process.anywhere()
programs.combine(results)
local lines, failed = report.table(figures.rows, results)
local about = machine.about(process.NEAP, options.peer and process.PEER,
                            options.rounds, process.cores)
if options.peer and not options.only then
    about[#about + 1] = '- Further peers: ' .. servers.versions() .. '.'
end
print(table.concat(about, '\n') .. '\n')
print(table.concat(lines, '\n'))
if options.verbose then
    print('\n' .. table.concat(programs.lines(results, report.median), '\n'))
end
if stop_error then
    print('\nFAILED: ' .. stop_error)
    failed = failed + 1
end
io.stdout:flush()
io.stderr:write(('bench: %.0f s\n'):format(bare.clock() - begin))
if options.write then
    report.write(process.SOURCE .. '/doc/performance.md', about, lines)
end
os.exit(failed > 0 and 1 or 0)
