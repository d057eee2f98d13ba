-- Requests, and expressions and conditions that HAProxy and neap must see alike in
-- them: `expected.lua` has what HAProxy says. Variables: txn.name is "Value", txn.num 42.
local function message(first, headers, body)
    return ('%s\r\n%s%s'):format(first, headers:gsub('\n', '\r\n'),
        body and ('Content-Length: %d\r\n'):format(#body) or ''), body or ''
end

local cases = {}

local function case(name, first, headers, body, lists)
    local head, text = message(first, headers, body)
    lists.name, lists.head, lists.body = name, head, text
    lists.expressions = lists.expressions or {}
    lists.conditions = lists.conditions or {}
    cases[#cases + 1] = lists
end

case('get', 'GET /a/b.html?x=1&y=2&x=3 HTTP/1.1', [[
Host: Example.com:8080
User-Agent: Mozilla/5.0 (X11, Linux)
X-L: a, b ,c
X-L: "d,e", f
X-Empty:
X-C: p,,q
Cookie: a=1; b=two; a=3
Cookie: c="q"
Accept-Language: de;q=0.5, en, fr;q=0
X-N: 12abc
X-Neg: -17
X-Ip: 10.1.2.3:80, 192.168.1.7
X-Ip6: [2001:db8::1]:443
]], nil, {
    expressions = {
        -- the text of an expression
        'str(abc)', 'str( a )', "str('a,b')", [[str("a\"b")]], [[str('a\b')]],
        'str(a"b"c)', [[str(a\nb)]], [[str("a\nb")]], [[str('a\nb')]], [[str(a\x41)]],
        [[str(\a)]], 'str()', 'str', 'str("(a)")', "str('')", "str(a' b 'c)",
        [[str("\a")]], [[str("\'")]], [[str(a\ b)]], [[str(a\'b)]], [[str(a\\b)]],
        [[str("a\,b")]], [[str("a\tb")]], 'str(a),upper,lower()', 'str(a)b',
        'str(a,b)', 'str(a(b))', 'str(a) ,upper', 'str(a), upper', 'str(a\\,b)',
        -- constants and types
        'int(5)', 'int(-5)', 'int(5k)', 'int(0x10)', 'int( 5 )', 'int()', 'int(a)',
        'int(99999999999999999999)', 'int(-99999999999999999999)', 'bool(true)',
        'bool(0)', 'bool(yes)', 'bool(true),add(1)', 'bin(010203),hex', 'bin(414243)',
        'bin(4)', 'bin(zz)', 'ipv4(1.2.3.4)', 'ipv6(::1)', 'ipv4(::1)', 'always_true',
        'always_false', 'meth(GET)', 'proc', 'str(abc),add(1)', 'str(12abc),add(1)',
        'str(),add(1)', 'str(-5),add(1)', 'str(+5),add(1)', 'str(5.7),add(1)',
        'str(99999999999999999999),add(0)', 'int(10),length', 'int(10),hex',
        'int(-1),hex', 'src', 'src,hex', 'src,base64', 'src,length', 'src,add(1)',
        'src,lower', 'int(10),upper', 'dst', 'dst,length', 'bool(true),hex',
        'bool(1),length', 'ssl_fc', 'ssl_fc_sni', 'fc_http_major', 'src_is_local',
        'var(txn.name)', 'var(txn.num)', 'var(txn.none)', 'var(txn.none,def)',
        'var(txn.name,def)', 'var(nope)', 'var(txn.num),add(1)', 'nope', 'nope(1)',
        'env(NEAP_NO_SUCH)', 'str(a),nope',
        -- numbers
        'int(5),add(1)', 'int(5),add(-7)', 'int(9223372036854775807),add(1)',
        'int(-9223372036854775807),sub(5)', 'int(9007199254740992),add(1)',
        'int(9007199254740993),sub(1)', 'int(5),sub(7)', 'int(7),mul(6)',
        'int(7),mul(9223372036854775807)', 'int(-7),mul(9223372036854775807)',
        'int(3037000500),mul(3037000500)', 'int(94906267),mul(94906267)', 'int(7),div(2)',
        'int(-7),div(2)', 'int(7),div(0)', 'int(-7),div(0)', 'int(-1),div(2)',
        'int(9223372036854775807),div(10)', 'int(-7),mod(3)', 'int(7),mod(-3)',
        'int(7),mod(0)', 'int(-6),mod(3)', 'int(9223372036854775807),mod(1000)',
        'int(5),neg', 'int(0),neg', 'int(5),not', 'int(0),not', 'int(5),cpl',
        'int(-1),cpl', 'int(5),and(4)', 'int(5),or(8)', 'int(5),xor(1)',
        'int(1099511627776),or(1)', 'int(-1),and(255)', 'int(-256),xor(-1)',
        'int(5),odd', 'int(5),even', 'int(-5),odd', 'int(0),even', 'int(5),bool',
        'str(0),bool', 'str(x),bool', 'int(0),iif(a,b)', 'str(x),iif(a,b)',
        'str(1),iif(a,b)', 'bool(1),iif(,b)', 'int(5),add(txn.num)', 'int(5),add(var)',
        'int(5),add(txn.none)', 'int(5),add(txn.name)', 'int(50),mod(txn.num)',
        'int(5),add(1,2)', 'int(5),add', 'int(258),htonl,hex', 'int(-1),htonl,hex',
        -- header fields
        'hdr(x-l)', 'hdr(X-L)', 'hdr(x-l,1)', 'hdr(x-l,2)', 'hdr(x-l,3)', 'hdr(x-l,4)',
        'hdr(x-l,5)', 'hdr(x-l,6)', 'hdr(x-l,-2)', 'hdr(x-l,-5)', 'hdr(x-l,-6)',
        'hdr(x-l,0)', 'hdr(x-l,a)', 'hdr(x-l', 'hdr(a,1,2)', 'req.hdr_cnt(x-l)',
        'req.fhdr(x-l)', 'req.fhdr(x-l,1)', 'req.fhdr(x-l,-2)', 'req.fhdr_cnt(x-l)',
        'req.fhdr(x-l,3)', 'hdr(x-empty)', 'req.hdr_cnt(x-empty)', 'req.fhdr(x-empty)',
        'hdr(x-c)', 'hdr(x-c,1)', 'hdr(x-c,2)', 'hdr(x-c,3)', 'hdr_cnt(x-c)',
        'hdr(nope)', 'hdr_cnt(nope)', 'req.hdr_cnt', 'req.fhdr_cnt', 'req.hdr_names',
        'req.hdr_names(;)', 'req.hdr_names(ab)', 'req.hdrs', 'req.hdr_val(x-n)',
        'req.hdr_val(x-neg)', 'req.hdr_val(host)', 'req.hdr_ip(x-ip)',
        'req.hdr_ip(x-ip,1)', 'req.hdr_ip(host)', 'req.hdr(cookie)', 'req.hdr(cookie,1)',
        'hdr_ip(x-ip,-2)', 'req.fhdr(user-agent)', 'req.hdr(user-agent)',
        'req.hdr(user-agent,1)', 'hdr(x-l,1),upper', 'req.hdr(x-case),length',
        -- cookies
        'req.cook(a)', 'req.cook(c)', 'req.cook', 'req.cook_cnt', 'req.cook_cnt(a)',
        'req.cook_val(a)', 'req.cook_val(b)', 'req.cook(zz)', 'req.cook_cnt(zz)',
        'cook(b)', 'cookie(b)', 'req.cook(A)',
        -- the request line
        'req.ver', 'method', 'path', 'pathq', 'query', 'url', 'base', 'base32', 'baseq',
        'url32', 'urlp(x)', 'url_param(y)', 'urlp', 'urlp(nope)', 'urlp_val(y)',
        'capture.req.uri', 'capture.req.method', 'capture.req.ver', 'req.proto_http',
        'req.body', 'req.body_len', 'req.body_size', 'req.body_param(a)',
        'http_auth_user', 'http_auth_type', 'status', 'base,length',
        -- texts
        'str(f1_f2_f3__f5),field(5,_)', 'str(f1_f2_f3__f5),field(2,_,0)',
        'str(f1_f2_f3__f5),field(2,_,2)', 'str(f1_f2_f3__f5),field(-2,_,3)',
        'str(f1_f2_f3__f5),field(-3,_,0)', 'str(f1_f2_f3__f5),field(4,_)',
        'str(f1_f2_f3__f5),field(6,_)', 'str(f1_f2_f3__f5),field(-5,_)',
        'str(f1_f2_f3__f5),field(-6,_)', 'str(f1_f2_f3__f5),field(0,_)',
        'str(abc),field(1,_)', 'str(abc),field(2,_)', 'str(),field(1,_)',
        'str(a_b_c),field(2,_,9)', 'str(a_b_c),field(-1,_,9)', 'str(_a_),field(1,_)',
        'str(_a_),field(3,_)', 'str(_a_),field(4,_)', 'str(_a_),field(-1,_)',
        'str(a_b_),field(2,_,2)', 'str(a_b_),field(-1,_,2)', 'str(abc),field(1)',
        "str('a,b;c'),field(2,',;')", 'str(f1_f2_f3__f5),word(4,_)',
        'str(f1_f2_f3__f5),word(2,_,0)', 'str(f1_f2_f3__f5),word(3,_,2)',
        'str(f1_f2_f3__f5),word(-2,_,3)', 'str(f1_f2_f3__f5),word(-3,_,0)',
        'str(/f1/f2/f3/f4),word(1,/)', 'str(f1_f2),word(3,_)', 'str(___),word(1,_)',
        'str(_a_),word(1,_)', 'str(_a_),word(-1,_)', 'str(a_b_c),word(2,_,9)',
        'str(a_b_c),word(-1,_,9)', 'str(_a__b_),word(1,_,0)', 'str(_a__b_),word(-1,_,0)',
        'str(_a__b_),word(1,_,5)', 'str(_a__b_),word(-1,_,5)', 'str(abc),word(0,_)',
        'str(abcdef),bytes(2)', 'str(abcdef),bytes(2,2)', 'str(abcdef),bytes(9)',
        'str(abcdef),bytes(2,99)', 'str(abcdef),bytes(6)', 'str(abcdef),bytes(0,0)',
        'str(abc),bytes(a)', 'str(xxabcx),rtrim(x)', 'str(xxabcx),ltrim(x)',
        'str(xxx),ltrim(x)', 'str(xxx),rtrim(x)', 'str(xyabxy),ltrim(yx),rtrim(yx)',
        'str(abc),length', [[str("a\r\nb"),cut_crlf]], 'str(ABC),lower',
        'str(abc),upper', 'str(abc),upper(x)', 'str(Host:80),host_only',
        'str(Host),host_only', 'str([::1]:80),host_only', 'str([::1]),host_only',
        'str(Host:80),port_only', 'str(Host),port_only', 'str([::1]),port_only',
        'str([::1]:81),port_only', 'str(a),concat(b,txn.name,c)', 'str(a),concat()',
        'str(a),concat', 'str(a),concat(,txn.none,x)', 'str(a),concat(b)',
        'str(a),concat(<,txn.num,>)', 'str(a),concat(b,nope)',
        'str(a),add_item(;,txn.name,c)', 'str(),add_item(;,txn.none,c)',
        'str(a),add_item(;,,c)', 'str(a),add_item(;,txn.none)', 'str(a),add_item(;)',
        'str(Value),strcmp(txn.name)', 'str(Value),secure_memcmp(txn.name)',
        'str(Valuf),secure_memcmp(txn.name)', 'str(abc),strcmp(txn.none)',
        'str(abc),strcmp(x)', 'str(q),set-var(txn.q),upper',
        'str(q),set-var(txn.q2,ifempty),concat(-,txn.q2)',
        'str(q),set-var(txn.q3),concat(-,txn.q3)',
        'str(q),set-var(txn.name,ifnotexists),concat(-,txn.name)',
        "str(aXbXc),regsub(X,-)", "str(aXbXc),regsub(X,-,g)", "str(aXbXc),regsub(x,-,gi)",
        "str(abxc),regsub(x*,-,g)", [[str(abc),regsub('(b)','<\1\0>')]],
        "str(abc),regsub(b,)", "str(abc),regsub(b)", "str(abc),regsub('(b','')",
        "str(abc),regsub(b,x,z)", [[str(abc),regsub('b',"\x41\n")]],
        "str(abc),regsub('^','x',g)", "str(/////a///b/c/xzxyz/),regsub('/+','/','g')",
        "query,regsub([?;&]*,'')", [[url,regsub("(a|b)/([0-9]+)?","\2\1",i)]],
        "str(foo12),regsub('(foo|bar)([0-9]+)?','\\2\\1',i)",
        -- encodings
        'str(abc),hex', 'str(a+b?c+d),url_dec', 'str(a+b?c+d),url_dec(1)',
        'str(a%20b),url_dec', 'str(a%zz),url_dec', 'str(a%2),url_dec',
        'str("a b/c?&=+~-_.!*()"),url_enc', 'str(a),url_enc(query)', 'str(a),url_enc(x)',
        'bin(c3a9),url_enc', 'str(aGVsbG8=),b64dec', 'str(aGVsbG8),b64dec',
        'str(aGVsb!8=),b64dec', 'str(aGVsbG8),ub64dec', 'str(aGVsbG8=),ub64dec',
        'str(),b64dec', 'bin(fbff),ub64enc', 'bin(fbff),base64', 'str(a),base64',
        'str(ab),base64', 'str(abc),base64', 'str(),base64', 'str(0a),hex2i',
        'str(zz),hex2i', 'str(FFFFFFFF),hex2i', 'str(7fffffffffffffff),hex2i',
        [[str("a\"b/"),json]], [[str("a\"b/"),json(utf8)]], 'bin(61ff62),json(utf8)',
        'bin(61ff62),json(utf8s)', 'bin(61ff62),json(ascii)', 'bin(c3a9),json(utf8)',
        'bin(c3a9),json', 'bin(61c08162),json(utf8ps)', 'bin(61c08162),json(utf8s)',
        'bin(61c08162),json(utf8p)', 'bin(61c08162),json(utf8)', 'bin(610a0962),json(utf8)',
        'bin(e282ac),json(utf8)', 'bin(f09f9880),json(utf8)', 'bin(f09f9880),json(utf8s)',
        'bin(0102),json', 'bin(edb080),json(utf8)', 'str(abc),json(foo)',
        'bin(01020304050607),be2dec(:,2)', 'bin(01020304050607),be2dec(-,2,1)',
        'bin(01020304050607),be2dec(,2,1)', 'bin(7f000001),be2dec(.,1)',
        'bin(ffffffffffffffff),be2dec(,8)', 'bin(01020304050607),be2hex',
        'bin(01020304050607),be2hex(:,2)', 'bin(01020304050607),be2hex(--,2,1)',
        'bin(0102030405060708),be2hex(,3,1)', 'bin(0102),be2dec(:,9)',
        -- hashes and digests
        'str(abc),sdbm', 'str(abc),sdbm(1)', 'str(abc),djb2', 'str(abc),djb2(1)',
        'str(abc),wt6', 'str(abc),wt6(1)', 'str(abc),crc32', 'str(abc),crc32(1)',
        'str(abc),crc32c', 'str(abc),crc32c(1)', 'str(abc),xxh32', 'str(abc),xxh32(7)',
        'str(abc),xxh64', 'str(abc),xxh64(7)', 'str(abc),xxh3', 'str(abc),xxh3(7)',
        'bin(ff80fe),sdbm', 'bin(ff80fe),djb2', 'bin(ff80fe),wt6', 'bin(ff80fe),crc32',
        'str(),crc32', 'str(),sdbm', 'str(the quick brown fox jumps),wt6',
        'str(the quick brown fox jumps over the lazy dog and on),xxh3', 'src,crc32',
        'src,sdbm', 'int(5),crc32', 'bool(1),xxh32', 'str(abc),sha1,hex',
        'str(abc),sha2,hex', 'str(abc),sha2(224),hex', 'str(abc),sha2(384),hex',
        'str(abc),sha2(512),hex', 'str(abc),sha2(100)', 'str(abc),digest(md5),hex',
        'str(abc),digest(nope)', 'str(abc),hmac(sha256,a2V5),hex',
        'str(abc),hmac(sha256,key),hex', 'str(abc),hmac(nope,a2V5),hex',
        -- JSON
        [[str('{"a":5,"b":"x","c":1.5}'),json_query('$.a')]],
        [[str('{"a":5,"b":"x","c":1.5}'),json_query('$.a',int)]],
        [[str('{"a":5,"b":"x","c":1.5}'),json_query('$.b')]],
        [[str('{"a":5,"b":"x","c":1.5}'),json_query('$.c')]],
        [[str('{"a":5,"b":"x","c":1.5}'),json_query('$.c',int)]],
        [[str('{"a.b":{"c.d.e":7}}'),json_query('$.a\.b.c\.d\.e')]],
        [[str('{"d":true}'),json_query('$.d')]], [[str('{"d":false}'),json_query('$.d')]],
        [[str('{"e":{"f":[1,2,{"g":7}]}}'),json_query('$.e.f[2].g')]],
        [[str('{"e":{"f":[1,2]}}'),json_query('$.e')]],
        [[str('{"e":{"f":[1,2]}}'),json_query('$.e.f')]],
        [[str('{"n":null}'),json_query('$.n')]], [[str('{'),json_query('$.n')]],
        [[str('{"a":1}'),json_query('$.b')]], [[str('[1,2]'),json_query('$[1]')]],
        [[str('5'),json_query('$')]], [[str('{"a":1}'),json_query('$.a',foo)]],
        [[str(eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.c2ln),jwt_header_query('$.alg')]],
        [[str(eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.c2ln),jwt_payload_query('$.iss')]],
        'str(eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.c2ln),jwt_payload_query',
        'str(a.b.c),jwt_header_query', 'str(a.b),jwt_header_query',
        -- languages and dates
        'req.fhdr(accept-language),language(en;de;fr)',
        'req.fhdr(accept-language),language(fr;es)',
        'req.fhdr(accept-language),language(fr;es,xx)',
        'req.fhdr(accept-language),language(de)',
        'str("en-US,de;q=0.9"),language(de;en)',
        'str("en-US;q=0.5,de;q=0.4"),language(de;en-US;en)',
        'str("de;q=0.3,fr;q=0.9,en;q=0.9"),language(de;en;fr)',
        'int(784111777),http_date', 'int(784111777),http_date(3600)',
        'int(784111777),http_date(-1)', 'int(784111777123),http_date(0,ms)',
        'int(784111777000042),http_date(0,us)', 'int(784111777),http_date(0,x)',
        'int(784111777),utime(%Y-%m-%d %H:%M:%S)', "int(784111777),utime('%d')",
        'int(784111777),utime(%a,5)', 'int(784111777),utime(%H,-3600)',
        'int(784111777),utime',
        -- addresses
        'int(2130706433),ipmask(8)', 'str(10.1.2.3),ipmask(8)',
        'str(10.1.2.3),ipmask(255.255.0.0)', 'str(::1),ipmask(8)',
        'ipv6(::ffff:10.1.2.3),ipmask(8,64)', 'ipv6(::ffff:10.1.2.3),ipmask(16)',
        'base32+src,hex', 'url32+src,hex', 'url_ip', 'url_port',
        'str(2001:db8:1:2::1),ipmask(8,32)', 'str(2001:db8:1:2::1),ipmask(8,ffff:ffff::)',
        'str(1.2.3.4),ipmask(33)', 'str(1.2.3.4),ipmask(0)', 'str(abc),ipmask(8)',
        'src,ipmask(24)', 'int(5),ipmask(24)', 'str(1.2.3.4),ipmask',
        'str(1.2.3.255),ipmask(25)',
    },
    conditions = {
        '{ path -m beg /a /b }', '{ path_beg /a }', '{ path -m str /a/b.html }',
        '{ path /a/b.html }', '{ path /x }', '{ path -i -m end .HTML }',
        '{ path -m end .HTML }', '{ path -m end -i .HTML }', '{ path_end -i .HTML }',
        '{ path -m sub b.h }', '{ path -m dir a }', '{ path -m dir b }',
        '{ path -m dir a/b.html }', '{ path -m dir /a/ }', '{ path -m reg ^/a.*l$ }',
        '{ path_reg -i HTML }', '{ path_reg HTML }', '{ path -m len 9 }',
        '{ path_len 9:10 }', '{ path_len gt 8 }', '{ path_len gt 9 }', '{ path -m found }',
        '{ hdr(nope) -m found }', '{ hdr(x-empty) -m found }', '{ hdr(host) -m dom example }',
        '{ hdr(host) -m dom com }', '{ hdr(host) -m dom co }',
        '{ hdr(host) -m dom -i .example.com. }', '{ hdr_dom(host) -i example.com }',
        '{ hdr(host) -m dom 8080 }', '{ req.hdr(x-l) a }', '{ req.hdr(x-l) f }',
        '{ req.hdr(x-l) d }', '{ req.hdr(x-l,1) f }', '{ req.hdr_cnt(x-l) 5 }',
        '{ req.hdr_cnt(x-l) gt 4 }', '{ req.hdr_cnt(x-l) gt 4 lt 3 }',
        '{ req.hdr_cnt(x-l) 1:3 }', '{ req.hdr_cnt(x-l) 4: }', '{ req.hdr_cnt(x-l) :4 }',
        '{ urlp(x) 3 }', '{ urlp(x) 1 }', '{ urlp 3 }', '{ req.cook(a) 1 }',
        '{ req.cook(a) 3 }', '{ req.cook two }', '{ hdr_ip(x-ip) 10.0.0.0/8 }',
        '{ hdr_ip(x-ip) 192.168.0.0/16 }', '{ hdr_ip(x-ip) 11.0.0.0/8 }',
        '{ req.hdr_val(x-n) 12 }', '{ req.hdr_val(x-neg) lt 0 }', '{ src 127.0.0.0/8 }',
        '{ src 127.0.0.1 }', '{ src ::1 }', '{ src ::ffff:127.0.0.1 }',
        '{ src 10.0.0.1 127.1 }', '{ src 127.0.0.0/255.0.0.0 }', '!{ src 10.0.0.1 }',
        '{ src 1.1.1.1 } || { path /a/b.html }',
        '{ path /x } or { path /a/b.html } { method POST }',
        '{ path /a/b.html } !{ method POST } or { path /x }', '{ method GET POST }',
        '{ method get }', '{ method -m str get }', '{ method -i -m str get }',
        '{ always_true }', '{ always_true 0 }', '{ always_false }', '{ bool(1) -m int 1 }',
        '{ int(5) -m bool }', '{ int(0) -m bool }', '{ int(-5) lt 0 }', '{ int(5) 5 }',
        '{ int(5) 4 6 }', '{ int(5) eq 4 5 }', '{ str(abc) -m bin 616263 }',
        '{ str() -m found }', '{ str() -m len 0 }', '{ path,lower -m beg /A }',
        '{ path,upper -m beg /A }', '{ path -m beg -- -i }', 'TRUE', 'FALSE', 'METH_GET',
        'HTTP_1.1', 'HTTP_1.0', 'METH_POST || METH_GET', '!METH_POST', 'LOCALHOST',
        'HTTP_URL_SLASH', 'HTTP_URL_STAR', '{ req.hdr(x-n) -m int 12 }',
        '{ req.hdr(x-n) -m str 12 }', '{ str(1.2.3.4) -m ip 1.2.3.0/24 }',
        '{ str(::ffff:1.2.3.4) -m ip 1.2.3.0/24 }', '{ str(2002:102:304::) -m ip 1.2.3.4 }',
        '{ str(2001:db8::1) -m ip 2001:db8::/32 }', '{ str(2001:db9::1) -m ip 2001:db8::/32 }',
        '{ str(10.1.2.3) -m ip 10.1/16 }', '{ str(a.b) -m reg a.b }', '{ path,length 9 }',
        '{ path,length eq 9 }', '{ path,length -m int le 9 }', '{ path -m str "/a/b.html" }',
        [[{ str(a\ b) -m str 'a b' }]], [[{ str(a\\\ b) -m str a\ b }]], '{ bool(1),not }',
        '{ int(5) -m sub 5 }', '{ src -m sub 127 }', '{ src -m beg 127. }',
        '{ base -m end /a/b.html }', '{ path -m beg /a ) }', '{ hdr(host) -i example.com:8080 }',
        '{ hdr(host) example.com:8080 }', '{ req.body -m len 0 }', '{ req.body -m found }',
        '{ var(txn.num) -m int 42 }', '{ var(txn.name) -m str Value }',
        '{ req.hdr(user-agent) -m sub Linux }', '{ req.fhdr(user-agent) -m sub X11 }',
        '{ path -m foo a }', '{ int(5) abc }', '{ path -m reg ( }', '{ src 1.2.3.4/40 }',
        '{ nope -m found }', '{ path,nope -m found }', '{ path_beg(/a) }', '{ always_true',
        '{ path -q a }', 'NOPE',
    },
})

case('parameters', 'GET /p;s=9;t=8?a&b=1;c=2&=x&d=&e==3&b=7 HTTP/1.1', [[
Host: h
Authorization: Basic dTpwOnE=
]], nil, {
    expressions = {
        'urlp(a)', 'urlp(b)', 'urlp(c)', 'urlp(d)', 'urlp(e)', 'urlp', 'urlp(s,;)',
        'urlp(t,;)', 'urlp(b,;)', 'urlp(d,;)', 'urlp_val(c)', 'http_auth_user',
        'http_auth_pass', 'http_auth_type', 'http_auth_bearer', 'path', 'url', 'query',
        'pathq', 'base',
    },
    conditions = { '{ urlp(b) 7 }', '{ urlp(b) 1 }', '{ urlp 7 }', '{ urlp_val(c) gt 1 }' },
})

case('absolute', 'GET http://Host:81/x/y?q HTTP/1.1', [[
Host: Host:81
Authorization: Bearer  abc.def
]], nil, {
    expressions = {
        'path', 'url', 'query', 'pathq', 'base', 'http_auth_bearer', 'http_auth_type',
        'http_auth_user', 'capture.req.uri', 'url32', 'url_ip', 'url_port',
    },
    conditions = { 'HTTP_URL_ABS', 'HTTP_URL_SLASH', '{ path_beg /x }' },
})

case('authority', 'GET http://10.1.2.3:81/x/y?q HTTP/1.1', 'Host: 10.1.2.3:81\n', nil, {
    expressions = { 'url_ip', 'url_port', 'url32+src,hex', 'base32+src,hex' },
    conditions = {
        '{ url_ip 10.0.0.0/8 }', '{ int(150) -m int 100-200 }', '{ int(250) -m int 100-200 }',
    },
})

case('star', 'OPTIONS * HTTP/1.1', 'Host: h\n', nil, {
    expressions = { 'path', 'url', 'query', 'pathq', 'base', 'method' },
    conditions = { 'HTTP_URL_STAR', 'METH_OPTIONS', '{ path -m found }' },
})

case('post', 'POST /x? HTTP/1.1', [[
Host: h
Content-Type: application/x-www-form-urlencoded
Cookie: a = 1 ; b=2;c; =e; d="x y"
]], 'a=1&b=%202&c=', {
    expressions = {
        'path', 'query', 'req.body', 'req.body_len', 'req.body_size',
        'req.body_param(a)', 'req.body_param(b)', 'req.body_param(c)', 'req.body_param',
        'req.body_param(z)', 'req.body_param(b),url_dec', 'req.cook(a)', 'req.cook(b)',
        'req.cook(c)', 'req.cook(d)', 'req.cook', 'req.cook_cnt', 'req.hdr_cnt(cookie)',
        'method', 'req.hdr(content-length)', 'req.hdr_val(content-length)',
        'req.body,sha1,hex', 'req.body,length',
    },
    conditions = {
        'HTTP_CONTENT', 'METH_POST', '{ req.body -m sub b=%20 }', '{ req.body_len ge 13 }',
        '{ req.body_param(c) -m found }',
    },
})

case('old', 'GET / HTTP/1.0', [[
X: a
X:
X: ,b
Y: "a, \"b", c
]], nil, {
    expressions = {
        'method', 'req.ver', 'base', 'hdr(x)', 'hdr_cnt(x)', 'hdr(x,2)', 'hdr(x,3)',
        'hdr(x,4)', 'hdr(x,-1)', 'hdr(y)', 'hdr_cnt(y)', 'req.fhdr_cnt(x)', 'hdr(host)',
        'capture.req.ver', 'base32', 'url32',
    },
    conditions = { 'HTTP_1.0', 'HTTP_1.1', '{ hdr(x) b }', '{ hdr(x) -m len 0 }' },
})

return cases
