-- The benchmark run: every source of figures.lua, ours, its limit and its peer
-- in turn, round after round, so that all see the same machine; medians, and a
-- table.
-- Started by the script `run`, which tells the folders in the environment.

local bare = bare
local figures = require('figures')
local machine = require('machine')
local programs = require('programs')
local report = require('report')

local SOURCE = assert(os.getenv('NEAP_SOURCE_DIR'))
local BINARY = assert(os.getenv('NEAP_BINARY_DIR'))
local WORK = assert(os.getenv('BENCH_WORK'))
local HERE = SOURCE .. '/test/bench/'
local NEAP = BINARY .. '/neap'
local BARE = BINARY .. '/test/bench/bare'
local LOAD = BINARY .. '/test/bench/load'
local FIXED = BINARY .. '/test/bench/fixed'
local PEER = os.getenv('BENCH_PEER') or 'tarantool'
local SIDES = { 'ours', 'limit', 'peer' }
local PROGRAM = { ours = NEAP, limit = BARE, peer = PEER }
local SCRIPT = { ours = 'ours.lua', limit = 'bare.lua', peer = 'peer.lua' }
local SIGTERM = 15
local LIMIT_SECONDS = 120 -- for one program; far above what any takes

local options = { rounds = 5, write = true, peer = true, http_seconds = 1,
                  starts = 20, runs = 3 }
do
    local i = 1
    while arg[i] do
        if arg[i] == '--quick' then
            options.rounds, options.write, options.quick = 1, false, true
            options.http_seconds, options.starts, options.runs = 0.2, 3, 1
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

-- One core for what is measured, one for what asks it: what is started next
-- runs there.
local cores = machine.cores()
local function on(core, ...)
    if #cores >= 2 then
        bare.pin(cores[core])
    end
    return ...
end

local read = machine.read

-- What a program said last, a traceback or a compiler's last word aside.
local function last_line(text)
    local last
    for line in text:gmatch('[^\n]+') do
        if not line:find('^%s') and line ~= 'stack traceback:' and
           not line:find('^compilation terminated') then
            last = line
        end
    end
    return last or 'no output'
end

local logs = 0
local function new_log()
    logs = logs + 1
    return WORK .. '/log' .. logs
end

-- Run a program that prints lines of names and numbers: they are returned.
local function numbers_of(...)
    local log = new_log()
    local _, code = bare.run(log, 'timeout', '-k', '5',
                                tostring(LIMIT_SECONDS), ...)
    local text = read(log)
    os.remove(log)
    if code ~= 0 then
        error(('exit %d: %s'):format(code, last_line(text)), 0)
    end
    local numbers = {}
    for name, number in text:gmatch('([%a_][%w_]*) ([%d.e+-]+)') do
        numbers[name] = tonumber(number)
    end
    return numbers
end

-- The peer's module, compiled once; if it cannot be, its figures say why.
local module_error
local function peer_module()
    if module_error == nil then
        local ok, err = pcall(numbers_of, 'sh', '-c',
            'exec ${CC:-cc} -O2 -g -DNDEBUG -Wfatal-errors -fPIC -shared ' ..
            '-o "$1" "$2"',
            'sh', WORK .. '/bench.so', HERE .. 'peer.c')
        module_error = not ok and 'peer.c: ' .. err
    end
    if module_error then
        error(module_error, 0)
    end
end

-- LuaJIT as it comes, built once; if it cannot be, the limits say why.
local plain_luajit
local function plain()
    if plain_luajit == nil then
        local log = new_log()
        bare.pin(-1)
        local cache = read(BINARY .. '/CMakeCache.txt')
        local tarball = cache:match('NEAP_LUAJIT_TARBALL:[A-Z]+=([^\n]+)')
        local command = { SOURCE .. '/third_party/luajit/build.sh', '--plain' }
        if tarball then
            command[3], command[4] = '--tarball', tarball
        end
        local _, code = bare.run(log, unpack(command))
        plain_luajit = code == 0 and last_line(read(log)) .. '/bin/luajit'
        os.remove(log)
    end
    return plain_luajit or error('no plain LuaJIT: build.sh failed', 0)
end

local measure = {}

