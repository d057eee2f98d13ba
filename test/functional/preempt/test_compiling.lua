-- What a script can give the compiler to do is bounded: chains of additions whose
-- operands are the sum before, for all that asks whether a number is an integer.
-- Without a bound this does not end. (Forty: `bit.tobit()` has no say beyond 2^51.)
local tap = require('tap')
local bit = require('bit')

-- A loop with @count sums, each of the one or two before, and @use of the last.
local function chain(first, sum, use, count)
    local text = { 'local bit, t = ...', 'local s = 0', 'for i = 1, 300 do',
        'local a, b = ' .. first }
    for _ = 1, count do text[#text + 1] = 'a, b = ' .. sum end
    text[#text + 1] = use
    text[#text + 1] = 'end return s'
    return assert(loadstring(table.concat(text, '\n')))
end

local compiled = 0
jit.attach(function(what)
    compiled = compiled + (what == 'stop' and 1 or 0)
end, 'trace')

for _, use in ipairs({ 's = bit.bxor(s, bit.tobit(a))', 's = s + (t[a] or 1)',
    's = s + #(t[1]):sub(a)', 's = bit.bxor(s, bit.tobit(a - b))' }) do
    for _, sum in ipairs({ 'a + a, b', 'a + b, a - b', 'a - b, b - a',
        'a + b, b' }) do
        for _, first in ipairs({ 'i * 0.5, i * 0.25', 'i, i + 1', 'i, i * 0.5' }) do
            local here = {}
            for k, mode in ipairs({ 'off', 'on' }) do
                jit[mode]()
                jit.flush()
                here[k] = chain(first, sum, use, 40)(bit, { 'text' })
            end
            jit.on()
            tap.ok(here[1] == here[2] or here[1] ~= here[1] and here[2] ~= here[2],
                ('%s; %s; %s: the same as interpreted'):format(first, sum, use))
        end
    end
end
tap.ok(compiled > 20, 'they were compiled')
tap.done()
