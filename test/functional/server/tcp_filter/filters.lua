-- Filters and services of test_tcp_filter.sh, registered in both kinds of states under
-- names of their own: s.up, p.up and so on.
local kind = ...

local function register(name, payload, more)
	local class = { id = name }
	class.__index = class
	function class:new() return setmetatable({}, self) end
	function class:start_analyze(txn, chn) filter.register_data_filter(self, chn) end
	class.tcp_payload = payload
	for key, value in pairs(more or {}) do class[key] = value end
	core.register_filter(kind .. '.' .. name, class, function(own, args)
		own.args = args
		return own
	end)
end

local function way(chn) return chn:is_resp() and 'res' or 'req' end

register('up', function(self, txn, chn) chn:set(chn:data():upper()) end)

-- Another letter for each letter, which does not commute with the others.
register('rot', function(self, txn, chn)
	chn:set((chn:data():gsub('%a', function(c)
		local base = c:byte() >= 97 and 97 or 65
		return string.char((c:byte() - base + 13) % 26 + base)
	end)))
end)

-- Keeps all of it to the end, and says then how much that was.
register('hold', function(self, txn, chn)
	local kept = (self[way(chn)] or '') .. chn:data()
	self[way(chn)] = kept
	chn:remove()
	if not chn:may_recv() then chn:append(#kept .. ':' .. kept) end
end)

-- Waits wherever it may.
register('wait', function(self, txn, chn)
	core.msleep(1)
	if not chn:may_recv() then chn:append('|') end
end, {
	start_analyze = function(self, txn, chn)
		self[way(chn)] = (self[way(chn)] or 0) + 1
		filter.register_data_filter(self, chn)
		filter.wake_time(1)
		return self[way(chn)] < 3 and filter.WAIT or filter.CONTINUE
	end,
})

-- The last whole lines alone go on.
register('lines', function(self, txn, chn)
	local text = (self[way(chn)] or '') .. chn:data()
	local whole = chn:may_recv() and (text:match('^.*\n') or '') or text
	self[way(chn)] = text:sub(#whole + 1)
	chn:set((whole:gsub('[^\n]+', '<%0>')))
end)

-- What came through is looked at, but not changed; and private data are those of actions
-- of the same state.
register('look', nil, {
	start_analyze = function(self, txn, chn)
		if not chn:is_resp() then
			txn:set_var('txn.seen', tostring(txn) .. ' ' .. tostring(chn) .. ' '
				.. tostring(txn:get_priv()) .. ' ' .. tostring(txn.http))
			txn:set_priv('looked')
		end
	end,
})
core.register_action(kind .. '.touch', { 'tcp-req' }, function(txn) txn:set_priv('touched') end)

-- Leaves after the first piece.
register('once', function(self, txn, chn)
	chn:prepend('<' .. way(chn) .. '>')
	filter.unregister_data_filter(self, chn)
end)

-- Fails where its arguments say.
local function fail(name)
	return function(self, txn, chn)
		if name == 'start_analyze' then filter.register_data_filter(self, chn) end
		if self.args[1] ~= name .. ' ' .. way(chn) then return end
		local how = self.args[2]
		if how == 'error' then return filter.ERROR end
		if how == 'loop' then while true do end end
		if how == 'done' then txn:done() end
		error('failed on purpose')
	end
end
register('fail', fail('tcp_payload'),
	{ start_analyze = fail('start_analyze'), end_analyze = fail('end_analyze') })

-- What the methods say.
register('api', function(self, txn, chn)
	if not chn:is_resp() or not chn:may_recv() then return end
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
	say(chn:input(), chn:output(), chn:is_full(), chn:may_recv())
	say(chn:data(), chn:data(2), chn:data(-2), chn:data(1, 2), chn:data(0, -1))
	say(chn:line() == 'he\n', chn:line(3), chn:line(0, 1))
	say(chn:insert('<', 1), chn:prepend('['), chn:append(']'), chn:set('-', 0, 1), chn:remove(-1))
	say(chn:forward(1), chn:output(), chn:send('sent'), chn:output(), chn:input())
	say(chn:append(('x'):rep(17000000)))
	fails(chn.data, chn, 1000)
	fails(chn.set, chn, {})
	fails(chn.get, chn)
	filter.unregister_data_filter(self, chn)
	txn:set_var('txn.said', table.concat(said, '\n'))
end)

-- How many connections of it have begun, and ended; what is kept is looked at too late.
local begun, ended, kept = 0, 0, nil
register('live', function(self, txn, chn) kept = chn end, {
	new = function(self)
		begun = begun + 1
		return setmetatable({}, self)
	end,
	end_analyze = function(self, txn, chn)
		if not chn:is_resp() then ended = ended + 1 end
	end,
})
core.register_service(kind .. '.live', 'tcp', function(applet)
	local ok, err = pcall(function() return kept:data() end)
	applet:send(('%d %d %s'):format(begun, ended, tostring(err):match('the request is over') or tostring(ok)))
end)

-- Services of that state.
core.register_service(kind .. '.echo', 'tcp', function(applet)
	applet:send(applet:receive())
	if applet:get_var('txn.seen') then applet:send(applet:get_var('txn.seen')) end
end)
core.register_service(kind .. '.said', 'tcp', function(applet)
	applet:send('he\nllo')
	applet:send('\n' .. applet:get_var('txn.said'))
end)
core.register_service(kind .. '.rows', 'tcp', function(applet)
	for line in applet.getline, applet do
		if line == '' then break end
		applet:send('(' .. line .. ')')
	end
end)
-- Piece by piece, by the functions that do not wait for all.
core.register_service(kind .. '.pieces', 'tcp', function(applet)
	while true do
		local text = applet:try_receive() or applet:receive(1, 1)
		if text == '' then break end
		if text then applet:send(text) end
	end
end)
-- Does not take no for an answer.
core.register_service(kind .. '.stubborn', 'tcp', function(applet)
	for _ = 1, 3 do pcall(applet.receive, applet) end
	for _ = 1, 3 do pcall(applet.send, applet, 'all the same') end
end)

-- More than anybody reads: how much has it been able to send?
local sent = 0
core.register_service(kind .. '.flood', 'tcp', function(applet)
	local piece = ('y'):rep(16 * 1024)
	for _ = 1, 512 do
		if applet:send(piece) < 0 then return end
		sent = sent + #piece
		core.yield()
	end
end)
core.register_service(kind .. '.sent', 'tcp', function(applet)
	applet:send(tostring(sent))
end)
