-- The client of test_chains.sh: `chains.lua PORT WORKERS SECONDS`. Requests with chains
-- of 20 steps, of random kinds, on connections that are kept; what each should give is
-- computed here.
local fiber = require('fiber')
local http = require('http.client')

local port, workers, count = arg[1], tonumber(arg[2]), tonumber(arg[3])
local base = 'http://127.0.0.1:' .. port
local SLOTS, SALT = 20, { s = 1, p = 2 }
local NUMBER = { a = 1, f = 2, c = 3 }

local function check(got, want, what)
    if got ~= want then
        print('FAIL', what, 'got', got, 'want', want)
        os.exit(1)
    end
end

-- steps: {{kind, what, number}, ..}; ends with a service of that kind.
local function ask(client, path, steps, last)
    local headers = { ['x-end'] = last }
    local sum, trace, counts = 1, '', {}
    for i, step in ipairs(steps) do
        local kind, what, x = unpack(step)
        headers['x-k' .. i] = kind .. what
        headers['x-n' .. i] = tostring(x)
        sum = (sum * 31 + (what == 'c' and i or x) * SALT[kind] +
            NUMBER[what]) % 65521
        if what ~= 'c' then
            trace = trace .. kind
            counts[kind] = (counts[kind] or 0) + 1
        end
    end
    local r = client:get(base .. path, { headers = headers })
    local name = path
    for _, step in ipairs(steps) do
        name = name .. ' ' .. table.concat(step)
    end
    check(r.status, 200, name)
    check(r.body, ('%d %s'):format(sum, trace == '' and '-' or trace), name)
    local seen = ''
    for i, kind in ipairs({ 's', 'p' }) do
        local own = kind == last and (counts[kind] or 0) or counts[kind] or -1
        seen = ('%s%s%s%d%s'):format(seen, i > 1 and ',' or '', kind, own,
            kind == last and path or '')
    end
    check(r.headers['x-seen'], seen, name)
end

local function random_chain(random)
    local steps = {}
    for i = 1, random(SLOTS) do
        local kind = random(2) == 1 and 's' or 'p'
        local pick = random(3)
        steps[i] = { kind, ('afc'):sub(pick, pick), random(1000) }
    end
    return steps
end

local one = http.new()

-- Every ordered pair, and the chains of one and of three.
local kinds = { 'sa', 'pa', 'sf', 'pf', 'sc', 'pc' }
local function step_of(text, x)
    return { text:sub(1, 1), text:sub(2), x }
end
for _, last in ipairs({ 's', 'p' }) do
    ask(one, '/none', {}, last)
    for _, a in ipairs(kinds) do
        for _, b in ipairs(kinds) do
            ask(one, '/pair', { step_of(a, 6), step_of(b, 14) }, last)
            ask(one, '/back', { step_of(a, 21), step_of(b, 5), step_of(a, 1) },
                last)
        end
    end
end

-- Nested in each other.
local function nested(kind, depth)
    local other = kind == 's' and 'p' or 's'
    local inner = depth == 0 and '/nested' or nested(other, depth - 1)
    return ('%s%s(%s)'):format(kind, other, inner)
end
for _, kind in ipairs({ 's', 'p' }) do
    for _, depth in ipairs({ 0, 1, 2, 7 }) do
        local r = one:get(('%s/nested'):format(base),
            { headers = { ['x-nest'] = kind .. depth } })
        check(r.body, nested(kind, depth), 'nested')
    end
    -- No end of it is an error, and the request after it is fine.
    check(one:get(base .. '/nested', { headers = { ['x-nest'] = kind .. 99 } })
        .body, 'none', 'too deep')
    ask(one, '/after', { { kind, 'a', 3 } }, kind)
end

-- Many at a time.
local group, turns = fiber.group(), 0
local since = fiber.clock()
for id = 1, 12 do
    group:spawn(function()
        local client = http.new()
        while turns < count do
            turns = turns + 1
            ask(client, '/' .. id .. '/' .. turns, random_chain(math.random),
                math.random(2) == 1 and 's' or 'p')
        end
    end)
end
group:wait()

-- Each worker has a global of its own, the shared state one for all.
local seen = {}
for _ = 1, 1000 do
    local fresh = http.new()
    local kind = math.random(2) == 1 and 's' or 'p'
    local id = fresh:get(base .. '/served/' .. kind).body:match('^%d+')
    seen[tonumber(id)] = true
    if #seen == workers and seen[0] then break end
end
check(#seen, workers, 'all workers have served')
check(seen[0], true, 'and the shared state')
print(('%d chains'):format(turns))
os.exit(0)
