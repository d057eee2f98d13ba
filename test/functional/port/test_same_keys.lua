-- Maps with a key that comes twice: what the first one held is garbage while the
-- rest is decoded, its keys among it, and they come again.
--
-- test: variants
local json = require('json')
local msgpack = require('msgpack')
local tap = require('tap')
local yaml = require('yaml')

local times = 512
local bytes = '\220\2\0' .. ('\130\161a\129\163xyz\1\161a\5'):rep(times)
local text = '[' .. ('{"a":{"xyz":1},"a":5},'):rep(times - 1) ..
    '{"a":{"xyz":1},"a":5}]'

collectgarbage('setpause', 0)
collectgarbage('setstepmul', 100000)

local function check(name, decode, input)
    local wrong = 0
    for _ = 1, 20 do
        local list = decode(input)
        for i = 1, times do
            local map = list[i]
            if map.a ~= 5 or next(map) ~= 'a' then
                wrong = wrong + 1
            end
        end
    end
    tap.is(wrong, 0, name)
end

check('msgpack', msgpack.decode, bytes)
check('json', json.decode, text)

-- Keys longer than those that are kept, and as many as push each other out.
local map = {}
for i = 1, 500 do map[('k'):rep(i % 100) .. i] = i end
tap.same(msgpack.decode(msgpack.encode(map)), map, 'many keys by msgpack')
tap.same(json.decode(json.encode(map)), map, 'many keys by json')
tap.same(yaml.decode(yaml.encode(map)), map, 'many keys by yaml')
tap.done()
