-- Lua's io and os in fibers: the same results as ever, and nobody else waits.
-- test: variants
local fiber = require('fiber')
local raw = require('raw')
local tap = require('tap')

local dir = os.getenv('TMPDIR') or '/tmp'
local path = dir .. '/io.txt'

local function sh(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read('*a')
    pipe:close()
    return text
end

local function descriptors()
    return tonumber(sh('ls /proc/$PPID/fd | wc -l'))
end

-- The other fiber counts while f waits: it has had turns when f is over. (Where f
-- keeps it from them it has none each time; a busy machine does so now and then.)
local function turns_once(f)
    local turns, over = 0, false
    local other = fiber.new(function()
        while not over do
            turns = turns + 1
            fiber.sleep(0.001)
        end
    end)
    other:set_joinable(true)
    f()
    over = true
    other:join()
    return turns
end
local function turns_during(f)
    local turns
    for _ = 1, 50 do
        turns = turns_once(f)
        if turns > 3 then break end
    end
    return turns
end

-- Results are those of Lua's own library.
local f = assert(io.open(path, 'w'))
tap.is(f:write('one\n', 2, ' 3.5 0x10 nan -1e2x\n', ('x'):rep(100000), '\nend'),
    true, 'write gives true')
tap.is(f:seek(), 100029, 'seek tells where')
tap.is(f:close(), true, 'close gives true')
tap.is(tostring(f), 'file (closed)', 'tostring of a closed file')
f = assert(io.open(path))
tap.is(f:read(), 'one', 'a line')
local a, b, c, d, e = f:read('*n', '*n', '*n', '*n', '*n')
tap.ok(a == 2 and b == 3.5 and c == 16 and d ~= d and e == -100, 'numbers')
tap.is(f:read('*L'), 'x\n', 'a line with its end')
tap.is(#f:read('*l'), 100000, 'a line beyond the buffer')
tap.is(f:read(0), '', 'nothing, before the end')
tap.is(f:read(2), 'en', 'some bytes')
tap.is(select('#', f:read('*a', '*a', 1, 1)), 3, 'reading stops at the end')
tap.is(f:read(0), nil, 'nothing at the end')
tap.is(f:read('*a'), '', 'all, at the end')
tap.is(f:seek('set', 4), 4, 'seek sets')
tap.is(f:read('*n'), 2, 'and reading goes on there')
f:close()

local none, text, errno = io.open(dir .. '/none/x')
tap.ok(none == nil and errno == 2
    and text == dir .. '/none/x: No such file or directory', 'open fails')
local ok, err = pcall(function() f:read() end)
tap.ok(not ok and err:find('test_io.lua:%d+: attempt to use a closed file'),
    'a closed file, with the place of the caller')
ok, err = pcall(function() io.stdout:write({}) end)
tap.ok(not ok and err:find("test_io.lua:%d+: bad argument #1 to 'write' "
    .. '%(string expected, got table%)'), 'a wrong argument')
ok, err = pcall(function() io.stdin:read('*x') end)
tap.ok(not ok and err:find("bad argument #1 to 'read' %(invalid format%)"),
    'a wrong format')
local lines = {}
for line in io.lines(path, 5) do
    lines[#lines + 1] = line
    if #lines == 2 then break end
end
tap.is(table.concat(lines), 'one\n2 3.5 ', 'lines by a format')
tap.is(select(2, io.open('/'):read('*a')), 'Is a directory', 'a folder')
tap.is(select(3, io.open('/dev/full', 'w'):close()), nil, 'nothing to flush')
f = io.open('/dev/full', 'w')
f:write('x')
tap.is(select(3, f:flush()), 28, 'a full disk')
tap.is(select(3, f:close()), nil, 'said once')
f = io.open('/dev/full', 'w')
tap.is(select(3, f:write(('x'):rep(1e6))), 28, 'a full disk, at once')
f:close()

-- os
tap.is(os.execute('exit 3'), 768, 'execute gives the status')
tap.is(os.execute(), 1, 'there is a shell')
tap.is(os.execute('kill -9 $$'), 9, 'killed')
local name = os.tmpname()
tap.ok(os.rename(name, path), 'rename')
tap.is(os.remove(path), true, 'remove')
tap.is(select(2, os.remove(path)), path .. ': No such file or directory',
    'remove fails')

-- Nobody else waits.
tap.ok(turns_during(function() os.execute('sleep 0.2') end) > 3, 'execute')
tap.ok(turns_during(function() sh('sleep 0.2; echo x') end) > 3, 'popen read')
tap.ok(turns_during(function() io.popen('sleep 0.2', 'w'):close() end) > 3,
    'popen close')
tap.ok(turns_during(function()
    local p = io.popen('sleep 0.2; cat > /dev/null', 'w')
    assert(p:write(('y'):rep(1e6)))
    p:close()
end) > 3, 'popen write')
os.execute('mkfifo ' .. dir .. '/fifo')
local reader = fiber.new(function()
    local fifo = io.open(dir .. '/fifo')
    local all = fifo:read('*a')
    fifo:close()
    return all
end)
reader:set_joinable(true)
local fifo
tap.ok(turns_once(function()
    fiber.sleep(0.02)
    fifo = io.open(dir .. '/fifo', 'w')
    fifo:write(('z'):rep(3e6))
    fifo:close()
end) > 0, 'a FIFO whose ends wait for each other')
tap.is(#select(2, reader:join()), 3e6, 'and what went through it')

-- A cancel ends each wait; what was begun ends too, and nothing is left.
local before = descriptors()
local function cancelled(g)
    local victim = fiber.new(function() return pcall(g) end)
    victim:set_joinable(true)
    fiber.sleep(0.02)
    victim:cancel()
    local joined, done, why = victim:join()
    return joined and not done and tostring(why) == 'fiber is cancelled'
end
-- What is begun goes on until the FIFO is opened from the other end.
os.execute('mkfifo ' .. dir .. '/gate')
local gate = 'cat < ' .. dir .. '/gate; '
local function open_gate()
    os.execute('true <> ' .. dir .. '/gate')
end
tap.ok(cancelled(function() os.execute(gate) end), 'execute')
tap.ok(cancelled(function() io.popen(gate):read() end), 'read')
tap.ok(cancelled(function() io.popen(gate):close() end), 'close')
tap.ok(cancelled(function()
    io.popen(gate .. 'cat >/dev/null', 'w'):write(('x'):rep(1e6))
end), 'write')
tap.ok(cancelled(function()
    io.open(dir .. '/fifo')
end), 'open of a FIFO')
-- A thread may be in that open still, or may not have come to it.
os.execute('true <> ' .. dir .. '/fifo')
-- One that waits for its turn.
local shared = io.popen(gate .. 'echo a; echo b')
local first = fiber.new(function() return shared:read() end)
first:set_joinable(true)
tap.ok(cancelled(function() shared:read() end), 'a turn')
local opener = fiber.new(function()
    while first:status() ~= 'dead' do
        open_gate()
        fiber.sleep(0.01)
    end
end)
opener:set_joinable(true)
tap.is(select(2, first:join()), 'a', 'the first has its line')
tap.is(shared:read(), 'b', 'the cancelled one took none')
shared:close()
opener:join()
raw.until_true(function() -- which of them has come to its gate is not known
    open_gate()
    collectgarbage()
    return descriptors() <= before
end)
tap.ok(true, 'no descriptor is left')
raw.until_true(function()
    open_gate() -- what is started looks after those that have ended
    return sh('ps -o stat= --ppid $PPID | grep -c Z') == '0\n'
end)
tap.ok(true, 'no zombie is left')

-- Where no fiber can wait it is done on the spot.
local sorted = { 2, 1 }
table.sort(sorted, function(x, y)
    local p = io.popen('echo 1')
    assert(p:read('*n') == 1)
    p:close()
    return x < y
end)
tap.is(sorted[1], 1, 'in a callback of sort')
local co = coroutine.wrap(function() return sh('echo in') end)
tap.is(co(), 'in\n', 'in a coroutine')
tap.is((('x'):gsub('x', function()
    return coroutine.wrap(function() return sh('printf y') end)()
end)), 'y', 'in a coroutine in a callback of gsub')

-- Many at once.
local sum, fibers = 0, {}
for i = 1, 1000 do
    fibers[i] = fiber.new(function()
        local file = assert(io.open('/proc/self/stat'))
        local text = file:read('*a')
        sum = sum + (#text > 0 and 1 or 0)
        file:close()
    end)
    fibers[i]:set_joinable(true)
end
for i = 1, 1000 do fibers[i]:join() end
os.remove(dir .. '/fifo')
os.remove(dir .. '/gate')
tap.is(sum, 1000, 'a thousand files at once')
tap.done()
