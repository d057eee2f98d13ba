-- Values as the console shows them, beside Tarantool's console: byte for byte the same.
-- What Tarantool said to some of them is kept in peer_yaml.txt, for machines without it;
-- where it is installed that file is checked, and many values made at random are.
-- test: timeout 120, soak 600
--
-- Not compared: addresses; maps of several keys, whose order is either's own; whole keys
-- beyond 2^31, which Tarantool 2.6 drops; characters of planes 1 to 3 that Unicode gives no
-- meaning, which it writes in base64; NULL pointers but of void, which are null here, as in
-- JSON; what is said of a __serialize that fails.
local console = require('console')
local socket = require('socket')
local tap = require('tap')

local TMP = os.getenv('TMPDIR')
local KEPT = os.getenv('NEAP_SOURCE_DIR') .. '/test/functional/console/peer_yaml.txt'
local MARK = '#### '
local MANY = tap.soak(100000, 4000)

-- --- who answers ---

local path = TMP .. '/c.sock'
local server = assert(console.listen(path, { audit = false }))
local client = assert(socket.tcp_connect('unix/', path))
client:write('\\frame END\n')
client:read('END ok\n')

local function ours(expression)
    client:write(expression .. '\nEND\n')
    local answer = client:read('END ')
    client:read('\n')
    return answer:sub(1, -5)
end

