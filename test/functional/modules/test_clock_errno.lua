-- The modules clock and errno: names and answers of Tarantool's documentation.
-- test: variants
local clock = require('clock')
local errno = require('errno')
local ffi = require('ffi')
local fiber = require('fiber')
local tap = require('tap')

-- clock
for _, name in ipairs({'time', 'realtime', 'monotonic', 'proc', 'thread'}) do
    local a, b = clock[name](), clock[name]()
    tap.ok(type(a) == 'number' and a > 0 and b >= a or name:find('time'),
        name .. '() does not go back')
    local n = clock[name .. '64']()
    tap.ok(ffi.istype('int64_t', n) and n > 0, name .. '64() is an int64_t')
    tap.ok(math.abs(tonumber(n) / 1e9 - clock[name]()) < 3600,
        name .. '64() is the same in nanoseconds')
end
tap.ok(math.abs(clock.time() - os.time()) < 60, 'time() is that of os.time()')
local worked = clock.thread64()
local sum = 0
while clock.thread64() - worked < 20000000 do sum = sum + 1 end
local thread = clock.thread64()
tap.ok(clock.proc64() >= thread, 'the process has what a thread has')
local before = clock.monotonic()
fiber.sleep(0.01)
tap.ok(clock.monotonic() - before >= 0.01, 'monotonic() goes on meanwhile')
local t = clock.bench(function(...) return select('#', ...), ... end, 1, nil, 3)
tap.ok(type(t[1]) == 'number' and t[1] >= 0, 'bench() tells the time')
tap.same({t[2], t[3], t[4], t[5]}, {3, 1, nil, 3}, 'bench() gives the results')
tap.throws(function() clock.bench(error, 'oops') end, 'oops', 'bench() throws')
tap.throws(function() clock.bench() end, 'attempt to call', 'bench() of nothing')

-- errno
tap.is(errno.ENOENT, 2, 'a constant')
tap.is(errno.NOPE, nil, 'none')
tap.throws(function() errno.ENOENT = 3 end, 'cannot be changed', 'a constant')
tap.throws(function() errno.NEW = 3 end, 'cannot be changed', 'a new one')
tap.is(getmetatable(errno).__index.EPIPE, 32, 'the table of constants')
-- (What prints a result may change it.)
errno(0)
local old, now, c_now, text = errno(errno.EBADF), errno(), ffi.errno(),
    errno.strerror()
tap.is(old, 0, 'set gives the old one')
tap.is(now, errno.EBADF, 'it is set')
tap.is(c_now, errno.EBADF, 'it is that of the C library')
tap.is(text, 'Bad file descriptor', 'its text')
tap.is(errno.strerror(2), 'No such file or directory', 'the text of a number')
tap.is(errno.strerror(99999), 'Unknown error 99999', 'of none')
tap.throws(function() errno('x') end, 'a number is wanted', 'not a number')
tap.throws(function() errno.strerror({}) end, 'a number is wanted', 'strerror')

-- It is each fiber's own, whatever the others and the loop do meanwhile.
ffi.cdef('int close(int fd);')
local seen = {}
local fibers = {}
for i = 1, 20 do
    fibers[i] = fiber.new(function()
        seen[i] = {errno()}
        errno(i)
        for n = 1, 20 do
            fiber.yield()
            if n % 5 == 0 then fiber.sleep(0.001) end
            ffi.C.close(-1)
            if errno() ~= errno.EBADF then seen[i].wrong = errno() end
            errno(i)
        end
        seen[i][2] = errno()
    end)
    fibers[i]:set_joinable(true)
end
errno(77)
for i = 1, 20 do fibers[i]:join() end
tap.is(errno(), 77, 'the others have changed nothing here')
local good = true
for i = 1, 20 do
    good = good and seen[i][1] == 0 and seen[i][2] == i and not seen[i].wrong
end
tap.ok(good, 'each fiber has its own, at first 0')
-- Also when it is made to give way in the middle of a computation.
errno(5)
local over = false
fiber.create(function()
    for _ = 1, 20 do ffi.C.close(-1) fiber.sleep(0.001) end
    over = true
end)
while not over do end
tap.is(errno(), 5, 'and keeps it when it is put aside')
-- One that starts another at once.
errno(6)
fiber.create(function() ffi.C.close(-1) end)
tap.is(errno(), 6, 'and when it starts one')
local none, _, number = io.open('/none/x')
tap.ok(none == nil and number == 2 and errno() == 2, 'io leaves it, too')
none, _, number = os.remove('/none/x')
tap.ok(none == nil and number == 2 and errno() == 2, 'and os')
tap.done()
