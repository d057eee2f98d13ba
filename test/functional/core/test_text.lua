-- core: clock, dates, words, addresses, pieces of text.
local tap = require('tap')
local core = require('neap.core_tools')

-- --- now ---

local before = os.time()
local now = core.now()
tap.ok(now.sec >= before and now.sec <= before + 100, 'now: seconds')
tap.ok(now.usec >= 0 and now.usec < 1000000, 'now: microseconds')

-- --- dates ---

local T = 784111777
tap.is(core.imf_date('Sun, 06 Nov 1994 08:49:37 GMT'), T, 'imf_date')
tap.is(core.rfc850_date('Sunday, 06-Nov-94 08:49:37 GMT'), T, 'rfc850_date')
tap.is(core.asctime_date('Sun Nov  6 08:49:37 1994'), T, 'asctime_date')
for _, text in ipairs({ 'Sun, 06 Nov 1994 08:49:37 GMT',
                        'Sunday, 06-Nov-94 08:49:37 GMT',
                        'Sun Nov  6 08:49:37 1994' }) do
    tap.is(core.http_date(text), T, 'http_date: ' .. text)
end
tap.is(core.imf_date('Sunday, 06-Nov-94 08:49:37 GMT'), nil, 'imf_date: another form')
tap.is(core.rfc850_date('Sun Nov  6 08:49:37 1994'), nil, 'rfc850_date: another')
tap.is(core.asctime_date('Sun, 06 Nov 1994 08:49:37 GMT'), nil, 'asctime_date: another')

-- Every day of some years, as the system counts them.
local same = true
for day = -800, 25000, 7 do
    local t = day * 86400 + 3661
    same = same and core.http_date(os.date('!%a, %d %b %Y %H:%M:%S GMT', t)) == t
end
tap.ok(same, 'http_date: as the system counts')
tap.is(core.http_date('Tue, 29 Feb 2000 00:00:00 GMT'), 951782400, 'a leap day')
tap.is(core.http_date('Fri, 31 Dec 1999 23:59:60 GMT'), 946684800, 'a leap second')
tap.ok(core.http_date('Mon, 01 Jan 1900 00:00:00 GMT') < 0, 'before 1970')

for _, text in ipairs({
    '', 'now', 'Sun, 06 Nov 1994 08:49:37', 'Sun, 06 Nov 1994 08:49:37 GMT ',
    ' Sun, 06 Nov 1994 08:49:37 GMT', 'Son, 06 Nov 1994 08:49:37 GMT',
    'Sun, 06 nov 1994 08:49:37 GMT', 'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 31 Nov 1994 08:49:37 GMT', 'Sun, 00 Nov 1994 08:49:37 GMT',
    'Wed, 29 Feb 1900 00:00:00 GMT', 'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 06 Nov 1994 08:60:00 GMT', 'Sun, 06 Nov 1994 08:49:61 GMT',
    'Sun, 06 Nov 94 08:49:37 GMT', 'Sun, +6 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37 UTC', 'Sunday, 06-Nov-1994 08:49:37 GMT',
    'Sun, 06-Nov-94 08:49:37 GMT', 'Sun Nov 31 08:49:37 1994',
    'Sun Nov 6 08:49:37 1994', 'Sun, 06 Nov 1994 08:49:37 GMT\0',
}) do
    tap.is(core.http_date(text), nil, ('no date: %q'):format(text))
end
local year = tonumber(os.date('!%Y'))
local far = ('Monday, 01-Jan-%02d 00:00:00 GMT'):format((year + 51) % 100)
tap.ok(core.http_date(far) < os.time(), 'two digits: not more than 50 years ahead')
tap.throws(core.http_date, "bad argument #1 to 'http_date' %(string expected, got "
    .. 'no value', 'http_date: no argument')
tap.throws(function() core.imf_date({}) end, 'string expected, got table',
    'imf_date: a table')

-- --- words ---

tap.same(core.tokenize('a,b;c', ',;'), { 'a', 'b', 'c' }, 'tokenize')
tap.same(core.tokenize(',a,,b,', ','), { '', 'a', '', 'b', '' }, 'tokenize: blanks')
tap.same(core.tokenize(',a,,b,', ',', true), { 'a', 'b' }, 'tokenize: skip_blank')
tap.same(core.tokenize('', ','), { '' }, 'tokenize: nothing')
tap.same(core.tokenize('', ',', true), {}, 'tokenize: nothing, skipped')
tap.same(core.tokenize('a.b%c', '.%'), { 'a', 'b', 'c' }, 'tokenize: signs')
tap.same(core.tokenize('a\0b', '\0'), { 'a', 'b' }, 'tokenize: a zero byte')
tap.same(core.tokenize('abc', ''), { 'abc' }, 'tokenize: no separator')
tap.throws(function() core.tokenize('a') end,
    "bad argument #2 to 'tokenize' %(string expected", 'tokenize: one argument')

-- --- addresses ---

local function match(a, b)
    return core.match_addr(core.parse_addr(a), core.parse_addr(b))
end
tap.ok(match('10.1.2.3', '10.0.0.0/8'), 'an address in a network')
tap.ok(match('10.0.0.0/8', '10.1.2.3'), 'the other way round')
tap.ok(not match('11.1.2.3', '10.0.0.0/8'), 'not in it')
tap.ok(match('10.0.0.0/8', '10.1.0.0/16'), 'networks in each other')
tap.ok(not match('10.2.0.0/16', '10.1.0.0/16'), 'networks beside each other')
tap.ok(match('192.168.5.77/255.255.252.0', '192.168.7.1'), 'a mask of bytes')
tap.ok(match('10.1.2.131/25', '10.1.2.200'), 'odd bits')
tap.ok(not match('10.1.2.131/25', '10.1.2.100'), 'odd bits: beside')
tap.ok(match('0.0.0.0/0', '1.2.3.4'), 'all')
tap.ok(match('fd00::/8', 'fd12::1'), 'IPv6')
tap.ok(not match('fd00::/8', '::1'), 'IPv6: beside')
tap.ok(not match('::/0', '1.2.3.4'), 'IPv4 is not IPv6')
for _, text in ipairs({ '', 'x', '1.2.3', '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/-1',
                        '1.2.3.4/255.0.255.0', '::1/129', '::1/255.0.0.0', '1.2.3.4/8/8',
                        '1.2.3.4 ', 'localhost', ('1'):rep(200), '1.2.3.4\0' }) do
    tap.is(core.parse_addr(text), nil, ('no address: %q'):format(text))
end
tap.is(core.match_addr(core.parse_addr('x'), core.parse_addr('::1')), false,
    'nothing matches nothing')
tap.throws(function() core.match_addr('1.2.3.4', '1.2.3.4') end,
    "bad argument #1 to 'match_addr'", 'match_addr: texts')

-- --- pieces ---

local text = core.concat()
tap.is(text:dump(), '', 'concat: nothing')
text:add('a')
text:add(1)
text:add(('x'):rep(10000))
tap.is(text:dump(), 'a1' .. ('x'):rep(10000), 'concat')
text:add('!')
tap.is(#text:dump(), 10003, 'concat: more')
tap.is(tostring(text), 'Concat', 'concat: its class')
tap.throws(function() text:add(nil) end, "bad argument #1 to 'add'", 'concat: nil')
tap.throws(function() text.add({}, 'x') end, 'Concat expected', 'concat: another object')

tap.done()
