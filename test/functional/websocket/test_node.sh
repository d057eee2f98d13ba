#!/bin/sh
# WebSockets with another's: the package ws of Node as a client of ours and as a
# server for ours. Skipped without it.
# test: timeout 120
set -eu
export NODE_PATH="${NODE_PATH:-/usr/share/nodejs:/usr/lib/nodejs}"
if ! node -e 'require("ws")' 2> /dev/null; then
	echo "no node, or no package ws for it"
	exit 77
fi
server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || :' EXIT

cat > server.lua << 'END'
local httpd = require('http.server').new('127.0.0.1', 0)
local function serve(path, compress) httpd:route({path = path}, function(req)
    return req:websocket({protocols = {'echo'}, max_message = 2000000,
        compress = compress}, function(ws)
        for data, kind in ws:messages() do
            if data == 'ping me' then
                ws:send(ws:ping(20) and 'pinged' or 'lost')
            elseif data == 'close me' then
                ws:close(4001, 'as you wish')
            elseif data == 'break' then
                error('broken')
            else
                ws:send(data, kind)
            end
        end
    end)
end) end
serve('/echo', false)
serve('/deflate', {min_size = 1})
serve('/context', {context = true, min_size = 1})
httpd:start()
print(httpd:port())
io.stdout:flush()
END

cat > client.js << 'END'
const WebSocket = require('ws'), assert = require('assert');
const url = 'ws://127.0.0.1:' + process.argv[2];
const open = (protocols, options, path) => new Promise((resolve, reject) => {
	const ws = new WebSocket(url + (path || '/echo'), protocols, options);
	ws.on('open', () => resolve(ws));
	ws.on('error', reject);
});
const once = (ws, event) => new Promise(r =>
	ws.once(event, (...args) => r(args)));
const say = async (ws, data, options) => {
	const answer = once(ws, 'message');
	ws.send(data, options || {});
	return answer;
};
const sizes = async ws => {
	for (const size of [0, 1, 125, 126, 16384, 65535, 65536, 65537, 1000000]) {
		const text = 'x'.repeat(size), bytes = Buffer.alloc(size, 255);
		let [data, binary] = await say(ws, text);
		assert(!binary && data.toString() === text);
		[data, binary] = await say(ws, bytes);
		assert(binary && data.equals(bytes));
	}
};
/* What is offered, and with or without a context. */
const deflate = async (path, options, answer) => {
	const ws = await open([], { perMessageDeflate: { threshold: 10, ...options } },
		path);
	assert.strictEqual(ws.extensions, 'permessage-deflate');
	assert.deepStrictEqual({ ...ws._extensions['permessage-deflate'].params }, answer);
	await sizes(ws);
	/* Noise, of which nothing becomes smaller, among what does. */
	for (let i = 0; i < 30; i++) {
		const bytes = Buffer.alloc(i * 3000, 'words, words, ');
		if (i % 3 === 0)
			require('crypto').randomFillSync(bytes);
		const [data] = await say(ws, bytes, { compress: i % 4 !== 0 });
		assert(data.equals(bytes));
	}
	let end = once(ws, 'message');
	ws.send('one '.repeat(100), { fin: false });
	ws.ping('between');
	ws.send('', { fin: false });
	ws.send('two '.repeat(100), { fin: true });
	assert.strictEqual((await end)[0].toString(),
		'one '.repeat(100) + 'two '.repeat(100));
	end = once(ws, 'close');
	ws.send('y'.repeat(2000001));
	assert.strictEqual((await end)[0], 1009);
};
const none = { server_no_context_takeover: true, client_no_context_takeover: true };
(async () => {
	let ws = await open(['x', 'echo']);
	assert.strictEqual(ws.protocol, 'echo');
	assert.strictEqual(ws.extensions, '');
	await sizes(ws);
	await deflate('/deflate', {}, none);
	await deflate('/deflate', { serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
		{ ...none, server_max_window_bits: 9, client_max_window_bits: 9 });
	await deflate('/context', {},
		{ server_max_window_bits: 12, client_max_window_bits: 12 });
	await deflate('/context', { serverMaxWindowBits: 9, clientMaxWindowBits: 15 },
		{ server_max_window_bits: 9, client_max_window_bits: 12 });
	await deflate('/context', { serverNoContextTakeover: true,
		clientNoContextTakeover: true }, { ...none, server_max_window_bits: 12,
		client_max_window_bits: 12 });
	const [snow] = await say(ws, '\u2603\u{1f600}');
	assert.strictEqual(snow.toString(), '\u2603\u{1f600}');
	/* In fragments. */
	let answer = once(ws, 'message');
	ws.send('one ', { fin: false });
	ws.send('two ', { fin: false });
	ws.ping('between');
	ws.send('three', { fin: true });
	assert.strictEqual((await answer)[0].toString(), 'one two three');
	answer = once(ws, 'pong');
	ws.ping('are you there');
	assert.strictEqual((await answer)[0].toString(), 'are you there');
	assert.strictEqual((await say(ws, 'ping me'))[0].toString(), 'pinged');
	answer = once(ws, 'close');
	ws.close(3000, 'mine');
	assert.deepStrictEqual((await answer).map(String), ['3000', '']);
	for (const [what, code, reason] of [['close me', 4001, 'as you wish'],
			['break', 1011, '']]) {
		ws = await open();
		answer = once(ws, 'close');
		ws.send(what);
		assert.deepStrictEqual((await answer).map(String),
			[String(code), reason]);
	}
	ws = await open();
	answer = once(ws, 'close');
	ws.send('y'.repeat(2000001));
	assert.strictEqual((await answer)[0], 1009);
	await assert.rejects(open([], { origin: 'https://evil.example' }), /403/);
	/* What ws offers and we do not speak is not chosen. */
	ws = await open([], { perMessageDeflate: true });
	assert.strictEqual(ws.extensions, '');
	ws.close();
	/* Many at once. */
	const all = await Promise.all(Array.from({ length: 100 }, () => open()));
	const got = await Promise.all(all.map((one, i) => say(one, 'n' + i)));
	got.forEach(([data], i) => assert.strictEqual(data.toString(), 'n' + i));
	all.forEach(one => one.terminate());
	console.log('client: ok');
})().catch(e => { console.error(e); process.exit(1); });
END

cat > server.js << 'END'
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ port: 0, host: '127.0.0.1',
	perMessageDeflate: { threshold: 10, ...JSON.parse(process.argv[2]) },
	handleProtocols: set => set.has('echo') ? 'echo' : false });
