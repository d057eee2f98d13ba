-- What `neap.sample` gives: expressions of all sides, conditions in the infix form,
-- templates and log formats, functions of scripts, natives by name, errors with their
-- places.
-- test: variants
package.path = os.getenv('NEAP_SOURCE_DIR') .. '/test/functional/sample/?.lua;'
    .. package.path
local fake_txn = require('fake_txn')
local sample = require('neap.sample')
local tap = require('tap')

local txn = fake_txn.new()

local handlers = {
    ['fetch hash'] = function(_, salt, ...)
        return (salt or '-') .. select('#', ...)
    end,
    ['fetch nothing'] = function() end,
    ['fetch table'] = function() return {} end,
    ['fetch yes'] = function() return true end,
    ['converter wrap'] = function(_, value, left, right)
        return (left or '<') .. tostring(value) .. (right or '>')
    end,
    ['converter none'] = function() end,
}

local env = { mode = 'http', lua = function(kind, name)
    return handlers[kind .. ' ' .. name]
end }

local function value(text, at, more)
    return sample.expression(text, more or env)(at or txn)
end

-- --- expressions ---

for _, pair in ipairs({ -- newer than the HAProxy of test_haproxy
    { 'bin(30313233),le2dec(-,3)', '3289392-51' }, { 'bin(30313233),le2dec(-,3,1)', '3289392' },
    { 'str(Az),base2', '0100000101111010' },
    { 'int(1234567890023),ms_utime(%H:%M:%S.%3N)', '23:31:30.023' },
    { 'int(1234567890023),ms_utime(%N%%N %6N,-24)', '999000000%N 999000' },
    { 'int(1234567890123456),us_utime(%S.%6N %9N)', '30.123456 123456000' },
    { 'int(-1),us_utime(%Y %6N)', '1969 999999' },
    { 'str(abcdef),bytes(txn.two,txn.three)', 'cde' }, { 'str(abcdef),bytes(txn.two)', 'cdef' },
    { 'str(abcdef),bytes(txn.none)' }, { 'str(abcdef),bytes(1,txn.none)' },
    { 'str(abcdef),bytes(txn.minus)' }, { 'str(abcdef),bytes(9)', '' },
}) do
    txn.vars['txn.two'], txn.vars['txn.three'], txn.vars['txn.minus'] = 2, 3, -1
    tap.is(value(pair[1]), pair[2], pair[1])
end
for name in pairs({ two = 1, three = 1, minus = 1 }) do txn.vars['txn.' .. name] = nil end

tap.is(value('lua.hash(salt)'), 'salt0', 'a fetch of a script')
tap.is(value('lua.hash(a,b,c),lua.wrap,upper'), '<A2>', 'and a converter')
tap.is(value('int(5),lua.wrap([,])'), '[5]', 'with arguments, of a number')
tap.is(value('int(9007199254740993),lua.wrap'), '<9007199254740993>', 'of a large one')
tap.is(value('lua.nothing,lua.wrap'), nil, 'nothing stays nothing')
tap.is(value('lua.table'), nil, 'a table is nothing')
tap.is(value('path,lua.none,upper'), nil, 'a converter that gives nothing')
tap.is(value('lua.yes'), true, 'a boolean')
tap.is(value('lua.yes,add(1)'), 2, 'is 1')
tap.is(value('  path '), '/a/b.html', 'blanks around it')
tap.is(value('var(txn.n),add(txn.n)'), 10, 'variables')
tap.is(value('str(abc),xxh64'), '4952883123889572249', 'beyond 2^53: digits')
tap.is(value('int(9007199254740991)'), 9007199254740991, 'below: a number')
tap.is(value('src'), '192.0.2.7', 'src')
tap.is(value('dst_port'), 8080, 'dst_port')
tap.is(value('src', fake_txn.new({ peer = { host = 'unix/', port = '/x' } })), nil,
    'a unix socket has no address')
tap.is(value('fe_name'), 'web', 'fe_name')
tap.like(value('uuid'), '^%x+%-%x+%-4%x%x%x%-[89ab]%x%x%x%-%x+$', 'uuid')
tap.is(value('unique-id'), value('unique-id'), 'unique-id stays')
tap.ok(value('date') >= 1.6e9 and value('date') % 1 == 0, 'date')
tap.ok(math.abs(value('date(0,ms)') / 1000 - value('date(10)') + 10) < 60, 'its unit')
tap.ok(value('rand(3)') < 3, 'rand')
tap.is(value('hostname'), value('hostname'), 'hostname')
tap.is(value('nbthread'), 1, 'nbthread')
tap.is(value('req.hdr(x-l)'), 'c', 'the last value')
tap.is(value('req.body', setmetatable({ _req = setmetatable({}, { __index = function()
    error('in pieces')
end }) }, getmetatable(txn))), nil, 'a body that is not there')

