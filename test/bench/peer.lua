-- The same figures by the peer, run by it: `tarantool peer.lua FIGURE`. What
-- ours.lua does, as the peer does it fastest; BENCH_WORK holds its module,
-- bench.so.

local fiber = require('fiber')
local measure = require('measure')

local figures = require('fibers')

-- As many of them as it can hold: each has a stack, and the kernel a limit for
-- mappings.
function figures.idle(count)
    local channel = fiber.channel(0)
    local function wait()
        channel:get()
    end
    for _ = 1, 100 do
        fiber.create(wait)
    end
    local lua, rss = measure.lua_memory(), measure.rss()
    local held, reason = 0, nil
    while held < tonumber(count) do
        local ok, err = pcall(fiber.create, wait)
        if not ok then
            reason = tostring(err)
            break
        end
        held = held + 1
    end
    if reason and not reason:find('mprotect') then
        error(reason, 0)
    end
    measure.print('count', held)
    measure.print('rss', (measure.rss() - rss) / held)
    measure.print('lua', (measure.lua_memory() - lua) / held)
end

-- What waits for standard input there: a descriptor, not a file of Lua.
local ffi = require('ffi')
ffi.cdef('long read(int fd, void *to, size_t size);')

local function new_reader()
    local bytes, size, text = ffi.new('char[?]', 4096), 4096, ''
    return function()
        while true do
            local line, rest = text:match('^([^\n]*)\n(.*)$')
            if line then
                text = rest
                return line
            end
            require('socket').iowait(0, 'R')
            local n = tonumber(ffi.C.read(0, bytes, size))
            if n <= 0 then
                return nil
            end
            text = text .. ffi.string(bytes, n)
        end
    end
end

figures.delay = require('delay')(new_reader())

-- A database of its own, which writes nothing down and listens to nobody.
local function use_module()
    local work = assert(os.getenv('BENCH_WORK'))
    local folder = ('%s/peer.%d'):format(work, require('tarantool').pid())
    assert(require('fio').mkdir(folder))
    box.cfg({ wal_mode = 'none', work_dir = folder, log = folder .. '/log',
              memtx_memory = 32 * 1024 * 1024 })
    package.cpath = work .. '/?.so;' .. package.cpath
end

local function create(name)
    box.schema.func.create(name, { language = 'C' })
end

-- By name: a table of arguments, as box.func[name]:call() wants, costs more.
local function call_of(name)
    use_module()
    create(name)
    return box.schema.func.call
end

function figures.cmod_noop()
    local call = call_of('bench.noop')
    assert(select('#', call('bench.noop')) == 0)
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            call('bench.noop')
        end
    end))
end

function figures.cmod_sum()
    local call, sum = call_of('bench.sum'), nil
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            sum = call('bench.sum', 1, 2)
        end
        assert(sum == 3)
    end))
end

function figures.cmod_echo()
    local call = call_of('bench.echo')
    local map = { id = 17, name = 'a name', ok = true }
    local copy = call('bench.echo', map)
    assert(copy ~= map and copy.id == 17 and copy.name == 'a name' and
           copy.ok == true)
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            call('bench.echo', map)
        end
    end))
end

-- Another function of a module that is loaded: its first call looks it up.
function figures.cmod_cached()
    local call = call_of('bench.noop')
    local drop = box.schema.func.drop
    call('bench.noop')
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            create('bench.sum')
            call('bench.sum', 1, 2)
            drop('bench.sum')
        end
    end))
end

-- The library is mapped, its one function looked up, the one before given back.
function figures.cmod_uncached()
    local call, reload = call_of('bench.sum'), box.schema.func.reload
    call('bench.sum', 1, 2)
    measure.print('rate', measure.rate(function(n)
        for _ = 1, n do
            reload('bench')
        end
    end))
    assert(call('bench.sum', 1, 2) == 3)
end

function figures.msgpack_encode()
    local encode = require('msgpack').encode
    local value = measure.mixed()
    local size = #encode(value)
    measure.print('rate', size * measure.rate(function(n)
        for _ = 1, n do
            encode(value)
        end
    end))
end

function figures.msgpack_decode()
    local msgpack = require('msgpack')
    local decode = msgpack.decode
    local data = msgpack.encode(measure.mixed())
    assert(decode(data).items[10].title == 'an item with a title 10')
    measure.print('rate', #data * measure.rate(function(n)
        for _ = 1, n do
            decode(data)
        end
    end))
end

-- It would report an error and go on; and with a database it never ends.
local ok, err = pcall(measure.main, figures)
if not ok then
    io.stderr:write(tostring(err), '\n')
end
os.exit(ok and 0 or 1)
