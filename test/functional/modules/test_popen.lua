-- The module popen: names and answers of Tarantool's documentation, and children
-- that behave badly.
-- test: variants
local ffi = require('ffi')
local fiber = require('fiber')
local fio = require('fio')
local popen = require('popen')
local tap = require('tap')

local function descriptors() return #fio.listdir('/proc/self/fd') end
local function is_alive(pid)
    local fh = fio.open('/proc/' .. pid .. '/stat')
    if fh == nil then return false end
    local text = fh:read() or ''
    fh:close()
    local state = text:match('%) (%a)')
    return state ~= nil and state ~= 'Z' and state ~= 'X'
end
local function soon(f)
    local latest = fiber.clock() + 60
    while not f() do
        if fiber.clock() > latest then return false end
        fiber.sleep(0.01)
    end
    return true
end
local function all(ph, opts)
    local out = {}
    while true do
        local data = assert(ph:read(opts))
        if data == '' then return table.concat(out) end
        out[#out + 1] = data
    end
end
do -- what is opened with the first wait that does not end at once
    local ph = popen.shell('sleep 100', 'r')
    ph:wait(0.001)
    ph:close()
end
collectgarbage()
local before = descriptors()

-- Output, status, info.
local ph = assert(popen.shell('printf "1 2 3"', 'r'))
tap.same(ph:wait(), {state = 'exited', exit_code = 0}, 'wait')
tap.is(ph:read(), '1 2 3', 'the output of one that has ended')
tap.is(ph:read(), '', 'its end')
tap.is(ph:read(), '', 'again')
tap.is(ph.pid, nil, 'no number any more')
tap.is(ph:close(), true, 'close')
tap.is(ph:close(), true, 'once more')
-- One that is quick has a number for who has made it, until he waits.
local numbers, quick = 0, {}
for i = 1, 20 do
    quick[i] = popen.new({'/bin/true'})
    for _ = 1, 20000 do end
    if quick[i].pid ~= nil and quick[i]:info().status.state == 'alive' then
        numbers = numbers + 1
    end
    quick[i]:wait()
    if quick[i].pid ~= nil then numbers = -100 end
    quick[i]:close()
end
tap.is(numbers, 20, 'a number at first, none when it was waited for')
ph = popen.shell('while true; do sleep 10; done', 'r')
local pid = ph.pid
tap.ok(is_alive(pid) and ph.status.state == 'alive', 'it lives')
tap.is(ph:kill(), true, 'kill')
local killed = {state = 'signaled', signo = 9, signame = 'SIGKILL'}
tap.same(ph:wait(), killed, 'wait for one that was killed')
local info = ph:info()
tap.same(info, {
    command = "sh -c 'while true; do sleep 10; done'", status = killed,
    stdout = 'open', opts = {
        stdin = 'inherit', stdout = 'pipe', stderr = 'inherit', shell = true,
        setsid = true, close_fds = true, restore_signals = true,
        group_signal = true, keep_child = false,
    },
}, 'info')
local ok, err = ph:kill()
tap.ok(ok == nil and err.type == 'SystemError' and err.errno == 3,
    'a signal to the dead')
ok, err = popen.shell('sleep 10'):signal(12345)
tap.ok(ok == nil and err.errno == 22, 'a signal that is none')
ph:close()
tap.same(popen.new({'/bin/sh', '-c', 'exit 7'}):wait(),
    {state = 'exited', exit_code = 7}, 'a code')
ph = popen.new({'/bin/sleep', '10'})
tap.is(ph:terminate(), true, 'terminate')
tap.is(ph:wait().signame, 'SIGTERM', 'it was')
ok, err = popen.new({'/none/x'})
tap.ok(ok == nil and err.type == 'SystemError' and err.errno == 2
    and err.message:find('/none/x'), 'no such program')
ok, err = popen.new({'/tmp'})
tap.ok(ok == nil and err.errno == 13, 'a folder')

-- Both ways.
ph = popen.shell('read -r x; printf "$x"; printf "$x" >&2', 'rwR')
tap.is(ph:write('hello\n'), true, 'write')
tap.is(ph:shutdown({stdin = true}), true, 'shutdown')
tap.is(ph.stdin, 'closed', 'it is closed')
tap.is(ph:shutdown({stdin = true}), true, 'twice')
tap.is(all(ph), 'hello', 'stdout')
tap.is(all(ph, {stderr = true}), 'hello', 'stderr')
ph:close()
ph = popen.new({'/bin/cat'}, {stdin = popen.opts.PIPE, stdout = popen.opts.PIPE})
local much = ('0123456789abcdef'):rep(262144)
local reader = fiber.new(all, ph)
reader:set_joinable(true)
tap.is(ph:write(much), true, 'four megabytes')
ph:shutdown({stdin = true})
tap.ok(select(2, reader:join()) == much, 'there and back')
ph:close()

-- Timeouts, deadlines, cancels; what came is not lost.
ph = popen.shell('read -r x; printf "$x"; sleep 10', 'rw')
ok, err = ph:read({timeout = 0.02})
tap.ok(ok == nil and err.type == 'TimedOut' and tostring(err) == 'timed out',
    'a read in time')
ok, err = ph:read({timeout = 0})
tap.ok(ok == nil and err.type == 'TimedOut', 'at once')
ok, err = ph:wait(0.02)
tap.ok(ok == nil and err.type == 'TimedOut', 'a wait in time')
ok, err = pcall(fiber.deadline, 0.02, function() ph:read() end)
tap.ok(not ok and err.type == 'TimedOut', 'a deadline')
for name, f in pairs({
    read = function() ph:read() end, wait = function() ph:wait() end,
}) do
    local victim = fiber.new(function() return pcall(f) end)
    victim:set_joinable(true)
    fiber.sleep(0.01)
    victim:cancel()
    local _, done, why = victim:join()
    tap.ok(not done and why.type == 'FiberIsCancelled', name .. ' cancelled')
end
ph:write('x\n')
tap.is(ph:read(), 'x', 'what came is not lost')
-- Two readers: one closes under the other.
local first = fiber.new(function() return pcall(ph.read, ph) end)
local second = fiber.new(function() return pcall(ph.wait, ph) end)
first:set_joinable(true)
second:set_joinable(true)
fiber.sleep(0.01)
ph:shutdown({stdout = true})
local _, done, why = first:join()
tap.ok(not done and tostring(why):find('closed file descriptor'),
    'shut down under a reader')
ph:close()
_, done, why = second:join()
tap.ok(not done and tostring(why):find('closed handle'),
    'closed under one that waits')
-- Several wait for one end.
ph = popen.new({'/bin/sleep', '0.05'})
local waiters = {}
for i = 1, 5 do
    waiters[i] = fiber.new(ph.wait, ph)
    waiters[i]:set_joinable(true)
end
local ends = 0
for i = 1, 5 do
    local _, status = waiters[i]:join()
    ends = ends + (status.exit_code == 0 and 1 or 0)
end
tap.is(ends, 5, 'five wait for one end')
ph:close()
-- A child that does not read, and one that has closed its input.
ph = popen.new({'/bin/sleep', '10'}, {stdin = 'pipe'})
ok, err = ph:write(('x'):rep(1000000), {timeout = 0.02})
tap.ok(ok == nil and err.type == 'TimedOut', 'a child that does not read')
ph:close()
ph = popen.shell('exec 0<&-; echo; sleep 10', 'rw')
ph:read()
ok, err = ph:write('x')
tap.ok(ok == nil and err.errno == 32, 'a child that has closed its input')
ph:close()
-- A child that writes more than is read ends when the handle is closed.
ph = popen.new({'/usr/bin/yes'}, {stdout = 'pipe'})
pid = ph.pid
tap.ok(#ph:read() > 0, 'some of it')
ph:close()
tap.ok(soon(function() return not is_alive(pid) end), 'it is gone')

-- What it is started with.
local function run(command, opts)
    opts = opts or {}
    opts.shell, opts.stdout = true, 'pipe'
    local child = assert(popen.new({command}, opts))
    local text = all(child)
    child:close()
    return text
end
tap.is(run('echo $A:$PATH', {env = {A = 'b c', PATH = '/bin'}}), 'b c:/bin\n',
    'env')
tap.is(run('env | grep -v -e PWD -e SHLVL -e _=', {env = {}}), '', 'no env')
tap.like(run('echo $PATH'), 'bin', 'our env')
-- ls has the folder open, too.
local function fds(opts)
    opts.stdout = 'pipe'
    local child = assert(popen.new({'/bin/ls', '/proc/self/fd'}, opts))
    local text = all(child):gsub('\n', ' ')
    child:close()
    return text
end
local leaked = io.open('/dev/null')
tap.is(fds({stdin = 'devnull'}), '0 1 2 3 ', 'close_fds')
tap.is(fds({stdin = 'close', stderr = 'close'}), '0 1 ', 'close')
leaked:close()
tap.is(run('readlink /proc/$$/fd/0', {stdin = 'devnull'}), '/dev/null\n',
    'devnull')
tap.is(run('grep -E "Sig(Blk|Ign)" /proc/$$/status | '
    -- (Two are the C library's own, and what they were when it was started.)
    .. 'grep -v -E "0000000[01]80000000|0000000000000000"'), '',
    'restore_signals')
tap.like(run('cat /proc/$$/stat', {setsid = true}), '^(%d+) %S+ %S %d+ %1 %1 ',
    'setsid')

-- The end of a handle: killed, with its group, or kept.
local function children(opts)
    opts.shell, opts.stdout = true, 'pipe'
    local child = popen.new({'sleep 100 & echo $!; wait'}, opts)
    return child, child.pid, tonumber(child:read())
end
local shell, sleeper
ph, shell, sleeper = children({setsid = true, group_signal = true})
ph:close()
tap.ok(soon(function() return not is_alive(shell) and not is_alive(sleeper) end),
    'the group is gone')
ph, shell, sleeper = children({setsid = true})
ph:close()
tap.ok(soon(function() return not is_alive(shell) end) and is_alive(sleeper),
    'without its group')
os.execute('kill -9 ' .. sleeper)
ph, shell, sleeper = children({keep_child = true, setsid = true})
ph:close()
fiber.sleep(0.02)
tap.ok(is_alive(shell) and is_alive(sleeper), 'kept')
os.execute(('kill -9 %d %d'):format(shell, sleeper))
do
    local lost = popen.shell('while true; do sleep 10; done', 'r')
    pid = lost.pid
end
ph = nil
tap.ok(soon(function() collectgarbage() return not is_alive(pid) end),
    'a collected handle')
-- A start that is cancelled leaves no child. (Others run this test beside us.)
ffi.cdef('int getpid(void);')
local seconds = ('%d'):format(1e9 + ffi.C.getpid())
local endless = 'sleep ' .. seconds .. '; true'
local starter = fiber.new(function() return pcall(popen.shell, endless) end)
starter:set_joinable(true)
starter:cancel()
starter:join()
for _ = 1, 20 do
    local f = fiber.new(function() popen.shell(endless) end)
    f:set_joinable(true)
    fiber.yield()
    f:cancel()
    f:join()
end
tap.ok(soon(function()
    collectgarbage()
    return run('pgrep -f "slee[p] ' .. seconds .. '" | wc -l') == '0\n'
end), 'a cancelled start')

-- Wrong usage.
for _, case in ipairs({
    {'expected table, got nil'}, {'expected table, got string', ''},
    {'it is empty', {}}, {'argv%[2%]', {'/bin/true', 1}},
    {'expected table or nil, got number', {'/x'}, 1},
    {'expected one of popen.opts, got x', {'/x'}, {stdin = 'x'}},
    {'opts.shell', {'/x'}, {shell = 1}}, {'unknown option y', {'/x'}, {y = 1}},
    {'group signal is set, while setsid is not', {'/x'}, {group_signal = true}},
    {'opts.env', {'/x'}, {env = 1}}, {'opts.env', {'/x'}, {env = {'x'}}},
    {'opts.env', {'/x'}, {env = {['a=b'] = 'c'}}},
    {'opts.env', {'/x'}, {env = {a = 'b\0'}}},
    {'zero bytes', {'/x\0'}},
    {'bytes of arguments', {'/x', ('x'):rep(5000000)}},
}) do
    ok, err = pcall(popen.new, unpack(case, 2))
    tap.ok(not ok and err.type == 'IllegalParams'
        and tostring(err):find(case[1]), case[1])
end
for _, arg in ipairs({0, true, {}}) do
    tap.throws(function() popen.shell(arg) end, 'popen.shell', 'shell')
    tap.throws(function() popen.shell('true', arg) end, 'popen.shell', 'mode')
end
tap.throws(function() popen.shell('true', 'x') end, 'letters w, r', 'a letter')
ok, err = popen.new({'/bin/echo', ('x'):rep(3000000)})
tap.ok(ok == nil and err.errno == 7, 'more than the system takes')
ph = popen.shell('sleep 10', 'r')
tap.throws(function() ph:read({stderr = true}) end, 'not support', 'no pipe')
tap.throws(function() ph:read({stdout = true, stderr = true}) end, 'both', 'both')
tap.throws(function() ph:read({timeout = 'x'}) end, 'timeout', 'timeout')
tap.throws(function() ph:write('x') end, 'not support', 'no pipe')
tap.throws(function() ph:write(1) end, 'string is wanted', 'not a string')
tap.throws(function() ph:shutdown() end, 'neither', 'nothing chosen')
tap.throws(function() ph:shutdown({stdout = true, stdin = true}) end,
    'not support', 'one that is none')
tap.is(ph.stdout, 'open', 'nothing was closed then')
tap.throws(function() ph:signal('x') end, 'number is wanted', 'signal')
ph:close()
for name, args in pairs({signal = {15}, terminate = {}, kill = {}, wait = {},
    read = {}, write = {'x'}, info = {}, shutdown = {{stdout = true}}}) do
    ok, err = pcall(ph[name], ph, unpack(args))
    tap.ok(not ok and err.type == 'IllegalParams' and tostring(err)
        == 'popen: attempt to operate on a closed handle', name .. ' closed')
    tap.throws(function() ph[name]({}, unpack(args)) end, 'popen handle',
        name .. ' of a table')
    tap.throws(function() ph[name]() end, 'popen handle', name .. ' of nothing')
end

-- A child is reaped at its end, whether it was killed or kept.
for _, kept in ipairs({false, true}) do
    ph = popen.new({'/bin/sleep', kept and '0.1' or '100'}, {keep_child = kept})
    local entry = '/proc/' .. ph:info().pid
    ph:close()
    tap.ok(soon(function() return not require('fio').path.exists(entry) end),
        'nobody is left as a zombie, ' .. (kept and 'kept' or 'killed'))
end

-- Nothing is left.
ph, shell, sleeper, starter, waiters, first, second, reader, ok, err, why =
    nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil
tap.ok(soon(function() collectgarbage() return descriptors() <= before end),
    'no descriptor is left')
tap.done()