-- one function that many requests share
local f = sample.expression('req.hdr(x-l,2),upper', env)
for _ = 1, 300 do
    assert(f(txn) == 'B')
end
tap.pass('called often')

-- --- answers ---

local answered = fake_txn.new()
answered._res = { status = 404, headers = {
    ['content-type'] = 'text/html', ['Set-Cookie'] = { 'a=1; path=/', 'b=2' }, n = 5,
} }
local of_answer = { mode = 'http', response = true }
tap.is(value('status', answered, of_answer), 404, 'status')
tap.is(value('res.hdr(Content-Type)', answered, of_answer), 'text/html', 'res.hdr')
tap.is(value('hdr(content-type)', answered, of_answer), 'text/html', 'hdr is of the answer')
tap.is(value('res.hdr(n),add(1)', answered, of_answer), 6, 'a number')
tap.is(value('res.fhdr_cnt(set-cookie)', answered, of_answer), 2, 'lists')
tap.is(value('res.cook(a)', answered, of_answer), '1', 'res.cook')
tap.is(value('res.cook_cnt', answered, of_answer), 2, 'res.cook_cnt')
tap.is(value('res.cook(path)', answered, of_answer), nil, 'an attribute is no cookie')
tap.is(value('res.hdr_names', answered, of_answer), 'set-cookie,set-cookie,content-type,n',
    'res.hdr_names')
tap.is(value('req.hdr(host)', answered, of_answer), 'Example.com', 'the request is there')
tap.is(value('res.hdr(x)', answered, of_answer), nil, 'none')

-- --- TLS ---

local secured = fake_txn.new({ scheme = 'https', tls = {
    version = 'TLSv1.3', cipher = 'C', alpn = 'h2', sni = 'name', resumed = false,
    verified = true,
    peer = { subject = 'CN=a\\,b,OU=x,OU=y,O=o', issuer = 'CN=ca', not_after = 784111777,
             fingerprint = ('0a'):rep(32) },
} })
for text, want in pairs({
    ssl_fc = true, ssl_fc_sni = 'name', ssl_fc_alpn = 'h2', ssl_fc_protocol = 'TLSv1.3',
    ssl_fc_cipher = 'C', ssl_fc_is_resumed = false, ssl_fc_has_sni = true,
    ssl_c_used = true, ssl_c_verify = 0, ssl_c_s_dn = '/O=o/OU=y/OU=x/CN=a,b',
    ['ssl_c_s_dn(CN)'] = 'a,b', ['ssl_c_s_dn(OU,2)'] = 'x', ['ssl_c_s_dn(OU,-1)'] = 'x',
    ['ssl_c_s_dn(,0,rfc2253)'] = 'CN=a\\,b,OU=x,OU=y,O=o', ['ssl_c_i_dn(CN)'] = 'ca',
    ['ssl_c_sha256,hex'] = ('0A'):rep(32), ssl_c_notafter = '941106084937Z',
}) do
    tap.is(value(text, secured), want, text)
end
for _, text in ipairs({ 'ssl_fc_sni', 'ssl_c_used', 'ssl_c_s_dn', 'ssl_c_verify' }) do
    tap.is(value(text), nil, text .. ' without TLS')
end

-- --- TCP ---

local tcp = setmetatable({ vars = {}, socket = {
    peer = function() return { host = '::1', port = 99 } end,
    name = function() return { host = '::2', port = 98 } end,
    tls_info = function() return nil end,
} }, getmetatable(txn))
local of_tcp = { mode = 'tcp' }
tap.is(value('src', tcp, of_tcp), '::1', 'src of TCP')
tap.is(value('dst_port', tcp, of_tcp), 98, 'dst_port of TCP')
tap.is(value('ssl_fc', tcp, of_tcp), false, 'ssl_fc of TCP')

-- --- conditions ---

local function holds(text, at)
    return sample.condition(text, env)(at or txn)
end

