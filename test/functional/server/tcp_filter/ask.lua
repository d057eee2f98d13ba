-- Asks the server of test_tcp_filter.sh, over sockets of its own.
local fiber = require('fiber')
local raw = require('raw')
local socket = require('socket')
local tap = require('tap')

local folder = arg[1] .. '/'

-- What comes back of some text, which is sent in pieces while it is read.
local function ask(where, ...)
	local peer = assert(raw.connect(folder .. where))
	local sender = fiber.new(function(...)
		for i = 1, select('#', ...) do
			if i > 1 then fiber.sleep(0.005) end
			peer:send((select(i, ...)))
		end
		peer:shutdown()
	end, ...)
	sender:set_joinable(true)
	local text = peer:read()
	sender:join()
	peer:close()
	return text
end

local big = {}
for i = 1, 5000 do big[i] = ('Line number %d of what is large enough\n'):format(i) end
big = table.concat(big)

for _, kind in ipairs({ 'p', 's' }) do
	local function is(got, want, name)
		name = kind .. ': ' .. name
		if #want > 1000 then return tap.ok(got == want, name) end
		return tap.is(got, want, name)
	end
	local function at(name) return kind .. '.' .. name end

	is(ask(at('up'), 'Hello'), 'HELLO', 'both directions pass')
	is(ask(at('up'), 'He', 'l', 'lo'), 'HELLO', 'in pieces')
	is(ask(at('up'), ''), '', 'nothing')
	is(ask(at('up'), big), big:upper(), 'much, received at once')
	is(ask(at('up-pieces'), big), big:upper(), 'much, piece by piece')
	is(ask(at('up-rows'), 'a\nbc\n\nd'), '(A\n)(BC\n)(\n)(D)', 'line by line')
	is(ask(at('up-rows'), big), (big:upper():gsub('[^\n]+\n', '(%0)')), 'many lines')
	is(ask(at('lines-rows'), 'a\nb', 'c', '\nd'), '<(<a>>\n<)(<bc>>\n<)(<d>)>',
		'whole lines alone')
	is(ask(at('hold'), 'abc'), '5:3:abc', 'what is held goes on at the end')
	is(ask(at('wait'), 'abc'), 'abc||', 'a filter that waits')
	is(ask(at('once'), big), '<res><req>' .. big, 'one that leaves')
	is(ask(at('look'), 'abc'), 'abcTXN Channel touched nil', 'what a callback is given')
	is(ask(at('api'), ''), '-senth<e\nllo\n6 0 false true\nhe\nllo \nllo lo e\n he\nllo\n'
		.. 'true llo h\n1 1 1 1 1\n1 1 4 5 7\n-1\n'
		.. 'data: offset 1000 is out of range, there are 7 bytes\n'
		.. 'set: a string is wanted, not table\n'
		.. 'channel:get(): not in this server: HAProxy has given it up', 'the methods')

	for _, where in ipairs({ 'start_analyze.req', 'start_analyze.res', 'tcp_payload.req',
		'tcp_payload.res' }) do
		is(ask(at('closed.' .. where .. '.error'), 'abc'), '', where .. ' returns an error')
		is(ask(at('closed.' .. where .. '.throw'), 'abc'), '', where .. ' throws')
		is(ask(at('closed.' .. where .. '.done'), 'abc'), '', where .. ' ends the connection')
		is(ask(at('open.' .. where .. '.throw'), 'abc'), 'ABC', where .. ' throws, and is left out')
	end
	is(ask(at('closed.end_analyze.req.throw'), 'abc'), 'ABC', 'too late to fail')
	is(ask(at('open.tcp_payload.req.loop'), 'abc'), 'ABC', 'one that loops is left out')
	is(ask(at('closed.tcp_payload.res.loop'), 'abc'), '', 'or ends the connection')
	is(ask(at('stubborn'), 'abc'), '', 'no way around')

	for _ = 1, 5 do
		local peer = raw.connect(folder .. at('live'))
		peer:send('abc')
		fiber.sleep(0.002)
		peer:reset()
	end
	ask(at('live'), 'abc')
	raw.until_true(function()
		local n, m = ask(at('count'), ''):match('^(%d+) (%d+)')
		return tonumber(n) >= 6 and n == m
	end)
	is(ask(at('count'), ''):match('%a.*'), 'the request is over', 'what is kept is over')
end

-- Both kinds on one connection, with actions of both between.
local much = big:rep(os.getenv('NEAP_SOAK') and 40 or 3)
tap.is(ask('both', 'Hello'), ('Hello'):upper(), 'filters of both kinds, in order')
tap.ok(ask('both', much) == much:upper(), 'and much through them')

-- Over TLS, what has been decrypted and what has not.
local s = assert(socket.tcp_connect('unix/', folder .. 'tls', { tls = { verify = 'none' } }))
local sender = fiber.new(function()
	s:write(big)
	s:shutdown(1)
end)
sender:set_joinable(true)
tap.ok(s:read(1e7, 60) == big:upper(), 'over TLS')
sender:join()
s:close()

-- Who does not read holds back who writes.
local peer = raw.connect(folder .. 'flood', { rcvbuf = 65536 })
local last, same = -1, 0
while same < 10 do
	local now = tonumber(ask('sent', ''))
	same = now == last and now > 0 and same + 1 or 0
	last = now
	fiber.sleep(0.01)
end
tap.ok(last < 4 * 1024 * 1024, 'a peer that does not read holds back the service')
tap.is(#peer:read(), 8 * 1024 * 1024, 'and gets all when it does')
peer:close()
tap.done()
os.exit(0)
