-- Programs that the benchmark run starts: where they are, on which core they
-- run, and what they printed.

local bare = bare
local machine = require('machine')

local M = {}

M.SOURCE = assert(os.getenv('NEAP_SOURCE_DIR'))
M.BINARY = assert(os.getenv('NEAP_BINARY_DIR'))
M.WORK = assert(os.getenv('BENCH_WORK'))
M.HERE = M.SOURCE .. '/test/bench/'
M.NEAP = M.BINARY .. '/neap'
M.BARE = M.BINARY .. '/test/bench/bare'
M.LOAD = M.BINARY .. '/test/bench/load'
M.FIXED = M.BINARY .. '/test/bench/fixed'
M.IDLE = M.BINARY .. '/test/bench/idle'
M.PEER = os.getenv('BENCH_PEER') or 'tarantool'

local LIMIT_SECONDS = 120 -- for one program; far above what any takes

-- One core for what is measured, one for what asks it: what is started next
-- runs there.
M.cores = machine.cores()
function M.on(core, ...)
    if #M.cores >= 2 then
        bare.pin(M.cores[core])
    end
    return ...
end

-- What is started next runs anywhere.
function M.anywhere()
    if #M.cores >= 2 then
        bare.pin(-1)
    end
end

-- What a program said last, a traceback or a compiler's last word aside.
function M.last_line(text)
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
function M.new_log()
    logs = logs + 1
    return M.WORK .. '/log' .. logs
end

-- The lines of names and numbers in a text.
function M.parse(text)
    local numbers = {}
    for name, number in text:gmatch('([%a_][%w_]*) ([%d.e+-]+)') do
        numbers[name] = tonumber(number)
    end
    return numbers
end

-- Run a program: what it printed, and the seconds it took; an error tells what
-- it said last.
function M.output_of(...)
    local log = M.new_log()
    local seconds, code = bare.run(log, 'timeout', '-k', '5',
                                   tostring(LIMIT_SECONDS), ...)
    local text = machine.read(log)
    os.remove(log)
    if code ~= 0 then
        error(('exit %d: %s'):format(code, M.last_line(text)), 0)
    end
    return text, seconds
end

-- Run a program that prints lines of names and numbers: they are returned.
function M.numbers_of(...)
    return M.parse(M.output_of(...))
end

-- f(), once: every call returns what that did, or throws its error again.
function M.once(f)
    local done, ok, result
    return function()
        if not done then
            done, ok, result = true, pcall(f)
        end
        return ok and result or error(result, 0)
    end
end

return M