server.on('connection', ws => {
	ws.on('message', (data, binary) => {
		if (data.toString() === 'close me')
			ws.close(4002, 'of node');
		else if (data.toString() === 'ping me')
			ws.ping('p');
		else if (data.toString() === 'fragments')
			for (let i = 0; i < 3; i++)
				ws.send('part ' + i, { fin: i === 2 });
		else if (data.toString() === 'terminate')
			ws.terminate();
		else
			ws.send(data, { binary });
	});
	ws.on('pong', data => ws.send('pong ' + data));
});
server.on('listening', () => console.log(server.address().port));
END

cat > client.lua << 'END'
local websocket = require('http.websocket')
local url = 'ws://127.0.0.1:' .. arg[1] .. '/'
local ws
for _, compress in ipairs({false, true, {min_size = 1}, {context = true, min_size = 1},
                           {context = true, window = 9}}) do
ws = assert(websocket.connect(url, {protocols = {'x', 'echo'}, max_message = 2000000,
    compress = compress}))
assert(ws.protocol == 'echo' and ws.compressed == (compress and true or false))
for i = 1, 30 do
    local data = ('words, and words; '):rep(i * 100)
    assert(ws:send(data, 'binary') and ws:receive(20) == data)
end
for _, size in ipairs({0, 1, 125, 126, 65535, 65536, 65537, 1000000}) do
    for _, kind in ipairs({'text', 'binary'}) do
        local data = (kind == 'text' and 'x' or '\255'):rep(size)
        assert(ws:send(data, kind))
        local got, got_kind = ws:receive(20)
        assert(got == data and got_kind == kind, size)
    end
end
end
ws:send('fragments')
assert(ws:receive(20) == 'part 0part 1part 2')
ws:send('ping me')
assert(ws:receive(20) == 'pong p')
assert(ws:ping(20))
assert(ws:close(3001, 'mine'))
for what, code in pairs({['close me'] = 4002, terminate = 1006}) do
    ws = assert(websocket.connect(url))
    ws:send(what)
    assert(ws:receive(20) == nil and ws.close_code == code, what)
end
print('server: ok')
os.exit(0)
END

# Start $@, whose first line is its port.
start() {
	rm -f port
	"$@" > port &
	server=$!
	tries=0
	until [ -s port ] || [ $tries -gt 400 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	port=$(head -n 1 port)
}

start "$NEAP_BIN" server.lua
timeout 60 node client.js "$port"
kill "$server"
wait "$server" || :
for options in '{}' '{ "serverNoContextTakeover": true, "clientNoContextTakeover": true }' \
	'{ "serverMaxWindowBits": 9, "clientMaxWindowBits": 9 }'; do
	start node server.js "$options"
	timeout 60 "$NEAP_BIN" client.lua "$port"
	kill "$server"
	wait "$server" || :
done
