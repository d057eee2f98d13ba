-- core: the process and its variables; replies; constants.
local tap = require('tap')
local core = require('neap.core_tools')

-- --- get_info ---

local info = core.get_info()
tap.is(info.version, require('neap').version, 'version')
tap.is(info.Version, info.version, "HAProxy's name for it")
tap.is(info.Name, 'neap', 'Name')
tap.ok(info.pid > 1 and info.Pid == info.pid, 'pid')
tap.ok(info.uptime >= 0 and info.Uptime_sec == info.uptime, 'uptime')
tap.is(info.workers, 1, 'workers')
tap.ok(info.memory > 1e6, 'memory')
tap.ok(info.descriptors >= 3, 'descriptors')
tap.is(info.Stopping, 0, 'Stopping')
tap.is(info.ending, false, 'ending')

-- --- variables ---

tap.is(core.get_var('proc.x'), nil, 'a variable that is not set')
tap.is(core.set_var('proc.x', 'a\0b'), true, 'set_var')
tap.is(core.get_var('proc.x'), 'a\0b', 'a string')
core.set_var('proc.x', 1.5)
tap.is(core.get_var('proc.x'), 1.5, 'a number')
core.set_var('proc.x', false)
tap.is(core.get_var('proc.x'), false, 'a boolean')
tap.is(core.set_var('proc.y', 1, true), false, 'only if it is there: it is not')
tap.is(core.get_var('proc.y'), nil, 'and is not set')
tap.is(core.set_var('proc.x', 'z', true), true, 'only if it is there: it is')
tap.is(core.get_var('proc.x'), 'z', 'and is set')
core.set_var('proc.x', nil)
tap.is(core.get_var('proc.x'), nil, 'nil removes it')
for _, name in ipairs({ 'x', 'txn.x', 'proc.', 'proc.a-b', 'proc', 'proc.a\0',
                        'proc.' .. ('x'):rep(300) }) do
    tap.throws(function() core.get_var(name) end, "bad argument #1 to 'get_var'",
        'no variable of the process: ' .. name:sub(1, 20))
    tap.throws(function() core.set_var(name, 1) end, "bad argument #1 to 'set_var'",
        'not set: ' .. name:sub(1, 20))
end
tap.throws(function() core.get_var() end, 'string expected, got no value', 'no name')
tap.throws(function() core.set_var('proc.x', {}) end, 'got table', 'a table')
tap.throws(function() core.set_var('proc.x', print) end, 'got function', 'a function')
local big = ('x'):rep(8 * 1024 * 1024 - 100)
core.set_var('proc.a', big)
core.set_var('proc.b', big)
tap.throws(function() core.set_var('proc.c', big) end, 'which is the most',
    'as many bytes as there may be')
tap.throws(function() core.set_var('proc.c', ('x'):rep(17 * 1024 * 1024)) end,
    'bytes are more than all of its kind may have', 'too long')
core.set_var('proc.a', 'short')
tap.is(core.set_var('proc.c', big), true, 'there is room again')
for _, name in ipairs({ 'a', 'b', 'c' }) do core.set_var('proc.' .. name, nil) end

-- --- constants ---

tap.same({ core.silent, core.emerg, core.alert, core.crit, core.err, core.warning,
    core.notice, core.info, core.debug }, { -1, 0, 1, 2, 3, 4, 5, 6, 7 }, 'levels')

-- --- replies ---

local Reply = require('neap.reply')
local r = Reply.new()
tap.is(r.status, 200, 'reply: 200')
tap.is(r.reason, nil, 'reply: its reason')
tap.is(r.body, '', 'reply: its body')
tap.same(r.headers, {}, 'reply: its headers')
tap.is(r:set_status(404, 'Gone fishing'), true, 'set_status')
tap.same({ r.status, r.reason }, { 404, 'Gone fishing' }, 'set_status: both')
r:set_status(503)
tap.is(r.reason, nil, 'set_status: another reason')
tap.is(r:add_header('X-A', 1), true, 'add_header')
r:add_header('x-a', '2')
tap.same(r.headers, { ['X-A'] = { '1', '2' } }, 'add_header: two')
r:set_header('x-A', '3')
tap.same(r.headers, { ['x-A'] = { '3' } }, 'set_header')
tap.is(r:del_header('X-a'), true, 'del_header')
tap.same(r.headers, {}, 'del_header: it is gone')
r:del_header('not-there')
tap.is(r:set_body('text'), true, 'set_body')
tap.is(r.body, 'text', 'set_body: it is')
r = Reply.new({ status = 401, reason = 'No', body = 'x',
    headers = { a = '1', b = { '2', '3' }, c = { [0] = '4', '5' } } })
tap.same({ r.status, r.reason, r.body }, { 401, 'No', 'x' }, 'of a table')
tap.same(r.headers, { a = { '1' }, b = { '2', '3' }, c = { '4', '5' } }, 'its headers')
for what, t in pairs({
    ['a status'] = { status = 99 }, ['a text'] = { status = 'x' },
    ['a reason'] = { reason = 'a\nb' }, ['a field'] = { state = 200 },
    ['a name'] = { headers = { ['a b'] = '1' } }, ['headers'] = { headers = 'x' },
    ['a value'] = { headers = { a = 'x\r\ny: z' } }, ['a body'] = { body = {} },
    ['a list'] = { headers = { a = { {} } } },
}) do
    tap.throws(function() Reply.new(t) end, 'bad argument', 'refused: ' .. what)
end
tap.throws(function() r:set_status(700) end, "bad argument #1 to 'set_status'", 'status')
tap.throws(function() r:add_header('a', 'b\nc') end, 'CR, LF and NUL', 'a line end')
tap.throws(function() r:add_header('a:', 'b') end, 'no name of a header', 'a colon')
tap.throws(function() r.set_body({}, 'x') end, 'Reply expected', 'another object')

tap.done()
