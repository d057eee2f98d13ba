-- The machine under the benchmark: cores, processes, ports, versions.

local M = {}

function M.read(path)
    local file = io.open(path)
    if not file then
        return ''
    end
    local text = file:read('*a')
    file:close()
    return text
end
local read = M.read

local function output(command)
    local pipe = io.popen(command .. ' 2>/dev/null')
    local text = pipe:read('*a')
    pipe:close()
    return (text:gsub('%s+$', ''))
end

-- The numbers of the cores this process may use.
function M.cores()
    local list = read('/proc/self/status'):match('Cpus_allowed_list:%s*(%S+)')
    local cores = {}
    for part in (list or '0'):gmatch('[^,]+') do
        local first, last = part:match('^(%d+)-?(%d*)$')
        for core = tonumber(first), tonumber(last) or tonumber(first) do
            cores[#cores + 1] = core
        end
    end
    return cores
end

-- CPU time of a process so far: all its threads, user and kernel.
function M.cpu_seconds(pid)
    local total = 0
    for task in output('ls /proc/' .. pid .. '/task'):gmatch('%d+') do
        local path = ('/proc/%d/task/%d/schedstat'):format(pid, task)
        total = total + (tonumber(read(path):match('^%d+')) or 0)
    end
    if total == 0 then
        error('no CPU time of process ' .. pid .. ' in /proc', 0)
    end
    return total / 1e9
end

-- Memory of a process that is in RAM and is no file's, in bytes.
function M.anonymous_memory(pid)
    local status = read('/proc/' .. pid .. '/status')
    local total = 0
    for _, name in ipairs({ 'RssAnon', 'RssShmem' }) do
        local kib = status:match(name .. ':%s*(%d+) kB')
        total = total + (tonumber(kib) or
                         error('no ' .. name .. ' of process ' .. pid, 0))
    end
    return total * 1024
end

function M.user()
    return output('id -un')
end

-- The folder of this machine's libraries, as Debian names it.
function M.triplet()
    return output('${CC:-cc} -dumpmachine')
end

local next_port = 18000 + os.time() % 1000 * 10

-- A port of this machine that nobody listens on.
function M.free_port()
    local taken = {}
    for _, path in ipairs({ '/proc/net/tcp', '/proc/net/tcp6' }) do
        for port in read(path):gmatch('%x+:(%x%x%x%x) %x+:%x+ %x%x') do
            taken[tonumber(port, 16)] = true
        end
    end
    repeat
        next_port = next_port + 1
    until not taken[next_port]
    return next_port
end

local function version(command, pattern)
    return output(command):match(pattern) or 'unknown'
end

-- Lines that say where and how the figures came to be.
function M.about(neap, peer, rounds, cores)
    local cpu = read('/proc/cpuinfo'):match('model name%s*:%s*([^\n]+)')
    local memory = tonumber(read('/proc/meminfo'):match('MemTotal:%s*(%d+)'))
    local system = read('/etc/os-release'):match('PRETTY_NAME="([^"]+)"')
    local parts = {}
    for line in output(neap .. ' --version'):gmatch('[^\n]+') do
        parts[#parts + 1] = (line:gsub('^%s+', ''):gsub('%s+', ' '))
    end
    local load1, load5 = read('/proc/loadavg'):match('^(%S+) (%S+)')
    return {
        ('- Date: %s; %d rounds, medians.'):format(os.date('!%Y-%m-%d'),
                                                  rounds),
        ('- Machine: %s, %d cores used of %d, %.0f GB; load average %s at '
         .. 'the end, %s over 5 minutes.'):format(
            cpu or output('uname -m'), math.min(2, #cores), #cores,
            (memory or 0) / 1e6, load1, load5),
        ('- System: %s, Linux %s, %s.'):format(
            system or 'unknown', output('uname -r'),
            version('cc --version', '^[^\n]+')),
        '- Server: ' .. (#parts > 0 and table.concat(parts, '; ')
                         or 'its version could not be had') .. '.',
        '- Peer: ' .. (peer and version(peer .. ' --version', '^[^\n]+')
                       or 'left out') .. '.',
    }
end

return M