for text, want in pairs({
    ["path begins '/a'"] = true, ['path begins /b'] = false, ['path ends .html'] = true,
    ['path contains b.h'] = true, ["path matches '^/[a-z]/'"] = true,
    ["path matches '^(a+)+$'"] = false, ['path == /a/b.html'] = true,
    ['path != /a/b.html'] = false, ['method in (GET, POST)'] = true,
    ['src in 192.0.2.0/24 and path != /x'] = true, ['method in PUT'] = false,
    ['method in (PUT POST)'] = false, ['src == 192.0.2.0/24'] = true,
    ['src in (10.0.0.0/8, 192.0.2.7)'] = true, ['src == ::ffff:192.0.2.7'] = true,
    ['req.hdr(x-n) > 11'] = true, ['req.hdr(x-n) < 12'] = false,
    ['req.hdr(x-n) <= 12 and req.hdr(x-n) >= 12'] = true, ['req.hdr(x-n) == 12'] = true,
    ['int(5) == 5'] = true, ['int(5) != 5'] = false, ['int(5) in (4, 5)'] = true,
    ['ssl_fc'] = false, ['not ssl_fc'] = true, ['ssl_fc == false'] = true, ['!ssl_fc'] = true,
    ['req.hdr(nope)'] = false, ['req.hdr(nope) == x'] = false, ['req.hdr(nope) != x'] = true,
    ['req.hdr(nope) < 5'] = false, ['req.hdr(x-l) == a'] = false, ['req.hdr(x-l) == c'] = true,
    ['{ req.hdr(x-l) a }'] = true, ['path'] = true, ['str()'] = false, ['int(0)'] = false,
    ['lua.yes'] = true, ['lua.nothing'] = false, ['lua.hash == -0'] = true,
    ['lua.yes == true'] = true, ['var(txn.n) == 5'] = true, ['var(txn.n) > 4'] = true,
    ['var(txn.s) == text'] = true, ['var(txn.none) == 5'] = false,
    ['always_false or always_true and always_false'] = false,
    ['(always_false or always_true) and not always_false'] = true,
    ['always_true && always_false || always_true'] = true,
    ['{ path -m beg /a } !{ src 10.0.0.0/8 }'] = true, ['METH_GET path begins /a'] = false,
    ['METH_GET and path begins /a'] = true, ['not not always_true'] = true,
    ["path == '/a b'"] = false, ['path == "/a/b.html"'] = true,
    ['path,length == 9'] = true, ['src,ipmask(24) == 192.0.2.0'] = true,
}) do
    if text == 'METH_GET path begins /a' then
        tap.throws(function() holds(text) end, 'column 10', 'two tests beside each other')
    else
        tap.is(holds(text), want, text)
    end
end

local asked = 0
handlers['fetch asked'] = function()
    asked = asked + 1
    return true
end
holds('always_false and lua.asked')
holds('path begins /z and lua.asked or path begins /a or lua.asked')
tap.is(asked, 0, 'what is decided is not looked at further')
holds('path begins /z or lua.asked')
tap.is(asked, 1, 'and what is not is')

local path = os.tmpname()
local file = assert(io.open(path, 'w'))
file:write('# a comment\n\n  /a/b.html\n/zz\n')
file:close()
tap.is(holds('{ path -f ' .. path .. ' }'), true, 'patterns of a file')
tap.is(holds('{ path -m beg -f ' .. path .. ' /q }'), true, 'and beside it')
tap.is(holds('{ path -m beg /a -f ' .. path .. ' }'), true, 'or before it')
tap.is(holds('{ path,upper -i -f ' .. path .. ' }'), true, 'case aside')
tap.is(holds('{ path,upper -f ' .. path .. ' }'), false, 'or not')
os.remove(path)

path = os.tmpname()
file = assert(io.open(path, 'w'))
file:write('Example.com 7\n/a one\n/a/b two\n192.0.2.0/24 10.0.0.1\n')
file:close()
tap.is(value('path,map_beg(' .. path .. ')'), 'two', 'map_beg')
tap.is(value('str(x),map(' .. path .. ')'), nil, 'map: none')
tap.is(value('str(x),map(' .. path .. ',def),upper'), 'DEF', 'map: the default')
os.remove(path)

-- --- templates ---

local function filled(text, more, at)
    return sample.template(text, more or env)(at or txn)
end

local log = { mode = 'http', response = true, log = true }

