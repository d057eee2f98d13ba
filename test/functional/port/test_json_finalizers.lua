-- json.encode() while finalizers encode, too: each text is its own.
local tap = require('tap')
local json = require('json')
local ffi = require('ffi')

local ran, wrong = 0, 0

local function leave_garbage(i)
    ffi.gc(ffi.new('char[64]'), function()
        ran = ran + 1
        local want = '{"finalizer":' .. i .. '}'
        if json.encode({ finalizer = i }) ~= want then
            wrong = wrong + 1
        end
    end)
end

local text = ('x'):rep(200)
for i = 1, 20000 do
    leave_garbage(i)
    if json.encode({ i, text }) ~= '[' .. i .. ',"' .. text .. '"]' then
        wrong = wrong + 1
    end
end
collectgarbage()
collectgarbage()
tap.ok(ran >= 10000, 'finalizers ran: ' .. ran)
tap.is(wrong, 0, 'no text is another one\'s')

-- What is too large to keep, and what throws, leave the buffer as it was.
local large = ('y'):rep(1e6)
tap.is(#json.encode({ large }), #large + 4, 'a large one')
tap.is(pcall(json.encode, { print }), false, 'one that cannot be')
tap.is(pcall(json.encode, { [{}] = 1 }), false, 'a key that cannot be')
tap.is(json.encode({ 1, { a = 'b' }, json.NULL }), '[1,{"a":"b"},null]', 'and on')
tap.is(json.encode({ 0.1 }, nil), '[0.1]', 'no options')
tap.is(json.encode({ 1 / 3 }, { encode_number_precision = 3 }), '[0.333]', 'options')
tap.done()
