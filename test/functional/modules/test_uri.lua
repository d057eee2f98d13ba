-- The module uri: names and answers of Tarantool's documentation.
-- test: variants
local tap = require('tap')
local uri = require('uri')

local INCORRECT = 'Incorrect URI: expected host:service or /unix.socket'

-- The parts as one text, to compare.
local function parts(u, err)
    if u == nil then
        return 'nil: ' .. tostring(err)
    end
    local out = {}
    for _, name in ipairs({'scheme', 'login', 'password', 'host', 'service',
        'path', 'query', 'fragment', 'ipv4', 'ipv6', 'unix'}) do
        if u[name] ~= nil then
            out[#out + 1] = name .. '=' .. u[name]
        end
    end
    return table.concat(out, ' ')
end

-- parse, and format again where it gives the same.
for _, case in ipairs({
    {'scheme://login:password@host:service/p1/p2?q1=v1&q2=v2:1|v2:2#f',
        'scheme=scheme login=login password=password host=host '
        .. 'service=service path=/p1/p2 query=q1=v1&q2=v2:1|v2:2 fragment=f'},
    {'login:@host', 'login=login password= host=host'},
    {'login@host', 'login=login host=host'},
    {'host', 'host=host'},
    {'3301', 'service=3301'},
    {'s://3301', 'scheme=s host=3301'},
    {'host:3301', 'host=host service=3301'},
    {'*:http', 'host=* service=http'},
    {'host:', 'host=host', 'host'},
    {'h/', 'host=h path=/'},
    {'h///x?a/?b#c/?d', 'host=h path=///x query=a/?b fragment=c/?d'},
    {'h?', 'host=h', 'h'},
    {'h#', 'host=h fragment='},
    {'?q', 'query=q'},
    {'#f', 'fragment=f'},
    {'h%20h:1', 'host=h%20h service=1'},
    {'127.0.0.1:1', 'host=127.0.0.1 service=1 ipv4=127.0.0.1'},
    {'1.2.3', 'host=1.2.3'},
    {'1.2.3.4.5', 'host=1.2.3.4.5'},
    {'[::1]', 'host=::1 ipv6=::1'},
    {'[::]:80/p', 'host=:: service=80 path=/p ipv6=::'},
    {'[FEDC:BA98:7654:3210:FEDC:BA98:7654:3210]:80',
        'host=FEDC:BA98:7654:3210:FEDC:BA98:7654:3210 service=80 '
        .. 'ipv6=FEDC:BA98:7654:3210:FEDC:BA98:7654:3210'},
    {'http://[3ffe:2a00:100:7031::1]/i',
        'scheme=http host=3ffe:2a00:100:7031::1 path=/i '
        .. 'ipv6=3ffe:2a00:100:7031::1'},
    {'[::ffff:129.144.52.38]',
        'host=::ffff:129.144.52.38 ipv6=::ffff:129.144.52.38'},
    {'[1:2:3:4:5:6:1.2.3.4]',
        'host=1:2:3:4:5:6:1.2.3.4 ipv6=1:2:3:4:5:6:1.2.3.4'},
    {'/tmp/x.sock', 'host=unix/ service=/tmp/x.sock unix=/tmp/x.sock',
        'unix/:/tmp/x.sock'},
    {'unix/:./x', 'host=unix/ service=./x unix=./x'},
    {'unix/:/a:/p', 'host=unix/ service=/a path=/p unix=/a'},
    {'l:p@/a:/p/q?x#y', 'login=l password=p host=unix/ service=/a path=/p/q '
        .. 'query=x fragment=y unix=/a', 'l:p@unix/:/a:/p/q?x#y'},
    {'s://l:p@/a', 'scheme=s login=l password=p host=unix/ service=/a unix=/a',
        's://l:p@unix/:/a'},
    {'/a?x#y', 'host=unix/ service=/a query=x fragment=y unix=/a',
        'unix/:/a?x#y'},
}) do
    local u, err = uri.parse(case[1])
    tap.is(parts(u, err), case[2], case[1])
    tap.is(u and uri.format(u, true), case[3] or case[1],
        'and back, ' .. case[1])
end
for _, text in ipairs({
    '', '://', 'a@', '@h', 'a:b:c@h', 'h h', 'h:x y', '//h/p', 'h:80:90', 'h:1a',
    'h:a-b', '::1', '[::1', '[]', '[1]', '[g::]', '[:::]', '[1::2::3]',
    '[1:2:3:4:5:6:7:8:9]', '[12345::]', '[:1:2:3:4:5:6:7]', '[::1.2.3]',
    '[1:2:3:4:5:6:7:1.2.3.4]', '[::1]x', 'a%zz', 'a%4', 'a%', 'h#a#b',
    '\208\182', 'h\0', 'h\n', 'h/a b', 'h?a b', 'h#a b', 'h\\x',
    ('x'):rep(1024 * 1024 + 1),
}) do
    local u, err = uri.parse(text)
    tap.ok(u == nil and tostring(err) == INCORRECT
        and err.type == 'IllegalParams', 'refused: ' .. text:sub(1, 40))
end
tap.is(#uri.parse(('x'):rep(1024 * 1024)).host, 1024 * 1024, 'as long as can be')
tap.throws(function() uri.parse() end, 'Usage: uri%.parse', 'parse of nothing')

-- format
local u = uri.parse('user:password@localhost')
tap.is(uri.format(u), 'user@localhost', 'without the password')
tap.is(uri.format(u, false), 'user@localhost', 'without it')
tap.is(uri.format({host = 'h', service = 80}), 'h:80', 'a number')
tap.is(uri.format({}), '', 'nothing')
tap.is(uri.format({service = 3301}), '3301', 'a port')
tap.throws(function() uri.format() end, 'Usage: uri%.format', 'nothing at all')
tap.throws(function() uri.format({host = {}}) end, 'host is a string, not table',
    'a wrong component')
tap.throws(function() uri.format({params = 1}) end, 'should be a table',
    'wrong params')

-- params
tap.same(uri.parse('h?a=1&a=&b&c=x=y').params,
    {a = {'1', ''}, b = {}, c = {'x=y'}}, 'a query taken apart')
tap.is(uri.parse('h').params, nil, 'none')
tap.is(uri.format(uri.parse('h?z=1&y&x=&z=2')), 'h?z=1&z=2&y&x=',
    'names stay in their order')
for _, case in ipairs({
    {{'/s', params = {q1 = 'v1', q2 = 'v2'}}, 'q1=v1&q2=v2'},
    {{'/s?q1', params = {q2 = 'v2', q3 = 3}}, 'q1&q2=v2&q3=3'},
    {{uri = '/s?q1=', params = {q2 = 'v2'}}, 'q1=&q2=v2'},
    {{'/s?q1=1&q1=2', params = {q2 = {''}}}, 'q1=1&q1=2&q2='},
    {{'/s?q1=1&q1=2', params = {q1 = {'3', 4}, q2 = 'v2'}},
        'q1=3&q1=4&q2=v2'},
    {{'/s?q1=1', params = {q1 = uri.values('5', '6')}}, 'q1=5&q1=6'},
}) do
    u = uri.parse(case[1])
    tap.is(uri.format(u), 'unix/:/s?' .. case[2], case[2])
    tap.is(u.query, case[2] , 'the query says the same')
end
u = uri.parse({'h', params = {q = {x = 'y'}}})
tap.is(u.params, nil, 'fields that are no array are passed over')
u = uri.parse({'a:b@h', login = 'l', password = 'p'})
tap.is(uri.format(u, true), 'l:p@h', 'login and password replaced')
tap.is(uri.parse({'a:b@h', login = 'l'}).password, nil, 'the login alone')
tap.is(uri.parse(3301).service, '3301', 'a number')

-- Wrong tables, and arrays of them.
local NO_TABLE = 'Invalid URI table: expected {uri = string, params = table} '
    .. 'or {string, params = table}'
local NO_TYPE = 'Incorrect type for URI: should be string, number or table'
local NO_DEFAULT = 'Default URI parameters are not allowed for single URI'
local f = function() end
for _, case in ipairs({
    {'parse', f, NO_TYPE},
    {'parse', {}, NO_TABLE},
    {'parse', {'/s', '/s'}, NO_TABLE},
    {'parse', {'/s', uri = '/s'}, NO_TABLE},
    {'parse', {'/s, /s'}, INCORRECT},
    {'parse', {'/s', default_params = {}}, NO_DEFAULT},
    {'parse', {'h', login = 1},
        'Invalid URI table: expected type for login is string'},
    {'parse', {'h', login = 'l', password = 2},
        'Invalid URI table: expected type for password is string'},
    {'parse', {'a:b@h', password = 'p'},
        'Invalid URI table: login required if password is set'},
    {'parse_many', f, NO_TYPE},
    {'parse_many', {'/s', f}, NO_TYPE},
    {'parse_many', {'/s', uri = f}, NO_TABLE},
    {'parse_many', {'/s', {}}, NO_TABLE},
    {'parse_many', {'/s', {params = {q = 'v'}}}, NO_TABLE},
    {'parse_many', {'/s', params = f},
        'Incorrect type for URI parameters: should be a table'},
    {'parse_many', {'/s', params = {'v'}},
        'Incorrect type for URI parameter name: should be a string'},
    {'parse_many', {'/s', params = {q = f}}, 'Incorrect type for URI parameter '
        .. 'value: should be string, number or table'},
    {'parse_many', {'/s', params = {q = {f}}}, 'Incorrect type for URI '
        .. 'parameter value: should be string or number'},
    {'parse_many', {'/s', default_params = ''}, NO_DEFAULT},
    {'parse_many', {{'/s', default_params = {}}}, NO_DEFAULT},
    {'parse_many', {'/s', '/s', params = {q = 1}},
        'URI parameters are not allowed for multiple URIs'},
    {'parse_many', {{'/s'}, params = {q = 1}},
        'URI parameters are not allowed for multiple URIs'},
    {'parse_many', {'/s', '/s', login = 'l'},
        'URI login is not allowed for multiple URIs'},
    {'parse_many', {'/s', '/s', password = 'p'},
        'URI password is not allowed for multiple URIs'},
    {'parse_many', {'/s', '://'}, INCORRECT},
    {'parse_many', {'/s', {uri = '://'}}, INCORRECT},
    {'parse_many', '/s, ,/s', INCORRECT},
    {'parse_many', '/s,,/s', INCORRECT},
    {'parse_many', '/s,', INCORRECT},
}) do
    local got, err = uri[case[1]](case[2])
    tap.ok(got == nil and tostring(err) == case[3], case[1] .. ': ' .. case[3])
end
tap.throws(function() uri.parse_many() end, 'Usage: uri%.parse_many', 'nothing')
tap.same(uri.parse_many(''), {}, 'none')
tap.same(uri.parse_many({}), {}, 'none in a table')
local many = uri.parse_many(' /s?q=1 ,h:1')
tap.ok(#many == 2 and many[1].params.q[1] == '1' and many[2].service == '1',
    'two in a text')
many = uri.parse_many({
    '/a?q1=v11',
    {'/b?q2=v21', params = {q2 = 'v22'}},
    {uri = '/c?q2&q3=v31', params = {q3 = {'v33', 'v34'}}},
    default_params = {q1 = {'d1', 'd2'}, q2 = 'd3', q4 = 6},
})
tap.same(many[1].params, {q1 = {'v11'}, q2 = {'d3'}, q4 = {'6'}}, 'defaults')
tap.same(many[2].params, {q1 = {'d1', 'd2'}, q2 = {'v22'}, q4 = {'6'}},
    'params go before them')
tap.same(many[3].params, {q1 = {'d1', 'd2'}, q2 = {'d3'}, q3 = {'v33', 'v34'},
    q4 = {'6'}}, 'a name without a value has the default')

-- escape
local all = {}
for i = 0, 255 do all[i + 1] = string.char(i) end
all = table.concat(all)
local kept = {
    RFC3986 = '-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~',
    PATH = "!$&'()*+,-./0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijkl"
        .. 'mnopqrstuvwxyz~',
    PATH_PART = "!$&'()*+,-.0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghi"
        .. 'jklmnopqrstuvwxyz~',
    QUERY = "!$&'()*+,-./0123456789;=?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklm"
        .. 'nopqrstuvwxyz~',
    QUERY_PART = "!$'()*+,-./0123456789;?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghij"
        .. 'klmnopqrstuvwxyz~',
    FRAGMENT = "!$&'()*+,-./0123456789;=?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghij"
        .. 'klmnopqrstuvwxyz~',
    FORM_URLENCODED = '*-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmno'
        .. 'pqrstuvwxyz',
}
for name, set in pairs(kept) do
    local escaped = uri.escape(all, uri[name])
    tap.is(escaped:gsub('%%%x%x', ''):gsub('^%+', ''):sub(1, -1),
        name == 'FORM_URLENCODED' and set or set, name .. ' keeps')
    tap.is(uri.unescape(escaped, uri[name]), all, name .. ', and back')
end
tap.is(uri.escape('a b/\208\182'), 'a%20b%2F%D0%B6', 'the default')
tap.is(uri.escape(' +', uri.FORM_URLENCODED), '+%2B', 'a form')
tap.is(uri.escape('B A', {unreserved = uri.unreserved('A'), plus = true}), '%42+A',
    'a set of ones own')
tap.is(uri.escape('ab', {unreserved = 'a'}), 'a%62', 'a set as a text')
tap.is(uri.unescape('%1a%1A%zz%4'), '\26\26%zz%4', 'what is none stays')
tap.is(uri.unescape('a+b'), 'a+b', 'no plus')
tap.is(uri.unescape('a+b', {plus = true}), 'a b', 'plus')
for shift = 0, 3 do -- wherever the pieces are cut
    local long = ('x'):rep(shift) .. ('\0'):rep(20000)
    tap.ok(uri.unescape(uri.escape(long)) == long, 'a long one')
end
tap.throws(function() uri.escape() end, 'Usage: uri%.escape', 'escape')
tap.throws(function() uri.escape('a', 1) end, 'Usage: uri%.escape', 'escape')
tap.throws(function() uri.escape('a', {unreserved = 1}) end, 'unreserved',
    'a wrong set')
tap.throws(function() uri.unescape({}) end, 'Usage: uri%.unescape', 'unescape')
tap.throws(function() uri.unreserved() end, 'Usage: uri%.unreserved', 'a set')
tap.throws(function() uri.unreserved('%') end, 'no set', 'not a set')
tap.done()
