-- Runs each hostile program COUNT times beside a fiber that works, in a state
-- with a memory limit: `corpus.lua COUNT [NAME]`. Prints what went wrong, at the
-- end "fine", on one line each.
package.path = arg[0]:match('^(.*/)') .. '?.lua;' .. package.path
local fiber = require('fiber')
local neap = require('neap')
local hostile = require('hostile')

local count, only = tonumber(arg[1]), arg[2]
local limit = neap.memory().limit
local wrong = 0

local function complain(...)
    wrong = wrong + 1
    print('WRONG: ' .. string.format(...))
    if wrong > 20 then os.exit(1) end
end

-- The neighbour: small work with sums to have, and answers to questions.
local questions, answers = fiber.channel(0), fiber.channel(0)
local rounds = 0
local function work()
    rounds = rounds + 1
    local t = {}
    for i = 1, 20 do t[i] = { i, tostring(i) .. ':' .. rounds } end
    local s = 0
    for _, v in ipairs(t) do s = s + v[1] + #v[2] - #(':' .. rounds) end
    return s
end
local neighbour = fiber.new(function()
    local right = work()
    while true do
        local q = questions:get(0.002)
        local s = work()
        if s ~= right then error('the neighbour has ' .. s) end
        if q ~= nil then answers:put(q + s) end
    end
end)
neighbour:set_joinable(true)
neighbour:name('neighbour')
fiber.sleep(0.01)

local function ask(name, i)
    if neighbour:status() == 'dead' then
        local _, err = neighbour:join()
        complain('%s, run %d: the neighbour died: %s', name, i, tostring(err))
        os.exit(1)
    end
    if not questions:put(i, 30) or answers:get(30) ~= i + 20 * 21 / 2 + 31 then
        complain('%s, run %d: the neighbour answers wrong or not', name, i)
    end
end

local function level()
    collectgarbage()
    collectgarbage()
    collectgarbage()
    return neap.memory().used
end

-- These end well, or by an error of their own, and not always by a lack.
local own_end = {
    coroutines_in_each_other = true, recursion = true, varargs = true,
    unpacking = true, index_recursion = true, load_large = true, load_nested = true,
    load_endless = true, string_rep = true, xpcall_in_xpcall = true,
    json = true, msgpack = true, string_buffer_encode = true,
}

local function run(name, i)
    local f = fiber.new(hostile[name])
    f:set_joinable(true)
    f:name('offender')
    -- What catches its errors ends by this.
    fiber.set_limits(f, { burst = name:find('^swallow') and 0.05 or 10, total = 20 })
    local ok, err = f:join(120)
    local text = tostring(err)
    if text == 'timed out' then
        complain('%s, run %d: it does not end', name, i)
        os.exit(1)
    elseif name:find('^swallow') then
        -- Or by a lack outside of the pcall.
        if ok or err.type ~= 'LimitExceeded' and err.type ~= 'OutOfMemory' then
            complain('%s, run %d: ended by %s', name, i, text)
        end
    elseif not own_end[name] and (ok or not text:find('not enough memory')) then
        complain('%s, run %d: %s', name, i, ok and 'ended well' or text)
    end
    if not ok and text == 'not enough memory' and type(err) == 'userdata' and
        err.type ~= 'OutOfMemory' then
        complain('%s, run %d: of type %s', name, i, err.type)
    end
end

local names = {}
for name in pairs(hostile) do
    if only == nil or name == only then names[#names + 1] = name end
end
table.sort(names)

for _, name in ipairs(names) do
    local before, clock = nil, os.clock()
    run(name, 0)
    ask(name, 0)
    before = level()
    for i = 1, count do
        run(name, i)
        ask(name, i)
    end
    -- Fibers that an offender has made begin after those that were waiting, where
    -- one of them is put aside: they may not have ended yet.
    local after = level()
    for _ = 1, 1000 do
        if after <= before + limit / 8 and after <= limit / 2 then break end
        fiber.sleep(0.01)
        after = level()
    end
    if after > before + limit / 8 or after > limit / 2 then
        complain('%s: %d bytes before, %d after', name, before, after)
    end
    io.stderr:write(('%-28s %7.1f ms a run, %d KB, peak %d KB\n'):format(name,
        (os.clock() - clock) * 1000 / (count + 1), after / 1024,
        neap.memory().peak / 1024))
end
if neap.memory().peak > limit + limit / 8 then
    complain('the peak is %d', neap.memory().peak)
end
if wrong == 0 then print('fine') end
os.exit(wrong == 0 and 0 or 1)
