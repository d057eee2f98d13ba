-- Filters of test_filter.sh, registered in both kinds of states under names of their own:
-- s.up, p.up and so on.
local kind = ...

local function register(name, class, parser)
	core.register_filter(kind .. '.' .. name, class, parser or function(own) return own end)
end

-- A class whose objects see bodies in both directions.
local function of_bodies(payload)
	local class = { flags = filter.FLT_CFG_FL_HTX }
	class.__index = class
	function class:new() return setmetatable({}, self) end
	function class:start_analyze(txn, chn) filter.register_data_filter(self, chn) end
	class.http_payload = payload
	return class
end

register('up', of_bodies(function(self, txn, msg)
	msg:set(msg:body():upper())
end))

-- Another letter for each letter, which does not commute with the others.
register('rot', of_bodies(function(self, txn, msg)
	msg:set((msg:body():gsub('%a', function(c)
		local base = c:byte() >= 97 and 97 or 65
		return string.char((c:byte() - base + 13) % 26 + base)
	end)))
end))

-- Keeps all of it to the end, and says then how much that was.
register('hold', of_bodies(function(self, txn, msg)
	local way = msg:is_resp()
	local kept = (self[way] or '') .. msg:body()
	self[way] = kept
	msg:remove()
	if msg:eom() then msg:append(#kept .. ':' .. kept) end
end))

-- Waits wherever it may.
local wait = of_bodies(function(self, txn, msg)
	core.msleep(1)
	msg:append(msg:eom() and '|' or '')
end)
function wait:again(what)
	self[what] = (self[what] or 0) + 1
	filter.wake_time(1)
	return self[what] < 3 and filter.WAIT or filter.CONTINUE
end
function wait:http_headers(txn, msg) return self:again('headers' .. tostring(msg:is_resp())) end
function wait:http_end(txn, msg) return self:again('end' .. tostring(msg:is_resp())) end
register('wait', wait)

-- Fails where its arguments say: a callback, and request or answer.
local fail = of_bodies()
for _, name in ipairs({ 'start_analyze', 'http_headers', 'http_payload', 'http_end', 'end_analyze' }) do
	fail[name] = function(self, txn, msg)
		local where = msg:is_resp() and 'res' or 'req'
		if name == 'start_analyze' then filter.register_data_filter(self, msg) end
		if self.where ~= name .. ' ' .. where then return end
		if self.how == 'error' then return filter.ERROR end
		if self.how == 'loop' then while true do end end
		if self.how == 'done' then
			txn:done({ status = 418, body = 'done by a filter' })
		end
		error('failed on purpose')
	end
end
register('fail', fail, function(class, args)
	class.where, class.how = args[1], args[2]
	return class
end)

-- None, if its arguments say so.
register('maybe', of_bodies(function(self, txn, msg) msg:set('seen') end), function(class, args)
	if args[1] == 'yes' then return class end
end)

-- Heads alone.
local heads = {}
function heads:new() return setmetatable({}, { __index = self }) end
function heads:http_headers(txn, msg)
	local line = msg:get_stline()
	if msg:is_resp() then
		msg:set_header('x-line', ('%s %s %s'):format(line.version, line.code, line.reason))
		msg:set_status(201)
		msg:add_header('x-seen', txn:get_var('txn.line'))
	else
		txn:set_var('txn.line', ('%s %s %s %s'):format(line.method, line.uri, line.version,
			msg:get_headers()['host'][0]))
		msg:set_path('/other')
		msg:set_query('a=1')
		msg:set_method('PUT')
		msg:set_header('x-new', 'yes')
		msg:del_header('x-old')
	end
end
register('heads', heads)

-- Leaves after the first piece.
register('once', of_bodies(function(self, txn, msg)
	msg:prepend('<first>')
	filter.unregister_data_filter(self, msg.channel)
end))

-- The length of the body, before it is known to the server.
local length = of_bodies(function(self, txn, msg)
	msg:set(('x'):rep(#msg:body()))
end)
function length:http_headers(txn, msg)
	if msg:is_resp() then msg:set_body_len(self.length) end
end
register('length', length, function(class, args)
	class.length = tonumber(args[1]) or args[1]
	return class
end)

-- What the methods say, as the body of the answer.
local api = of_bodies(function(self, txn, msg)
	if not msg:is_resp() then return end
	local said = {}
	local function say(...)
		local t = {}
		for i = 1, select('#', ...) do t[i] = tostring((select(i, ...))) end
		said[#said + 1] = table.concat(t, ' ')
	end
	local function fails(f, ...)
		local ok, err = pcall(f, ...)
		say(not ok and tostring(err):gsub('^.-:%d+: ', '') or 'no error')
	end
	say(tostring(msg), tostring(msg.channel), msg:is_resp(), msg.channel:is_resp())
	say(msg:input(), msg:output(), msg:is_full(), msg:eom(), msg:may_recv())
	say(msg:body(), msg:body(2), msg:body(-2), msg:body(1, 2), msg:body(-100), msg:body(0, -1), msg:body(0, 100))
	say(msg:insert('<', 1), msg:body(), msg:insert('>', -1), msg:body())
	say(msg:prepend('['), msg:append(']'), msg:body())
	say(msg:set('--', 1, 3), msg:body(), msg:remove(0, 2), msg:body(), msg:remove(-1), msg:body())
	say(msg:forward(1), msg:output(), msg:body(), msg:send('sent'), msg:output(), msg:input())
	say(msg:append(('x'):rep(17000000)))
	fails(msg.body, msg, 1000)
	fails(msg.set, msg, {})
	fails(msg.set_method, msg, 'GET')
	fails(msg.set_header, msg, 'a', 'b')
	fails(msg.set_eom, msg)
	fails(msg.channel.data, msg.channel)
	fails(function() filter.register_data_filter('no channel') end)
	msg:set('\n' .. table.concat(said, '\n'))
end)
register('api', api)

-- How many requests of it have begun, and ended; what is kept is looked at too late.
local live = of_bodies(function() end)
local begun, ended, kept = 0, 0, nil
function live:new()
	begun = begun + 1
	return setmetatable({}, self)
end
function live:http_headers(txn, msg) kept = msg end
function live:end_analyze(txn, chn)
	if not chn:is_resp() then ended = ended + 1 end
end
register('live', live)

core.register_service(kind .. '.live', 'http', function(applet)
	local ok, err = pcall(function() return kept:get_headers() end)
	applet:start_response()
	applet:send(('%d %d %s'):format(begun, ended, tostring(err):match('the request is over') or tostring(ok)))
end)

-- Bodies, by a service of that state: all at once, and piece by piece.
core.register_service(kind .. '.echo', 'http', function(applet)
	local body = applet:receive() or ''
	if applet.length > 0 or #body > 0 then applet:add_header('x-method', applet.method) end
	applet:start_response()
	applet:send(body)
end)
core.register_service(kind .. '.lines', 'http', function(applet)
	applet:start_response()
	while true do
		local line = applet:getline()
		if line == '' then break end
		applet:send('(' .. line .. ')')
		core.msleep(1)
	end
end)
core.register_service(kind .. '.pieces', 'http', function(applet)
	applet:start_response()
	while true do
		local text = applet:receive(50000)
		if text == '' then break end
		applet:send(text)
	end
end)
core.register_service(kind .. '.head', 'http', function(applet)
	applet:start_response()
	applet:send(('%s %s?%s %s %s'):format(applet.method, applet.path, applet.qs,
		tostring(applet.headers['x-new'] and applet.headers['x-new'][0]),
		tostring(applet.headers['x-old'] and applet.headers['x-old'][0])))
end)
core.register_service(kind .. '.nothing', 'http', function(applet)
	applet:set_status(204)
	applet:start_response()
end)

-- More than anybody reads: how much has it been able to send?
local sent = 0
core.register_service(kind .. '.flood', 'http', function(applet)
	local piece = ('y'):rep(256 * 1024)
	applet:start_response()
	for _ = 1, 32 do
		if not applet:send(piece) then return end
		sent = sent + #piece
		core.yield()
	end
end)
core.register_service(kind .. '.sent', 'http', function(applet)
	applet:start_response()
	applet:send(tostring(sent))
end)

for _, name in ipairs({ 'touch' }) do
	core.register_action(kind .. '.' .. name, { 'http-req' }, function(txn)
		txn:set_var('txn.' .. kind, true)
	end)
end
