-- Run by each worker of test_workers.sh: maps and variables under all of them at once.
-- arg[1]: for how many seconds.
local fiber = require('fiber')
local core = require('neap.core_tools')
local states = require('neap.states')
local Map, pairs = core.classes.Map, core.classes.pairs

local stop_at = fiber.clock() + tonumber(arg[1])
local maps = {
    beg = Map.new('virt@beg', Map._beg), str = Map.new('virt@beg', Map._str),
    ip = Map.new('virt@ip', Map._ip), reg = Map.new('virt@reg', Map._reg),
}
local beg, ip, reg = core.get_patref('virt@beg'), core.get_patref('virt@ip'),
    core.get_patref('virt@reg')

-- Each generation has all keys, with the same value.
local function fill(ref, keys, value)
    assert(ref:prepare())
    for _, key in ipairs(keys) do
        local ok, err = ref:add(key, value)
        if not ok then
            assert(err:find('is gone', 1, true), err)
        end
    end
    local ok, err = ref:commit()
    assert(ok or err:find('newer one was committed', 1, true), err)
end

-- Every worker hears of all.
local events = require('neap.core_events')
local heard, changed = 0, 0
local sub = core.event_sub({ 'MODULE' }, function(_, data)
    assert(type(data.from) == 'number')
    heard = heard + 1
end)
local watch = core.get_patref('virt@ip'):event_sub({ 'PAT_REF' }, function(event)
    assert(event:find('^PAT_REF_'))
    changed = changed + 1
end)

local beg_keys, ip_keys, reg_keys = {}, {}, {}
for i = 1, 200 do beg_keys[i] = ('key%d'):format(i) end
for i = 1, 200 do ip_keys[i] = ('10.%d.0.0/16'):format(i) end
for i = 1, 5 do reg_keys[i] = ('^%d[a-z]+$'):format(i) end
if beg:size() == 0 then fill(beg, beg_keys, '0') end
if ip:size() == 0 then fill(ip, ip_keys, '0') end
if reg:size() == 0 then fill(reg, reg_keys, '0') end

local function readers()
    while fiber.clock() < stop_at do
        for i = 1, 200 do
            assert(maps.beg:lookup(('key%dx'):format(i)), 'beg')
            assert(maps.str:lookup(('key%d'):format(i)), 'str')
            assert(maps.ip:lookup(('10.%d.1.2'):format(i)), 'ip')
        end
        for i = 1, 5 do
            assert(maps.reg:lookup(i .. 'abc'), 'reg')
        end
        local n = 0
        for _ in pairs(core.get_patref('virt@ip')) do n = n + 1 end
        assert(n >= 200, n)
        local v = core.get_var('proc.shared')
        assert(v == nil or #v == 100, 'a variable')
        fiber.yield()
    end
end

local function writers()
    local round = 0
    while fiber.clock() < stop_at do
        round = round + 1
        local own = ('w%d-%d'):format(states.id, round)
        fill(beg, beg_keys, own)
        fill(ip, ip_keys, own)
        fill(reg, reg_keys, own)
        local other = core.get_patref('virt@ip')
        other:set(ip_keys[round % 200 + 1], own)
        other:add('fd00::' .. states.id, own)
        other:del('fd00::' .. states.id)
        events.publish('MODULE_LOAD', { from = states.id })
        core.event_sub({ 'RELOAD' }, print):unsub()
        core.set_var('proc.shared', tostring(states.id):rep(100))
        core.set_var('proc.own' .. states.id, round)
        assert(core.get_var('proc.own' .. states.id) == round)
        fiber.yield()
    end
end

local all = {}
for _, f in ipairs({ readers, readers, writers }) do
    local one = fiber.new(f)
    one:set_joinable(true)
    all[#all + 1] = one
end
for _, one in ipairs(all) do
    local ok, err = one:join()
    if not ok then print('FAIL', err) end
end
if heard == 0 or changed == 0 then print('FAIL', heard, changed) end
if states.id % 2 == 0 then
    sub:unsub()
    watch:unsub()
end
print('done')
