-- Asks the server of test_filter.sh, over sockets of its own.
local fiber = require('fiber')
local raw = require('raw')
local tap = require('tap')

local where = arg[1]

local function dechunk(text)
	local parts = {}
	local at = 1
	while true do
		local size, from = text:match('^(%x+)\r\n()', at)
		if size == nil then return nil end -- cut
		size = tonumber(size, 16)
		if size == 0 then return table.concat(parts) end
		parts[#parts + 1] = text:sub(from, from + size - 1)
		at = from + size + 2
	end
end

-- The body; nil: it is not whole.
local function body_of(answer, method)
	if answer.status == nil then return nil end
	if method == 'HEAD' then return answer.body end
	if answer.headers['transfer-encoding'] then return dechunk(answer.body) end
	local length = answer.headers['content-length']
	if length and tonumber(length) ~= #answer.body then return nil end
	return answer.body
end

-- What has a body is read while it is sent.
local function ask(path, body, method, headers)
	local peer = raw.connect(where)
	local sender = fiber.new(peer.send, peer, ('%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s%s\r\n%s')
		:format(method or body and 'POST' or 'GET', path, headers or '',
			body and ('Content-Length: %d\r\n'):format(#body) or '', body or ''))
	sender:set_joinable(true)
	local answer = raw.parse((peer:read()))
	sender:join()
	peer:close()
	answer.body = body_of(answer, method)
	return answer
end

-- The same, with a body in chunks.
local function ask_chunked(path, pieces)
	local peer = raw.connect(where)
	peer:send('POST ' .. path .. ' HTTP/1.1\r\nHost: test\r\nConnection: close\r\n'
		.. 'Transfer-Encoding: chunked\r\n\r\n')
	for _, piece in ipairs(pieces) do
		peer:send(('%x\r\n%s\r\n'):format(#piece, piece))
		fiber.sleep(0.002)
	end
	peer:send('0\r\n\r\n')
	local answer = raw.parse((peer:read()))
	peer:close()
	answer.body = body_of(answer)
	return answer
end

local big = {}
for i = 1, 5000 do big[i] = ('Line number %d of a body that is large enough\n'):format(i) end
big = table.concat(big)

for _, kind in ipairs({ 'p', 's' }) do
	local function is(got, want, name)
		name = kind .. ': ' .. name
		if type(want) == 'string' and #want > 1000 then
			return tap.ok(got == want, name)
		end
		return tap.is(got, want, name)
	end
	local base = '/' .. kind

	is(ask(base .. '/up/echo', 'Hello').body, 'HELLO', 'both bodies pass')
	is(ask_chunked(base .. '/up/echo', { 'He', 'l', 'lo' }).body, 'HELLO', 'in chunks')
	is(ask_chunked(base .. '/up/echo', {}).body, '', 'no chunks')
	is(ask(base .. '/up/echo').body, '', 'no body')
	is(ask(base .. '/up/echo', '').body, '', 'an empty one')
	is(ask(base .. '/up/echo', big).body, big:upper(), 'a large one, received at once')
	is(ask(base .. '/up/pieces', big).body, big:upper(), 'a large one, piece by piece')
	is(ask(base .. '/up/lines', 'a\nbc\n\nd').body, '(A\n)(BC\n)(\n)(D)', 'line by line')
	is(ask(base .. '/up/echo', nil, 'HEAD').body, '', 'HEAD')
	is(ask(base .. '/up/nothing').status, 204, 'no body of 204')
	is(ask(base .. '/up/file.txt').body, 'A SMALL FILE\n', 'a file')
	local file = ask(base .. '/up/large.txt')
	is(file.body, big:upper(), 'a large file')
	is(file.headers['content-length'], nil, 'whose length is not that of the body')
	file = ask(base .. '/up/large.txt', nil, 'HEAD')
	is(file.body, '', 'HEAD of it')
	is(file.headers['content-length'], nil, 'has no length, either')
	is(ask(base .. '/up/return').body, 'RETURNED', 'the answer of a rule')

	is(ask(base .. '/hold/echo', 'abc').body, '5:3:abc', 'what is held goes on at the end')
	is(ask(base .. '/hold/pieces', big).body,
		('%d:%d:%s'):format(#big + 7, #big, big), 'a large one')
	is(ask_chunked(base .. '/hold/echo', { 'a', 'b' }).body, '4:2:ab', 'in chunks')
	is(ask(base .. '/wait/echo', 'abc').body, 'abc||', 'a filter that waits')
	is(ask(base .. '/once/echo', big).body, '<first><first>' .. big, 'one that leaves')

	is(ask(base .. '/maybe/echo', 'x').body, 'x', 'a parser that wants no filter')
	is(ask(base .. '/maybe/echo?a=yes', 'x').body, 'seen', 'one that does, by this request')

	local answer = ask(base .. '/heads/head?b', nil, nil, 'X-Old: 1\r\n')
	is(answer.body, 'PUT /other?a=1 yes nil', 'what a service sees of a changed head')
	is(answer.status, 201, 'a changed status')
	is(answer.headers['x-line'], 'HTTP/1.1 200 OK', 'the line of an answer')
	is(answer.headers['x-seen'], 'GET ' .. base .. '/heads/head?b HTTP/1.1 test', 'that of a request')
	is(answer.headers['content-length'], '22', 'its body keeps its length')

	is(ask(base .. '/exact/pieces', big).headers['content-length'], tostring(#big), 'set_body_len()')
	is(ask(base .. '/exact/pieces', big).body, ('x'):rep(#big), 'and so long it is')
	is(ask(base .. '/wrong/pieces', big).body, nil, 'more than was said: it is cut')
	is(ask(base .. '/wrong/echo', 'abc').body, 'xxx', 'of a short one the length is known better')

	is(ask(base .. '/api/echo', 'hello').body, [[
-sent
HTTPMessage Channel true true
5 0 false true false
hello llo lo el hello hello hello
1 h<ello 1 h<ell>o
1 1 [h<ell>o]
2 [--ll>o] 2 -ll>o] 1 -ll>o
1 1 ll>o 4 5 4
-1
body: offset 1000 is out of range, there are 4 bytes
set: a string is wanted, not table
set_method(): this is the answer
set_header(): the header has gone on
http_msg:set_eom(): not in this server: a body ends where it ends
data(): of a message of HTTP the HTTPMessage has the body
filter.register_data_filter(flt, chn): a channel is wanted]], 'the methods')

	-- What fails.
	for _, case in ipairs({
		{ 'start_analyze req', 403 }, { 'http_headers req', 403 }, { 'http_payload req', 403 },
		{ 'http_end req', 403 }, { 'start_analyze res', 502 }, { 'http_headers res', 502 },
		{ 'http_payload res', 502 }, { 'http_end res', 502 },
	}) do
		local at = case[1]:gsub(' ', '/')
		answer = ask(('%s/closed/%s/error/echo'):format(base, at), 'abc')
		is(answer.status, case[2], case[1] .. ' returns an error')
		answer = ask(('%s/closed/%s/throw/echo'):format(base, at), 'abc')
		is(answer.status, case[2], case[1] .. ' throws')
		answer = ask(('%s/open/%s/throw/echo'):format(base, at), 'abc')
		is(answer.body, 'ABC', case[1] .. ' throws, and is left out')
		answer = ask(('%s/closed/%s/done/echo'):format(base, at), 'abc')
		is(answer.body, 'done by a filter', case[1] .. ' answers')
		is(answer.status, 418, 'by its status')
	end
	is(ask(base .. '/closed/end_analyze/req/throw/echo', 'abc').body, 'ABC', 'too late to fail')
	is(ask(base .. '/closed/http_payload/res/throw/flood').body, nil, 'the answer has begun: it is cut')
	is(ask(base .. '/open/http_payload/res/throw/pieces', big).body, big:upper(), 'or goes on')
	is(ask(base .. '/open/http_payload/req/loop/echo', 'abc').body, 'ABC', 'one that loops is left out')
	is(ask(base .. '/closed/http_payload/res/loop/echo', 'abc').status, 502, 'or refused')

	-- Who goes.
	local before = tonumber(ask('/live/' .. kind).body:match('^(%d+)'))
	for _ = 1, 5 do
		local peer = raw.connect(where)
		peer:send('POST ' .. base .. '/live/echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc')
		fiber.sleep(0.002)
		peer:reset()
	end
	raw.until_true(function()
		local begun, ended = ask('/live/' .. kind).body:match('^(%d+) (%d+)')
		return tonumber(begun) >= before and begun == ended
	end)
	ask(base .. '/live/echo', 'abc')
	is(ask('/live/' .. kind).body:match('%a.*'), 'the request is over', 'what is kept is over')
end

-- Both kinds on one request, with actions of both between.
local much = big:rep(os.getenv('NEAP_SOAK') and 40 or 3)
tap.is(ask('/both/echo', 'Hello').body, ('Hello'):upper(), 'filters of both kinds, in order')
tap.ok(ask('/both/pieces', much).body == much:upper(), 'and much through them')

tap.is(ask('/response/echo', 'Hello').body, 'HELLO', 'one of response_rules sees the answer alone')

-- Who does not read holds back who writes.
local peer = raw.connect(where, { rcvbuf = 65536 })
peer:send('GET /p/up/flood HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n')
local last, same = -1, 0
while same < 10 do
	local now = tonumber(ask('/sent').body)
	same = now == last and now > 0 and same + 1 or 0
	last = now
	fiber.sleep(0.01)
end
tap.ok(last < 4 * 1024 * 1024, 'a peer that does not read holds back the service')
local answer = raw.parse((peer:read()))
tap.is(#body_of(answer), 8 * 1024 * 1024, 'and gets all when it does')
peer:close()
tap.done()
os.exit(0)