-- The answers of Tarantool's console; nil: it is not installed.
local function theirs(expressions)
    local f = assert(io.open(TMP .. '/ask.lua', 'w'))
    f:write([[
        local eval = require('console').eval
        for line in io.lines(arg[1]) do
            io.write(eval(line), '\0')
        end
        os.exit(0)
    ]])
    f:close()
    f = assert(io.open(TMP .. '/lines', 'w'))
    f:write(table.concat(expressions, '\n'), '\n')
    f:close()
    local p = assert(io.popen(('cd %s && tarantool ask.lua lines 2> /dev/null'):format(TMP)))
    local text = p:read('*a')
    p:close()
    os.remove(TMP .. '/ask.lua')
    os.remove(TMP .. '/lines')
    local answers = {}
    for answer in text:gmatch('(%Z*)%z') do
        answers[#answers + 1] = answer
    end
    return #answers == #expressions and answers or nil
end

local function compare(name, expressions, answers)
    local wrong = 0
    for i, e in ipairs(expressions) do
        local got = ours(e)
        if got ~= answers[i] then
            wrong = wrong + 1
            if wrong <= 5 then
                tap.diag(('%s\nours:\n%stheirs:\n%s'):format(e, got, answers[i]))
            end
        end
    end
    tap.is(wrong, 0, ('%s: %d values'):format(name, #expressions))
end

-- --- what is kept ---

local function quoted(text)
    return '"' .. text:gsub('[^%w !#-%[%]-~]', function(ch)
        return ('\\%03d'):format(ch:byte())
    end) .. '"'
end

local kept = {
    '1', '1, 2.5, -1, 0, 1e15, 1e16, 1e100, 0.1, 1/3, 2^53, 2^63, -2^63, 2^64, 5e-324',
    '0/0, -(0/0), 1/0, -1/0, 1e14, 1e14 + 0.5, 1e-5, 0.1 + 0.2, 123456789012345678',
    '1LL, -1LL, 1ULL, 18446744073709551615ULL, -9223372036854775807LL',
    'true, false, nil', 'nil', 'nil, nil', 'return', 'x = 1', 'nil, 1, nil',
    '{}', '{{}}', '{{}, {}}', '{a = {}}', '{{a = 1}}', '{{a = {1, {b = 2}}}}', '{1, nil, 3}',
    '{[1] = 1, [3] = 3}', '{[5] = 1}', '{[10] = 1}', '{[11] = 1}', '{[100] = 1}', '{[2^30] = 1}', '{[1.5] = 1}', '{[true] = 1}',
    '{[-1] = 2}', '{[0] = 1}', '{[1LL] = 2}', '{["a b"] = 1}', '{[""] = 1}', '{y = 1}',
    '{["1"] = 1}', '{["null"] = 1}', '{["a\\nb"] = 1}', '{["a\\n\\nb"] = 1}', '{a = ""}',
    '{{"", 1}}', '{a = {b = ""}}', '{a = "x\\n\\ny"}', '{{{{{{{{1}}}}}}}}',
    "setmetatable({1, 2}, {__serialize = 'map'})",
    "setmetatable({1, 2}, {__serialize = 'seq'})",
    "setmetatable({1, {2}}, {__serialize = 'sequence'})",
    "setmetatable({}, {__serialize = 'map'})", "setmetatable({}, {__serialize = 'mapping'})",
    "setmetatable({a = {1, 'y'}}, {__serialize = 'map'})",
    "setmetatable({a = {1, 'y'}}, {__serialize = 'mapping'})",
    "setmetatable({'a\\nb', ''}, {__serialize = 'seq'})",
    "setmetatable({}, {__serialize = function() return 'text' end})",
    "setmetatable({}, {__serialize = function() return {1, 2} end})",
    "setmetatable({}, {__tostring = function() return 'told' end})",
    't = {1} return {t, t}', 't = {1} return t, t', 't = {} t[1] = t return t',
    't = {a = 1} return {{t}, {t}}',
    'error("x", 0)', 'error({a = 1})', 'error({1})', 'error(5)', 'error(nil)', 'error()',
    'error("a\\nb", 0)', 'error("a: b", 0)', 'x y', 'local a = 5 return a',
}
for _, word in ipairs({ '', ' ', '~', 'null', 'Null', 'NULL', 'y', 'Y', 'yes', 'Yes', 'YES',
    'no', 'No', 'n', 'true', 'True', 'TRUE', 'false', 'on', 'On', 'off', 'nan', 'NaN', '.nan',
    'inf', '-inf', '.inf', '-.inf', 'Infinity', '0x1', '0x', '0b1', '0o7', '017', '1_000', '1e5',
    '1.', '.5', '+1', '-1', '1:30', '1e', '0x1p3', '0x.1', '0x.', '0x1.', '0x1p', '0x1p+', '0x1p-2', '-0x1.8p1', '0xg', '0x+', '+0b1',
    '0b2', '0b', '0b1_0', '1\n', '\n\n1', '1\n\n', '\n\ninf', 'true\n\n', 'null\n\n', '~\n\n', '1e5\n\n',
    '1ULL', '1LL', '=', '<<', '---',
    '...', '-', '--', '- ', ' a', 'a ', 'a:', 'a: b', 'a:b', 'a #b', 'a#b', '#', '?', '? a', '!',
    '!a', '&', '&a', '*', '%', '@', '`', '"', "'", "it's", '|', '>', '[', ']', '{', '}', ',',
    'a,b', '[a', 'a]b', '\\', '/', 'a\tb', '\t', '\n', '\n\n', 'a\n', '\na', 'a\nb', 'a\n\nb',
    'a\n\n', ' a\n\nb', 'a \n\nb', '\n\na', '\ta\n\nb', 'a\n\n\tb', 'a\r\nb', 'a\r\n\r\nb',
    '2001-01-01', '12:30:45', 'a' .. ('b c '):rep(40), ('x'):rep(300),
    ('long words '):rep(30) .. '\n\nend', 'e\204\129', '\195\169', '\226\130\172',
    '\240\159\152\128', '\237\160\128', '\194\133', '\194\160', '\226\128\168', '\239\187\191',
    '\239\191\190', '\239\191\189', '\255\254', '\195', 'a\0b', '\127',
    '\243\176\128\128', '\244\143\191\191', '\240\159\191\190', 'a\243\160\132\128',
    '\243\160\128\129' }) do
    kept[#kept + 1] = quoted(word)
end
for i = 0, 255 do
    kept[#kept + 1] = quoted('a' .. string.char(i) .. 'b')
end

local function read_kept()
    local f = assert(io.open(KEPT))
    local answers, expressions, n = {}, {}, 0
    for line in f:lines() do
        if line:sub(1, #MARK) == MARK then
            n = n + 1
            expressions[n], answers[n] = line:sub(#MARK + 1), ''
        else
            answers[n] = answers[n] .. line .. '\n'
        end
    end
    f:close()
    return expressions, answers
end

local answers = theirs(kept)
if os.getenv('NEAP_KEEP') and answers ~= nil then -- written anew, to be looked at
    local f = assert(io.open(KEPT, 'w'))
    for i, e in ipairs(kept) do
        f:write(MARK, e, '\n', answers[i])
    end
    f:close()
end
local kept_expressions, kept_answers = read_kept()
tap.ok(table.concat(kept_expressions, '\n') == table.concat(kept, '\n'),
    'what is kept is of these values')
compare('kept', kept, kept_answers)

-- --- at random ---

local pieces = { 'a', 'b', 'word', ' ', ' ', '\n', '\n', '\n\n', '\t', ':', ': ', '- ', '-', '#',
    ' #', "'", '"', '\195\169', '\226\130\172', '\240\159\152\128', '\1', '\27', '\127',
    '\194\133', '\194\160', '\226\128\169', '[', ']', '{', '}', ',', '&', '*', '!', '|', '>',
    '%', '@', '`', '?', '0', '1', '.', 'e', 'x', '~', 'null', 'true', 'y', 'inf', '\255', '\r',
    '\\', '=', '\0', '_', '+', '/' }
math.randomseed(tonumber(os.getenv('NEAP_SEED')) or 7)
local random = math.random

-- A character of any script, and what stands for none.
local function character()
    local n = ({ random(0x80, 0x7ff), random(0x800, 0xd7ff), random(0xe000, 0xfffd),
        random(0x300, 0x36f), random(0x2000, 0x206f), random(0xd800, 0xdfff) })[random(6)]
    if n < 0x800 then
        return string.char(0xc0 + math.floor(n / 64), 0x80 + n % 64)
    end
    return string.char(0xe0 + math.floor(n / 4096), 0x80 + math.floor(n / 64) % 64,
        0x80 + n % 64)
end

local function text()
    local parts = {}
    for i = 1, random(0, random() < 0.1 and 60 or 6) do
        parts[i] = random(9) == 1 and character() or random(20) == 1
            and string.char(random(0, 255)) or pieces[random(#pieces)]
    end
    return quoted(table.concat(parts))
end

local function number()
    local kind = random(5)
    if kind == 1 then
        return tostring(random(-1000, 1000))
    elseif kind == 2 then
        return ('%.17g'):format((random() - 0.5) * 10 ^ random(-20, 20))
    elseif kind == 3 then
        return ('%d'):format(random(0, 2 ^ 31 - 1)) .. 'LL'
    elseif kind == 4 then
        return ('2 ^ %d'):format(random(-70, 70))
    end
    return ('%d / %d'):format(random(-99, 99), random(0, 99))
end

-- Whole ones at the edges of their types.
local function edge()
    local n = ('%d'):format(random(0, 9))
    return ({ '9223372036854775807LL - ' .. n, '-9223372036854775807LL - 1 + ' .. n,
        '18446744073709551615ULL - ' .. n, '9007199254740992 + ' .. n,
        '-9007199254740992 - ' .. n, '2 ^ 63 - ' .. n, '4294967295 + ' .. n,
        '1e14 - ' .. n, '1e15 + ' .. n, '0x' .. ('f'):rep(random(12)) .. 'ULL',
        n .. 'LL', n .. 'ULL', '-0' })[random(13)]
end

local types = { 'int8_t', 'uint8_t', 'int16_t', 'uint16_t', 'int32_t', 'uint32_t', 'int64_t',
    'uint64_t', 'float', 'double', 'bool', 'char' }

local function cdata()
    if random(9) == 1 then
        return "require('ffi').new('void *')"
    end
    return ("require('ffi').new('%s', %d)"):format(types[random(#types)], random(0, 1))
end

local value, list

-- A list with holes: one that stays a list, most likely.
local function holes(depth)
    local parts = {}
    for i = 1, random(2, 12) do
        parts[i] = random(3) == 1 and 'nil' or value(depth - 1)
    end
    parts[#parts + 1] = value(0)
    return '{' .. table.concat(parts, ', ') .. '}'
end

-- Tables that are in several places, and within themselves.
local function shared()
    local n, parts = random(4), {}
    for i = 1, n do
        parts[i] = ('local t%d = {} '):format(i)
    end
    for i = 1, n do
        for k = 1, random(0, 3) do
            local what = random(4) > 1 and 't' .. random(n) or value(1)
            parts[#parts + 1] = ('t%d[%d] = %s '):format(i, k, random(4) > 1 and what
                or ('{k = %s}'):format(what))
        end
    end
    return table.concat(parts) .. ({ 'return t1', 'return t1, t1', 'return {t1, t1}',
        'return {a = t1}', 'return {t1, {t1}}', 'return t1, {b = t1}' })[random(6)]
end

function list(depth)
    local parts = {}
    for i = 1, random(0, 4) do
        parts[i] = value(depth - 1)
    end
    return '{' .. table.concat(parts, ', ') .. '}'
end

function value(depth)
    local kind = random(depth > 0 and 10 or 6)
    if kind <= 3 then
        return text()
    elseif kind <= 5 then
        return random(4) == 1 and cdata() or random(4) == 1 and edge() or number()
    elseif kind == 6 then
        return ({ 'true', 'false', 'nil', '{}', '{{}}', "require('yaml').NULL",
            "require('json').NULL", 'print == nil' })[random(8)]
    elseif kind <= 8 then
        return random(6) == 1 and holes(depth) or list(depth)
    elseif kind == 9 then
        local key = random(3) == 1 and ('%d'):format(random(-40, 40)) or text()
        return ('{[%s] = %s}'):format(key, value(depth - 1))
    end
    local how = ({ 'map', 'mapping', 'seq', 'sequence' })[random(4)]
    return ("setmetatable(%s, {__serialize = '%s'})"):format(list(depth), how)
end

if answers == nil then
    tap.skip('Tarantool itself', 'THE PACKAGE tarantool IS NOT INSTALLED: ONLY WHAT IS KEPT '
        .. 'WAS COMPARED')
else
    tap.ok(table.concat(answers) == table.concat(kept_answers), 'Tarantool still says so')
    local many = {}
    for i = 1, MANY do
        many[i] = random(10) == 1 and shared() or 'return ' .. value(random(0, 4))
    end
    compare('at random', many, assert(theirs(many)))
end

client:close()
server:close()
tap.done()
