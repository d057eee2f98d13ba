-- How the sources are measured that are servers: under load, with connections
-- that do nothing, and beside a handler that computes. Each gives numbers by
-- name for one side of a source.

local bare = bare
local machine = require('machine')
local process = require('process')
local servers = require('servers')

local SIGTERM = 15
local QUICK_IDLE = 500
local WARM = { '-c', '64', '-n', '6400' } -- what a server makes once
local numbers_of, on = process.numbers_of, process.on

-- The load client's command for a source, its own options last.
local function load_command(source, side, server, ...)
    local command = { process.LOAD, ... }
    for _, option in ipairs(servers.LOAD[source.service]) do
        command[#command + 1] = option
    end
    for _, option in ipairs(source.load or {}) do
        -- The fixed server's body is its own.
        if side == 'limit' and (option == '-x' or option == '-j') then
            break
        end
        command[#command + 1] = option
    end
    command[#command + 1] = tostring(server.port)
    command[#command + 1] = source.path or '/'
    return unpack(command)
end

return function(options)
    local measure = {}

    function measure.load(source, side)
        local server = servers.kept(source, side)
        local before = machine.cpu_seconds(server.pid)
        local numbers = numbers_of(on(2, load_command(
            source, side, server, '-c', tostring(source.connections or 64),
            '-t', tostring(options.load_seconds))))
        numbers.cpu = (machine.cpu_seconds(server.pid) - before) /
                      numbers.requests
        return numbers
    end

    -- Connections that had an answer and wait: how many the server holds, and
    -- what its memory grew by, for each.
    local function idle_of(server, source, side)
        local wanted = options.quick and QUICK_IDLE or
                       math.min(source.count, servers.connections)
        numbers_of(on(2, load_command(source, side, server, unpack(WARM))))
        local before = machine.anonymous_memory(server.pid)
        local log = process.new_log()
        local client = bare.start(log, on(2, process.IDLE,
                                          tostring(server.port),
                                          tostring(wanted)))
        local count
        for _ = 1, 1200 do
            bare.sleep(0.05)
            count = tonumber(machine.read(log):match('held (%d+)\n'))
            if count or machine.read(log) ~= '' then
                break
            end
        end
        local after = machine.anonymous_memory(server.pid)
        bare.stop(client, SIGTERM, 10)
        if count == nil or count == 0 then
            error('idle: ' .. process.last_line(machine.read(log)), 0)
        elseif source.all and not options.quick and count < source.count then
            error(('only %d connections are held'):format(count), 0)
        end
        return { count = count, bytes = (after - before) / count }
    end

    function measure.idle(source, side)
        local server = servers.start(source, side)
        local ok, result = pcall(idle_of, server, source, side)
        local stopped, err = pcall(servers.stop, server)
        return ok and stopped and result or error(ok and err or result, 0)
    end

    -- Latencies of who asks when his time has come, whether the answer before
    -- has or not.
    local function paced(source, side, server, seconds, pace)
        local numbers = numbers_of(on(2, load_command(
            source, side, server, '-c', '16', '-i', pace or '10', '-w', '0.05',
            '-t', tostring(seconds - 0.2))))
        return { p50 = numbers.p50_us / 1e6, p99 = numbers.p99_us / 1e6 }
    end

    -- The same, a new connection for each request, while the server is told again and
    -- again to read its configuration and scripts; the limit has none.
    function measure.reload(source, side)
        local server = servers.start(source, side)
        local seconds = options.quick and 0.6 or 5
        local log, reloads = process.new_log(), nil
        if servers.RELOAD[side] then
            reloads = bare.start(log, on(2, 'sh', '-c',
                'while sleep "$3"; do kill -s "$1" "$2"; done', 'sh',
                servers.RELOAD[side], tostring(server.pid),
                options.quick and '0.3' or '1'))
        end
        local ok, numbers = pcall(paced, source, side, server, seconds, '40')
        if reloads then
            bare.stop(reloads, SIGTERM, 5)
        end
        local stopped, err = pcall(servers.stop, server)
        return ok and stopped and numbers or error(ok and err or numbers, 0)
    end

    -- The same while one handler computes; the limit is beside nothing.
    function measure.stall(source, side)
        local server = servers.kept(source, side)
        local seconds = options.quick and 0.3 or 2
        if side == 'limit' then
            return paced(source, side, server, seconds)
        end
        local log = process.new_log()
        local burn = bare.start(log, on(2, process.LOAD, '-c', '1', '-t', '60',
            '-w', '0', '-n', '1', '-x', 'burned', tostring(server.port),
            '/burn?seconds=' .. seconds))
        bare.sleep(0.05)
        local ok, numbers = pcall(paced, source, side, server, seconds)
        local code = bare.stop(burn, 0, 30)
        local said = machine.read(log)
        local burned = process.parse(said).seconds
        if not ok then
            error(numbers, 0)
        elseif code ~= 0 or not burned or burned < seconds * 0.9 then
            error('it did not compute: ' .. process.last_line(said), 0)
        end
        return numbers
    end

    return measure
end
