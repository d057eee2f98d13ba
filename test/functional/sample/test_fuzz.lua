-- Random and damaged texts compile, or give a proper error with a column inside of the
-- text; what has compiled runs without one.
-- test: timeout 60
package.path = os.getenv('NEAP_SOURCE_DIR') .. '/test/functional/sample/?.lua;'
    .. package.path
local fake_txn = require('fake_txn')
local sample = require('neap.sample')
local tap = require('tap')

local seed = tonumber(os.getenv('NEAP_SEED') or os.time())
math.randomseed(seed)
tap.diag('NEAP_SEED=' .. seed)
local random = math.random

local seeds = { expression = {}, condition = {}, template = {} }
for _, case in ipairs(require('cases')) do
    for _, text in ipairs(case.expressions) do
        table.insert(seeds.expression, text)
        table.insert(seeds.template, ('x%%{+Q}[%s]%%HM'):format(text))
        table.insert(seeds.condition, text .. ' == a')
    end
    for _, text in ipairs(case.conditions) do
        table.insert(seeds.condition, text)
    end
end
for _, text in ipairs({ '%t %T %ci:%cp "%r" %ST %B', '%{+Q,-E}o%%%[path]' }) do
    table.insert(seeds.template, text)
end
for _, text in ipairs({ "path in (a, b) and (src == 10.0.0.0/8 or not method == 'GET')",
                        "req.hdr(x) matches '^a' && path begins /x || ssl_fc" }) do
    table.insert(seeds.condition, text)
end

local function names_of(known)
    local names = {}
    for name in pairs(known) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

local fetches, converters = names_of(sample.fetches), names_of(sample.converters)
local arguments = { '', 'a', '1', '-1', '0', '5', 'txn.n', 'txn.s', 'host', '24', '::1',
    '10.0.0.1', 'sha256', "'a,b'", 'g', '99999999999999999999', '$.a', 'a;b', '%Y', 'ms',
    'utf8', 'x-l', '(', '"', '\\', '9007199254740993' }
local pieces = { ' ', ',', '(', ')', '{', '}', '%', '[', ']', '"', "'", '\\', ' and ', ' or ',
    '!', ' == ', ' in ', ' -m ', ' -i ', ' beg ', '||', '&&', ' not ', '%[', '%{+J}', '\0',
    '\255', ' lt ', ':', '/8', '<', '>=' }

-- Arguments of each kind that are good.
local good = {
    string = { 'a', 'sha256', 'x-l', "'a,b'", '$.a', 'a;b', '%Y', '' },
    integer = { '1', '-1', '5', '0', '9007199254740993', '-9223372036854775808' },
    wide = { '1', '-1', '9007199254740993', '-9223372036854775808' },
    operand = { '1', '-3', '0', 'txn.n', 'txn.s', '9223372036854775807', '4294967296' },
    variable = { 'txn.n', 'txn.s', 'txn.none' }, base64 = { 'a2V5', 'txn.s' },
    mask4 = { '24', '255.0.0.0', '0' }, mask6 = { '64', 'ffff::' }, hex = { '00ff', '' },
}

local function good_argument(declared)
    local kind = declared:match(':([^?]+)')
    local list = good[kind]
    if list then
        return list[random(#list)]
    elseif kind:find('..', 1, true) then
        return kind:match('^%-?%d+')
    end
    local words = {}
    for word in kind:gmatch('[^|]+') do
        words[#words + 1] = word
    end
    return words[random(#words)]
end

local function call(names, known)
    local name, list = names[random(#names)], {}
    local declared = known[name].args or {}
    if random(10) == 1 then
        for i = 1, random(0, 3) do
            list[i] = arguments[random(#arguments)]
        end
    else
        for i = 1, random(0, 3) == 0 and 1 or #declared do
            list[i] = declared[i] and good_argument(declared[i])
        end
    end
    return #list == 0 and name or name .. '(' .. table.concat(list, ',') .. ')'
end

local function made(kind)
    local text = call(fetches, sample.fetches)
    for _ = 1, random(0, 3) do
        text = text .. ',' .. call(converters, sample.converters)
    end
    if kind == 'template' then
        return '%[' .. text .. ']'
    elseif kind == 'condition' then
        local forms = { '%s', '%s == 5', '{ %s -m found }', '{ %s -m str -i a b }',
            '{ %s -m int gt 3 }', "%s matches 'a+'", '{ %s -m len 1: }', '{ %s -m ip ::/0 }',
            '%s in (1, a, ::1)', '%s < 7', '{ %s a }', 'not %s' }
        return (forms[random(#forms)]:gsub('%%s', function() return text end))
    end
    return text
end

local function damaged(kind)
    local list = seeds[kind]
    local text = list[random(#list)]
    for _ = 1, random(1, 3) do
        local at, what = random(0, #text), random(5)
        local left, right = text:sub(1, at), text:sub(at + 1)
        if what == 1 then
            text = left .. right:sub(2)
        elseif what == 2 then
            text = left .. pieces[random(#pieces)] .. right
        elseif what == 3 then
            text = left .. string.char(random(0, 255)) .. right:sub(2)
        elseif what == 4 then
            local other = list[random(#list)]
            text = left .. other:sub(random(#other))
        else
            text = left .. text:sub(random(#text + 1)) .. right
        end
    end
    return text:sub(1, 2000)
end

local env = { mode = 'http', response = true, lua = function(_, name)
    return #name % 2 == 0 and function(_, v) return v end or nil
end }

local txns = {
    fake_txn.new(),
    fake_txn.new({ target = '*', list = {}, peer = { host = 'unix/', port = 'x' } }),
    fake_txn.new({ target = 'http://h', list = { 'x-l', '"a', 'cookie', '=', 'host', ',' } }),
}
txns[2]._res = { status = 200, headers = { ['X-A'] = { 'a', 'b' } } }

local failures, compiled = {}, 0

local function note(kind, text, what)
    failures[#failures + 1] = ('%s(%q): %s'):format(kind, text, tostring(what))
end

local function try(kind, text)
    local ok, f = pcall(sample[kind], text, env, 'place')
    if not ok then
        if type(f) ~= 'table' or type(f.text) ~= 'string' or f.place ~= 'place' or
            type(f.column) ~= 'number' or f.column < 1 or f.column > #text + 1 then
            note(kind, text, type(f) == 'table' and
                ('%s at %s'):format(f.text, f.column) or f)
        end
        return
    end
    compiled = compiled + 1
    for _, txn in ipairs(txns) do
        local fine, value = pcall(f, txn)
        local is = type(value)
        if not fine then
            note(kind, text, value)
        elseif kind == 'condition' and is ~= 'boolean' or
            kind == 'template' and is ~= 'string' or is == 'cdata' or is == 'table' then
            note(kind, text, 'gives a ' .. is)
        end
    end
end

local COUNT = os.getenv('NEAP_SOAK') and 1000000 or 6000
for _ = 1, COUNT do
    for _, kind in ipairs({ 'expression', 'condition', 'template' }) do
        try(kind, random(2) == 1 and made(kind) or damaged(kind))
    end
end

tap.ok(#failures == 0, 'no other error')
for i = 1, math.min(#failures, 20) do
    tap.diag(failures[i])
end
tap.ok(compiled > COUNT / 4, 'many have compiled')
tap.diag(compiled .. ' of ' .. 3 * COUNT)
tap.done()