for _, row in ipairs({
    { 'plain', 'plain' }, { '', '' }, { 'a%%b', 'a%b' }, { '%[path]', '/a/b.html' },
    { 'x%[path,upper]y%[req.hdr(nope)]z', 'x/A/B.HTMLyz' },
    { '%HM %HU %HP %HQ %HPO %HV', 'GET /a/b.html?x=1&y=2 /a/b.html ?x=1&y=2 /a/b.html HTTP/1.1' },
    { '%ci:%cp %fi:%fp %f %ft', '192.0.2.7:4711 127.0.0.1:8080 web web' },
    { '%r', 'GET /a/b.html?x=1&y=2 HTTP/1.1' }, { '%{+Q}[path]', '"/a/b.html"' },
    { [[%{+E}[str('a"b]\')] ]], [[a\"b\]\\ ]] }, { '%{+X}[src]', 'C0000207' },
    { '%{+X}cp', '1267' }, { '%{+J}[path] %{+J}[int(5)] %{+J}[req.hdr(n)] %{+J}[bool(1)]',
      '"\\/a\\/b.html" 5 null true' }, { '%{+Q}o%HM %{-Q}HM', '"GET" GET' },
    { '%[bool(1)]%[int(-7)]', '1-7' }, { '%[str(abc),xxh64]', '4952883123889572249' },
    { '%[int(7),add(txn.n)]', '12' },
}) do
    tap.is(filled(row[1]), row[2], row[1])
end
tap.is(filled('%ST %B %Ta %[req.hdr(n)] %{+Q}[req.hdr(n)]', log), '- - - - ""',
    'what is missing in a log format')
answered.bytes_out, answered.time_total, answered.started = 17, 3, 784111777.042
tap.is(filled('%ST %B %Ta', log, answered), '404 17 3', 'and what is there')
tap.is(filled('%ms %Ts %trg', log, answered), '042 784111777 06/Nov/1994:08:49:37 +0000',
    'its dates')
tap.like(filled('%t', log, answered), '^%d%d/Nov/1994:%d%d:%d%d:37%.042$', 'with milliseconds')
answered._req.target = '/\r\nforged'
tap.is(filled('%HU', log, answered), '/#0D#0Aforged', 'nobody forges a line')
answered._req.target = '/a"\\#'
tap.is(filled([["%HU" %{+E}HU %{+Q}HU %[url,json] %{+J}HU]], log, answered),
    [["/a#22#5C#23" /a\"\\# "/a#22#5C#23" \/a\"\\# "\/a\"\\#"]], 'or ends a text in quotes')
tap.is(filled(('%[path]'):rep(200)), ('/a/b.html'):rep(200), 'many pieces')
tap.is(filled(('a%[path,upper]'):rep(100)), ('a/A/B.HTML'):rep(100), 'and texts')

-- --- natives by name ---

tap.is(sample.fetch('req_hdr')(txn, 'host'), 'Example.com', 'fetch(name), as a method')
tap.is(sample.fetch('req.hdr')(txn, 'x-l', 2), 'b', 'or as it is written')
tap.is(sample.fetch('nope'), nil, 'there is none')
tap.is(sample.fetch('status')(answered), 404, 'of an answer')
tap.throws(function() sample.fetch('int')(txn, 'a') end, 'an integer is expected', 'wrong')
tap.throws(function() sample.fetch('path')(txn, 'a') end, 'too many', 'too many')
tap.is(sample.converter('field')('a_b', 2, '_'), 'b', 'converter(name)')
tap.is(sample.converter('add')(5, 2), 7, 'of numbers')
tap.is(sample.converter('add')('5', '2'), 7, 'of texts')
tap.is(sample.converter('upper')(nil), nil, 'of nothing')
tap.is(sample.converter('set_var') ~= nil, true, 'names with a dash')
tap.throws(function() sample.converter('strcmp')('a', 'txn.s') end, 'needs a transaction',
    'variables need a transaction')
tap.is(sample.convert('concat')(txn, 'a', '-', 'txn.s'), 'a-text', 'convert(name) has one')
for i = 1, 200 do
    assert(sample.converter('add')(i, i) == 2 * i)
end
tap.pass('many arguments')
tap.is(sample.text_of(nil) .. sample.text_of(true) .. sample.text_of(1e15), '11000000000000000',
    'text_of')

-- --- errors ---

local function refused(f2, text, pattern, column)
    local ok, err = pcall(f2, text, env, 'server.yaml:3:5')
    tap.ok(not ok and type(err) == 'table' and err.place == 'server.yaml:3:5' and
        err.column == column and err.text:find(pattern), text)
    if ok or type(err) ~= 'table' or err.column ~= column then
        tap.diag(ok and 'taken' or type(err) == 'table' and
            err.column .. ': ' .. err.text or tostring(err))
    end
end

local e, q, t = sample.expression, sample.condition, sample.template
refused(e, 'path,uper', "is 'upper' meant", 6)
refused(e, 'pth', "is 'path' meant", 1)
refused(e, 'xyzzy', "there is no fetch 'xyzzy'$", 1)
refused(e, 'lua.none', 'no script has registered', 1)
refused(e, 'path,lua.nope', 'no script has registered', 6)
refused(e, 'sc_get_gpc0(1)', 'stick tables', 1)
refused(e, 'src,in_table(t)', 'stick tables', 5)
refused(e, 'status', 'not there yet', 1)
refused(sample.condition, 'src in 10.0.0/8', 'in full: HAProxy takes .10.0.0/8. for 10.0.0.0/8', 8)
refused(sample.condition, '{ src 10.1/16 }', 'for 10.0.0.1/16', 7)
refused(e, '', 'the name of a fetch is expected', 1)
refused(e, 'path,', 'the name of a converter is expected', 6)
refused(e, 'path extra', 'the end is expected', 6)
refused(e, 'str(a', 'not closed', 4)
refused(e, "str('a)", 'quote', 5)
refused(e, 'str(a),field(x,_)', 'index: an integer is expected', 14)
refused(e, 'str(a),field(0,_)', 'not 0', 8)
refused(e, 'str(a),field(2)', 'delimiters is missing', 8)
refused(e, 'path,add(txn)', 'an integer or a variable', 10)
refused(e, "path,regsub('(','')", 'parenthesis', 6)
refused(e, 'path,digest(foo)', 'OpenSSL', 6)
refused(e, 'path,map(/nope/x)', 'No such file', 6)
refused(e, 'src,bool', 'a boolean is expected, and an address', 5)
refused(e, 'var(check.x)', 'a variable is expected', 5)
refused(e, ('str(a)' .. (',upper'):rep(40)), '32 converters', 199)
refused(e, 'str(' .. ('a,'):rep(20) .. ')', 'more than 12 arguments', 29)
refused(e, ('a'):rep(20000), 'at most 16384 bytes', 1)
refused(e, 5, 'a text is wanted', 1)
refused(q, '', 'a test is expected', 1)
refused(q, 'path = /a', "'==' is expected", 6)
refused(q, 'path ==', 'a value is expected', 8)
refused(q, '(path == /a', "'%)' is expected", 12)
refused(q, 'path == /a)', 'the end is expected', 11)
refused(q, 'METH_GTE', "is 'METH_GET' meant", 1)
refused(q, '{ path -m begg /a }', "is 'beg' meant", 11)
refused(q, '{ path -m str', 'brace is not closed', 1)
refused(q, '{ path,uper a }', 'upper', 8)
refused(q, '{ path }', 'a pattern is expected', 3)
refused(q, '{ }', 'an expression is expected', 1)
refused(q, '{ path eq 5 }', 'for integers', 3)
refused(q, '{ path -f /nope }', 'No such file', 11)
refused(q, "path matches '('", 'parenthesis', 14)
refused(q, 'src == foo', 'a network', 8)
refused(q, 'path > abc', 'an integer', 8)
refused(q, ('('):rep(40) .. 'path', 'deep', 33)
refused(q, ('path == a and '):rep(300) .. 'path', 'more than 200 tests', 2801)
refused(t, '100%', "'%%%%' is expected", 4)
refused(t, '%zz', 'there is no log field', 2)
refused(t, '%[path', "'%]' is expected", 7)
refused(t, '%[path,uper]', 'upper', 8)
refused(t, '%b', 'backends', 2)
refused(t, '%{+Z}[path]', 'a flag is expected', 3)
refused(t, ('%[path]'):rep(300), 'more than 200 pieces', 1402)
tap.throws(function() e('path,uper', env) end, "^'path,uper', column 6: there is no converter",
    'as text without a place')
tap.throws(function() e('req.hdr(a)', { mode = 'tcp' }) end, 'needs HTTP', 'HTTP in TCP')

tap.done()
