-- Large files: level memory, few descriptors, slow readers, and a file that
-- becomes shorter. NEAP_SOAK=1 sends 4 GiB, too.
-- test: timeout 300
local ffi = require('ffi')
local fiber = require('fiber')
local fio = require('fio')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

-- One descriptor in sixteen is for files.
ffi.cdef([[
    struct limits { unsigned long now, most; };
    int getrlimit(int what, struct limits *limits);
    int setrlimit(int what, const struct limits *limits);
]])
local limits = ffi.new('struct limits')
assert(ffi.C.getrlimit(7, limits) == 0)
limits.now = 1024
assert(ffi.C.setrlimit(7, limits) == 0)

local MIB = 1048576
local root = fio.tempdir()

-- A file of @size bytes, nothing but holes and its ends.
local function make(name, size)
    local f = assert(io.open(root .. '/' .. name, 'w'))
    f:write('begin')
    f:seek('set', size - 3)
    f:write('end')
    f:close()
end

local httpd = http_server.new('127.0.0.1', 0)
httpd:static('/', root)
httpd:start()
local port = httpd:port()

local function descriptors()
    return #fio.listdir('/proc/self/fd')
end

local sink = ffi.new('char[?]', MIB)
local function recv(peer, size)
    return tonumber(ffi.C.recv(peer.fd, sink, size or MIB, 0x40))
end

local function ask(path, options, headers)
    local peer = raw.connect(port, options)
    peer:send(('GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n'):format(path,
        headers or ''))
    return peer
end

-- All that comes until the end of @size bytes of body or of the connection: how
-- many there were, the last three, whether there were strangers among them.
local function drain(peer, size)
    local head, got, tail, wrong = '', 0, '', false
    while not head:find('\r\n\r\n', 1, true) do
        local n = recv(peer, 1)
        if n == 1 then
            head = head .. ffi.string(sink, 1)
        elseif n == 0 then
            return nil, head
        else
            fiber.sleep(0.001)
        end
    end
    while got < size do
        local n = recv(peer)
        if n > 0 then
            if got > 5 and got + n < size - 3 then
                wrong = wrong or sink[0] ~= 0 or sink[n - 1] ~= 0 or
                    sink[math.floor(n / 2)] ~= 0
            end
            got = got + n
            tail = ffi.string(sink + math.max(n - 3, 0), math.min(n, 3))
        elseif n == 0 then
            break
        else
            fiber.sleep(0.0005)
        end
    end
    return got, tail, wrong
end

local function whole(name, size)
    make(name, size)
    local before = tap.resident()
    local peer = ask('/' .. name)
    local got, tail, wrong = drain(peer, size)
    peer:close()
    tap.is(got, size, name)
    tap.is(tail, 'end', 'its end')
    tap.ok(not wrong, 'nothing else in between')
    tap.ok(tap.resident() - before < 16, 'level memory')
end

whole('64m', 62 * MIB)
if os.getenv('NEAP_SOAK') then
    whole('4g', 4096 * MIB)
    local peer = ask('/4g', nil, 'Range: bytes=4294967290-\r\n')
    tap.is(drain(peer, 6), 6, 'a range behind 4 GiB')
    peer:close()
end

-- Many readers that hardly read, of as many files: beside them one who does.
local COUNT = 150
for i = 1, COUNT do
    make('slow' .. i, 2 * MIB)
end
local before, fds = tap.resident(), descriptors()
local slow = {}
for i = 1, COUNT do
    slow[i] = ask('/slow' .. i, { rcvbuf = 4096 })
end
-- The kernel may have room for all of a file, and be done with it.
local begun, count = {}, 0
raw.until_true(function()
    for i = 1, COUNT do
        if not begun[i] and recv(slow[i], 1) == 1 then
            begun[i] = true
            count = count + 1
        end
    end
    return count == COUNT
end)
local reader = ask('/64m')
local got = drain(reader, 62 * MIB)
reader:close()
tap.is(got, 62 * MIB, 'who reads gets all')
-- Each has two sockets here, ours and the server's.
local files = descriptors() - fds - 2 * COUNT
tap.ok(files <= 64 + 8, ('%d files open'):format(files))
tap.ok(tap.resident() - before < 40, ('%d MiB for %d slow readers'):format(
    tap.resident() - before, COUNT))
-- They all get theirs in the end, those that were shut, too.
local done, right = 0, 0
for i = 1, COUNT do
    fiber.new(function()
        local text, size = '', 0
        while size < 2 * MIB - 4096 do
            local n = recv(slow[i], MIB)
            if n > 0 then
                size = size + n
            elseif n == 0 then
                break
            else
                fiber.sleep(0.001)
            end
        end
        right = right + (size >= 2 * MIB - 4096 and 1 or 0)
        done = done + 1
        slow[i]:close()
    end)
end
local deadline = fiber.clock() + 120
while done < COUNT and fiber.clock() < deadline do
    fiber.sleep(0.01)
end
tap.is(right, COUNT, 'slow readers get all of it')
raw.until_true(function() return httpd:stat().waiting == 0 end)
raw.until_true(function() return descriptors() <= fds + 70 end)
tap.ok(true, 'and the files are closed')

-- A file that is cut while it is sent: an end before the end, no filling.
make('cut', 16 * MIB)
local peer = ask('/cut', { rcvbuf = 4096 })
raw.until_true(function() return recv(peer, 1) == 1 end)
fio.truncate(root .. '/cut', 8 * MIB)
local size = drain(peer, 16 * MIB)
tap.ok(size and size <= 8 * MIB, ('%s of 16 MiB came'):format(size))
peer:close()

-- One that is replaced goes on as it was; the next gets the new one.
make('new', 16 * MIB)
peer = ask('/new', { rcvbuf = 4096 })
raw.until_true(function() return recv(peer, 1) == 1 end)
os.remove(root .. '/new')
make('new', 3 * MIB)
tap.is(drain(peer, 16 * MIB), 16 * MIB, 'the old one, whole')
peer:close()
peer = ask('/new')
tap.is(drain(peer, 3 * MIB), 3 * MIB, 'the new one')
peer:close()

-- Who leaves in the middle leaves nothing behind.
for i = 1, 20 do
    peer = ask('/slow' .. i, { rcvbuf = 4096 })
    raw.until_true(function() return recv(peer, 1) == 1 end)
    peer:reset()
end
raw.until_true(function() return httpd:stat().waiting == 0 end)
tap.ok(true, 'they have gone')
httpd:stop()
collectgarbage()
raw.until_true(function() return descriptors() <= fds end)
tap.ok(true, 'no descriptor is left')
fio.rmtree(root)
tap.done()
os.exit(0)
