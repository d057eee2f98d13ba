-- fiber.create, new, self, find, id, name, status, csw, info, storage, time:
-- arguments, results and errors as the public documentation of the peer has
-- them.
--
-- test: variants, turns
local tap = require('tap')
local fiber = require('fiber')

local alone = 0
for _ in pairs(fiber.info()) do alone = alone + 1 end

local function sleeper()
    fiber.sleep(1000)
end

-- create runs at once, until the first wait; new in the next round.
local order = {}
local f = fiber.create(function(...)
    order[#order + 1] = 'created'
    tap.same({ ... }, { 1, nil, 'x', nil }, 'create passes its arguments')
    tap.is(select('#', ...), 4, 'and trailing nils')
    fiber.yield()
    order[#order + 1] = 'went on'
end, 1, nil, 'x', nil)
order[#order + 1] = 'after create'
fiber.new(function(...)
    order[#order + 1] = 'new ' .. select('#', ...)
end, nil, nil)
order[#order + 1] = 'after new'
tap.is(f:status(), 'suspended', 'a fiber that waits is suspended')
fiber.yield()
tap.same(order, { 'created', 'after create', 'after new', 'went on', 'new 2' },
    'create runs at once, new in the next round')
tap.is(f:status(), 'dead', 'one that ended is dead')

for _, name in ipairs({ 'create', 'new' }) do
    for _, bad in ipairs({ 1, 'x', {}, true, fiber.self() }) do
        tap.throws(function() fiber[name](bad) end, 'function',
            name .. ' refuses ' .. type(bad))
    end
    tap.throws(function() fiber[name]() end, 'function', name .. ' of nothing')
    local ok, err = pcall(fiber[name], nil)
    tap.is(not ok and err.type, 'IllegalParams', 'its type')
end

-- Many arguments.
local many = {}
for i = 1, 7000 do many[i] = i end
local sum
fiber.create(function(...) sum = select('#', ...) + (select(7000, ...)) end,
    unpack(many))
tap.is(sum, 14000, 'seven thousand arguments')

-- self, id, find
local main = fiber.self()
tap.is(main, fiber.self(), 'self is one object')
tap.is(type(main), 'userdata', 'of type userdata')
tap.is(main:id(), fiber.id(), 'its number')
tap.is(fiber.find(main:id()), main, 'find gives the same object')
tap.is(fiber.id(main), main:id(), 'id of an object')
local made = fiber.create(sleeper)
tap.is(fiber.find(made:id()), made, 'find of another')
tap.ok(made:id() > main:id(), 'numbers grow')
tap.is(select('#', fiber.find(1e9)), 1, 'find gives one value')
for _, id in ipairs({ 0, -1, 1e9, 1e300, -1e300, 1 / 0, -1 / 0, 0 / 0, 0.5 }) do
    tap.is(fiber.find(id), nil, 'nobody has the number ' .. id)
end
tap.throws(function() fiber.find() end, 'number', 'find of nothing')
local id = made:id()
made:cancel()
fiber.yield()
tap.is(made:id(), id, 'a dead fiber has its number')
tap.is(made:status(), 'dead', 'and a status')
tap.is(fiber.status(made), 'dead', 'also by fiber.status')
tap.is(fiber.find(id), nil, 'but is not found')
for _, use in ipairs({ 'name', 'cancel', 'wakeup', 'csw' }) do
    tap.throws(function() made[use](made) end, 'the fiber is dead',
        use .. ' of a dead fiber')
end
tap.throws(function() return made.storage end, 'the fiber is dead',
    'storage of a dead fiber')
tap.throws(function() made:name('x') end, 'the fiber is dead',
    'a new name for a dead fiber')
tap.throws(function() made:set_joinable(true) end, 'the fiber is dead',
    'set_joinable of a dead fiber')
tap.throws(function() fiber.kill(id) end, 'dead', 'kill of a gone number')

-- status
tap.is(fiber.status(), 'running', 'status of the running one')
tap.is(main:status(), 'running', 'by its object')
fiber.create(function()
    tap.is(main:status(), 'suspended', 'who waits in create is not running')
    tap.is(fiber.status(), 'running', 'who was created is')
end)
local fresh = fiber.new(function() end)
tap.is(fresh:status(), 'suspended', 'a new fiber is suspended')
fiber.yield()

-- name
tap.is(fiber.create(sleeper):name(), 'lua', 'the first name')
made = fiber.create(sleeper)
tap.is(select('#', made:name('worker')), 0, 'naming gives nothing')
tap.is(made:name(), 'worker', 'the new name')
tap.is(fiber.name(made), 'worker', 'by fiber.name')
fiber.name('me')
tap.is(fiber.name(), 'me', "one's own name")
tap.is(main:name(), 'me', 'by the object')
made:name('')
tap.is(made:name(), '', 'no name')
tap.throws(function() made:name(('n'):rep(1000)) end, 'at most',
    'a long name is refused')
tap.is(made:name(), '', 'and nothing changed')
made:name(('n'):rep(1000), { truncate = true })
tap.is(made:name(), ('n'):rep(255), 'or cut')
tap.throws(function() made:name({}) end, 'string', 'a name is a string')

-- csw
local before = fiber.self():csw()
fiber.yield()
fiber.yield()
tap.is(fiber.self():csw(), before + 2, 'switches are counted')
tap.is(fiber.csw(), before + 2, "one's own")

-- info
local info = fiber.info()
tap.is(type(info[fiber.id()]), 'table', 'info has the running fiber')
tap.is(info[fiber.id()].fid, fiber.id(), 'its number')
tap.is(info[fiber.id()].name, 'me', 'its name')
tap.is(info[fiber.id()].csw, fiber.csw(), 'its switches')
tap.is(info[made:id()].name, made:name(), 'and another')
tap.is(info[id], nil, 'no dead one')
made = fiber.create(sleeper)

-- storage
main.storage.a = 1
tap.is(fiber.self().storage.a, 1, 'storage')
tap.is(fiber.storage, main.storage, 'fiber.storage is the running one\'s')
made.storage.x = 'theirs'
tap.is(made.storage.x, 'theirs', 'another fiber\'s')
tap.is(fiber.storage.x, nil, 'is its own')
local seen
fiber.create(function() fiber.storage.secret = 1 end)
fiber.create(function() seen = fiber.storage.secret end)
tap.is(seen, nil, 'the next fiber in its place has none of it')
seen = nil
fiber.create(function() fiber.self():name('old') end)
fiber.create(function() seen = fiber.self():name() end)
tap.is(seen, 'lua', 'nor its name')

-- What one fiber does to its thread's globals is not the next one's.
fiber.create(function() setfenv(0, { print = 1 }) end)
fiber.create(function() seen = loadstring('return tostring')() end)
tap.is(seen, tostring, 'setfenv(0) ends with its fiber')
fiber.create(function()
    setfenv(0, { none = 1 })
    fiber.create(function() seen = loadstring('return tostring, none') end)
    setfenv(0, _G)
end)
tap.is(seen(), tostring, 'and does not go to a fiber made in it')

-- objects
tap.like(tostring(made), '^fiber: ' .. made:id() .. '$', 'tostring')
tap.is(getmetatable(made), false, 'the metatable is locked')
tap.throws(function() made.x = 1 end, '', 'no fields')
tap.is(made.nothing, nil, 'an unknown field is nil')
for _, use in ipairs({ 'id', 'name', 'status', 'cancel', 'wakeup', 'csw',
    'set_joinable', 'join' }) do
    tap.throws(function() made[use](io.stdout) end, '',
        use .. ' of another userdata')
    tap.throws(function() made[use]({}) end, '', use .. ' of a table')
end

-- time
local ffi = require('ffi')
tap.is(type(fiber.time()), 'number', 'time')
tap.ok(math.abs(fiber.time() - os.time()) < 5, 'is the system\'s')
tap.ok(ffi.istype('int64_t', fiber.time64()), 'time64 is int64_t')
tap.ok(math.abs(tonumber(fiber.time64()) / 1e6 - fiber.time()) < 5,
    'in microseconds')
tap.ok(ffi.istype('int64_t', fiber.clock64()), 'clock64 is int64_t')
tap.ok(fiber.clock64() - fiber.clock64() <= 0, 'differences have a sign')
local t = fiber.clock()
fiber.sleep(0.002)
tap.ok(fiber.clock() - t >= 0.002, 'a sleep is never too short')

local function count()
    local n = 0
    for _ in pairs(fiber.info()) do n = n + 1 end
    return n
end
for _, other in pairs(fiber.info()) do
    if other.fid > main:id() then fiber.find(other.fid):cancel() end
end
fiber.yield()
tap.is(count(), alone, 'all are gone')
tap.done()