function measure.micro(source, side)
    local args = { unpack(options.quick and source.quick_args or source.args
                          or { source.name }) }
    if source.bytes then
        args[#args + 1] = WORK .. '/mixed.msgpack'
    end
    if source.module and side == 'peer' then
        peer_module()
    end
    if source.bytes and side == 'limit' and read(args[#args]) == '' then
        numbers_of(NEAP, HERE .. 'ours.lua', 'msgpack_write', args[#args])
    end
    return numbers_of(on(2, PROGRAM[side], HERE .. SCRIPT[side],
                         unpack(args)))
end

-- Beside fibers that compute; the lines to wait for come from the other core.
function measure.delay(source, side)
    local seconds = options.quick and 0.1 or source.seconds
    local command = { PROGRAM[side], HERE .. SCRIPT[side], 'delay',
                      tostring(source.spinners), tostring(seconds) }
    if side == 'ours' and options.slice then
        table.insert(command, 2, '--slice')
        table.insert(command, 3, options.slice)
    end
    return numbers_of(on(2, 'sh', '-c',
        '"$1" "$2" "$3" "$4" | { shift 4; exec "$@"; }', 'sh', BARE,
        HERE .. 'stamps.lua', tostring(#cores >= 2 and cores[1] or -1),
        -- The program takes a while to start.
        tostring(seconds + 0.2), unpack(command)))
end

-- One of the classic programs: with slices and without, and by a plain LuaJIT,
-- to which both are compared. The fastest of several, in turn: what else the
-- machine does only adds to a tenth of a second of computing.
function measure.classic(source, side)
    local commands = side == 'limit' and { plain = { plain() } } or {
        sliced = { NEAP, '--slice', options.slice or '1' },
        unsliced = { NEAP, '--slice', '0' },
    }
    local best, sum = {}, nil
    for _ = 1, options.runs do
        for key, command in pairs(commands) do
            command = { unpack(command) }
            command[#command + 1] = HERE .. 'classic.lua'
            command[#command + 1] = source.program
            local numbers = numbers_of(on(2, unpack(command)))
            if sum ~= nil and sum ~= numbers.sum then
                error('its sum is another each time', 0)
            end
            best[key] = math.min(best[key] or math.huge, numbers.seconds)
            sum = numbers.sum
        end
    end
    return { sliced = best.sliced or best.plain,
             unsliced = best.unsliced or best.plain, sum = sum }
end

-- An empty script, several times: the fastest. Memory is what the program says
-- of itself: the kernel counts that of the one who started it, too.
function measure.start(_, side)
    local program, seconds = PROGRAM[side], {}
    for i = 1, options.starts do
        local log = new_log()
        local code
        seconds[i], code = bare.run(log, on(2, program, HERE .. 'empty.lua'))
        local text = read(log)
        os.remove(log)
        if code ~= 0 then
            error(('exit %d: %s'):format(code, last_line(text)), 0)
        end
    end
    local numbers = numbers_of(on(2, program, HERE .. 'memory.lua'))
    numbers.seconds = math.min(unpack(seconds))
    return numbers
end

local servers = {} -- command -> {pid, port, log}

local function stop_servers()
    local failed
    for command, server in pairs(servers) do
        local code = bare.stop(server.pid, SIGTERM, 10)
        if code ~= 0 and command:find(NEAP, 1, true) then
            failed = ('the server ended with %d after SIGTERM: %s'):format(
                code, last_line(read(server.log)))
        end
    end
    servers = {}
    return failed
end

-- What serves a source, at that port.
local function command_of(source, side, port)
    local limit = source.kind == 'tcp' and 'echo' or tostring(source.body)
    if side == 'limit' then
        return { FIXED, port, limit }
    end
    local script = HERE .. (source.kind == 'tcp' and 'tcp_echo.lua'
                            or 'http.lua')
    if side == 'ours' then
        return { NEAP, script, port }
    end
    local node = source.peer == 'node'
    return { node and 'node' or PEER, node and HERE .. 'tcp_echo.js' or script,
             port }
end

-- Start it unless it runs, and wait until it answers.
local function server_of(source, side)
    local port = machine.free_port()
    local script = table.concat(command_of(source, side, ''), ' ')
    local server = servers[script]
    if server then
        return server
    end
    server = { port = port, log = new_log() }
    server.pid = bare.start(server.log,
                            on(1, unpack(command_of(source, side,
                                                    tostring(port)))))
    servers[script] = server
    local probe = { '-n', '1', '-c', '1', tostring(port), '/' }
    if source.kind == 'tcp' then
        probe = { '-e', '64', unpack(probe) }
    end
    for _ = 1, 100 do
        if pcall(numbers_of, LOAD, unpack(probe)) then
            return server
        end
        bare.sleep(0.05)
    end
    error('the server does not answer: ' .. last_line(read(server.log)), 0)
end

function measure.http(source, side)
    local server = server_of(source, side)
    local args = { '-c', '64', '-t', tostring(options.http_seconds) }
    for _, option in ipairs(source.load) do
        -- The fixed server's body is its own.
        if side == 'limit' and (option == '-x' or option == '-p') then
            break
        end
        args[#args + 1] = option
    end
    args[#args + 1] = tostring(server.port)
    args[#args + 1] = source.path or '/'
    local before = machine.cpu_seconds(server.pid)
    local numbers = numbers_of(on(2, LOAD, unpack(args)))
    numbers.cpu = (machine.cpu_seconds(server.pid) - before) / numbers.requests
    return numbers
end

measure.tcp = measure.http

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
        return
    end
    for key, number in pairs(numbers) do
        result[side][key] = result[side][key] or {}
        table.insert(result[side][key], number)
    end
end

local function has_node()
    local _, code = bare.run(new_log(), 'sh', '-c', 'command -v node')
    return code == 0
end

local function run_all()
    for _, source in ipairs(figures.sources) do
        local no_peer = not source.peer and '' or
                        not options.peer and 'left out' or
                        source.peer == 'node' and not has_node() and
                        'no node' or nil
        results[source.name] = { ours = {}, limit = {}, peer = {}, failed = {},
                                 without = { peer = no_peer } }
    end
    for round = 1, options.rounds do
        for _, source in ipairs(figures.sources) do
            local wanted = not options.only or source.name:find(options.only)
            if wanted and round <= (source.rounds or round) then
                io.stderr:write(('bench: round %d of %d: %s\n'):format(
                    round, options.rounds, source.name))
                for i = 1, #SIDES do
                    sample(source, SIDES[(round + i) % #SIDES + 1])
                end
            end
            results[source.name].left_out = not wanted
        end
    end
end

local some = false
for _, source in ipairs(figures.sources) do
    some = some or not options.only or source.name:find(options.only)
end
if not some then
    io.stderr:write('bench: no source has that name: ', options.only, '\n')
    os.exit(2)
end

local begin = bare.clock()
local ok, err = xpcall(run_all, debug.traceback)
local stop_error = stop_servers()
if not ok then
    error(err, 0)
end

if #cores >= 2 then
    bare.pin(-1)
end
programs.combine(results)
local lines, failed = report.table(figures.rows, results)
local about = machine.about(NEAP, options.peer and PEER, options.rounds, cores)
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
    report.write(SOURCE .. '/doc/performance.md', about, lines)
end
os.exit(failed > 0 and 1 or 0)
