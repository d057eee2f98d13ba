-- How the sources are measured that are programs of their own: figures of Lua
-- and C, delays, classic programs, start-up. Each gives numbers by name for one
-- side of a source.

local bare = bare
local machine = require('machine')
local process = require('process')

local HERE, WORK, NEAP = process.HERE, process.WORK, process.NEAP
local PROGRAM = { ours = NEAP, limit = process.BARE, peer = process.PEER }
local SCRIPT = { ours = 'ours.lua', limit = 'bare.lua', peer = 'peer.lua' }
local numbers_of, on = process.numbers_of, process.on

-- The peer's module, compiled once; if it cannot be, its figures say why.
local peer_module = process.once(function()
    local ok, err = pcall(process.output_of, 'sh', '-c',
        'exec ${CC:-cc} -O2 -g -DNDEBUG -Wfatal-errors -fPIC -shared ' ..
        '-o "$1" "$2"',
        'sh', WORK .. '/bench.so', HERE .. 'peer.c')
    return ok or error('peer.c: ' .. err, 0)
end)

-- LuaJIT as it comes, built once; if it cannot be, the limits say why.
local plain = process.once(function()
    local log = process.new_log()
    bare.pin(-1)
    local cache = machine.read(process.BINARY .. '/CMakeCache.txt')
    local tarball = cache:match('NEAP_LUAJIT_TARBALL:[A-Z]+=([^\n]+)')
    local command = { process.SOURCE .. '/third_party/luajit/build.sh',
                      '--plain' }
    if tarball then
        command[3], command[4] = '--tarball', tarball
    end
    local _, code = bare.run(log, unpack(command))
    local last = process.last_line(machine.read(log))
    os.remove(log)
    return code == 0 and last .. '/bin/luajit' or
        error('no plain LuaJIT: build.sh failed', 0)
end)

return function(options)
    local measure = {}

    function measure.micro(source, side)
        local args = { unpack(options.quick and source.quick_args or
                              source.args or { source.name }) }
        if source.bytes then
            args[#args + 1] = WORK .. '/mixed.msgpack'
        end
        if source.module and side == 'peer' then
            peer_module()
        end
        if source.bytes and side == 'limit' and
           machine.read(args[#args]) == '' then
            numbers_of(NEAP, HERE .. 'ours.lua', 'msgpack_write', args[#args])
        end
        return numbers_of(on(2, PROGRAM[side], HERE .. SCRIPT[side],
                             unpack(args)))
    end

    -- Beside fibers that compute; the lines to wait for come from the other
    -- core.
    function measure.delay(source, side)
        local seconds = options.quick and 0.4 or source.seconds
        local command = { PROGRAM[side], HERE .. SCRIPT[side], 'delay',
                          tostring(source.spinners), tostring(seconds) }
        if side == 'ours' and options.slice then
            table.insert(command, 2, '--slice')
            table.insert(command, 3, options.slice)
        end
        local core = #process.cores >= 2 and process.cores[1] or -1
        return numbers_of(on(2, 'sh', '-c',
            '"$1" "$2" "$3" "$4" | { shift 4; exec "$@"; }', 'sh',
            process.BARE, HERE .. 'stamps.lua', tostring(core),
            -- The program takes a while to start.
            tostring(seconds + 0.2), unpack(command)))
    end

    -- One of the classic programs: with slices and without, and by a plain
    -- LuaJIT, to which both are compared. The fastest of several, in turn: what
    -- else the machine does only adds to a tenth of a second of computing.
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

    -- An empty script, several times: the fastest. Memory is what the program
    -- says of itself: the kernel counts that of the one who started it, too.
    function measure.start(_, side)
        local program, seconds = PROGRAM[side], {}
        for i = 1, options.starts do
            local log = process.new_log()
            local code
            seconds[i], code = bare.run(log, on(2, program,
                                                HERE .. 'empty.lua'))
            local text = machine.read(log)
            os.remove(log)
            if code ~= 0 then
                error(('exit %d: %s'):format(code, process.last_line(text)), 0)
            end
        end
        local numbers = numbers_of(on(2, program, HERE .. 'memory.lua'))
        numbers.seconds = math.min(unpack(seconds))
        return numbers
    end

    return measure
end
