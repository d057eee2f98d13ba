#!/bin/sh
# A browser as a client: Chromium, without a window, loads a page over HTTPS with HTTP/2,
# and the page tries what pages do: fetch, a POST, an upload, a hundred requests at once,
# one that it takes back, EventSource with its way of coming again, WebSocket. Skipped
# where there is none (Debian's package chromium).
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

browser=
for name in chromium chromium-browser google-chrome; do
	if [ -z "$browser" ]; then browser=$(command -v $name) || browser=; fi
done
if [ -z "$browser" ]; then
	echo "skipped: no chromium"
	exit 77
fi
"$NEAP_SOURCE_DIR/test/lib/certs.sh" certs

cat > page.html <<'END_OF_PAGE'
<!doctype html><title>neap</title><link rel="stylesheet" href="/files/style.css">
<script src="/files/page.js"></script>
END_OF_PAGE
echo 'title { color: red }' > style.css
cat > page.js <<'END_OF_SCRIPT'
const said = [];
const is = (got, want, what) => said.push((got === want ? 'ok ' : 'not ok ') + what +
	(got === want ? '' : ': got ' + got + ', want ' + want));
const until = (target, event) => new Promise(r =>
	target.addEventListener(event, r, { once: true }));

const tests = {
	async page() {
		const entry = performance.getEntriesByType('navigation')[0];
		is(entry.nextHopProtocol, 'h2', 'the page came by HTTP/2');
		await new Promise(r => setTimeout(r, 0));
		if (document.readyState !== 'complete')
			await until(window, 'load');
		is(document.styleSheets[0].cssRules.length, 1, 'and its style');
	},
	async fetch() {
		const r = await fetch('/who?a=b');
		const who = await r.json();
		is(r.status, 200, 'a status');
		is(who.proto[0], 2, 'the version');
		is(who.query, 'a=b', 'the query');
		is((await fetch('/none')).status, 404, 'no such thing');
		is(await (await fetch('/text')).text(), 'text '.repeat(20000),
			'a compressed one');
		const head = await fetch('/text', { method: 'HEAD' });
		is(await head.text(), '', 'HEAD');
		const part = await fetch('/files/page.html',
			{ headers: { Range: 'bytes=2-8' } });
		is(part.status + await part.text(), '206doctype', 'a range');
		const cached = await fetch('/files/style.css');
		const again = await fetch('/files/style.css', { cache: 'no-cache' });
		is(await again.text(), await cached.text(), 'one that was not modified');
	},
	async post() {
		const bytes = new Uint8Array(3000000).map((_, i) => i * 7);
		const r = await fetch('/echo', { method: 'POST', body: bytes });
		const got = new Uint8Array(await r.arrayBuffer());
		is(got.length, bytes.length, 'a POST');
		is(got.every((b, i) => b === bytes[i]), true, 'and its bytes');
		const form = new FormData();
		form.append('name', 'neap');
		form.append('file', new Blob(['x'.repeat(100000)]), 'a b.txt');
		const answer = await fetch('/form', { method: 'POST', body: form });
		is(await answer.text(), 'neap 100000 a b.txt', 'an upload');
		const params = new URLSearchParams({ name: 'a&b' });
		const plain = await fetch('/form', { method: 'POST', body: params });
		is(await plain.text(), 'a&b', 'a form');
	},
	async many() {
		const all = await Promise.all(Array.from({ length: 300 }, (_, i) =>
			fetch('/who?' + i).then(r => r.json())));
		is(all.every((who, i) => who.query === String(i)), true,
			'three hundred at once');
	},
	async takenBack() {
		const control = new AbortController();
		const r = await fetch('/endless', { signal: control.signal });
		const reader = r.body.getReader();
		await reader.read();
		control.abort();
		for (let i = 0; i < 400; i++) {
			if (await (await fetch('/gone')).text() === 'true')
				break;
			await new Promise(r => setTimeout(r, 25));
		}
		is(await (await fetch('/gone')).text(), 'true',
			'one that was taken back');
	},
	async events() {
		const source = new EventSource('/events'), got = [];
		await new Promise(r => source.addEventListener('news', e => {
			got.push(e.lastEventId + e.data);
			if (got.length === 6)
				r();
		}));
		source.close();
		is(got.join(), '1a,2a\nb,3a,4a,5a\nb,6a', 'events, and they come again');
	},
	socket: () => socket('/ws', ''),
	deflate: () => socket('/ws/deflate', 'permessage-deflate; ' +
		'server_no_context_takeover; client_no_context_takeover'),
	context: () => socket('/ws/context', 'permessage-deflate; ' +
		'server_max_window_bits=12; client_max_window_bits=12'),
};

async function socket(path, extensions) {
	const ws = new WebSocket('wss://' + location.host + path, ['x', 'echo']);
	ws.binaryType = 'arraybuffer';
	await until(ws, 'open');
	is(ws.protocol, 'echo', 'a WebSocket');
	is(ws.extensions, extensions, 'its extensions');
	for (const size of [0, 1, 125, 126, 70000, 1000000]) {
		ws.send('\u2603'.repeat(size));
		is((await until(ws, 'message')).data, '\u2603'.repeat(size),
			'a text of ' + size);
		ws.send(new Uint8Array(size).fill(255));
		is((await until(ws, 'message')).data.byteLength, size,
			'bytes: ' + size);
	}
	ws.send('close');
	const end = await until(ws, 'close');
	is(end.code + end.reason + end.wasClean, '4001enoughtrue', 'its end');
	const mine = new WebSocket('wss://' + location.host + path);
	await until(mine, 'open');
	mine.close(3001, 'mine');
	is((await until(mine, 'close')).code, 3001, 'or an end of ours');
}

(async () => {
	for (const name in tests)
		await tests[name]().catch(e => said.push('not ok ' + name + ': ' + e));
	await fetch('/result', { method: 'POST', body: said.join('\n') });
})();
END_OF_SCRIPT

cat > server.lua <<'END_OF_SERVER'
local fiber = require('fiber')
local httpd = require('http.server').new('127.0.0.1', 0, {
    tls = {cert_file = 'certs/server.pem', key_file = 'certs/server.key'},
})
httpd:static('/files', '.')
httpd:route({path = '/who'}, function(req)
    return {body = {proto = req.proto, query = req.query}}
end)
httpd:route({path = '/text', compress = true}, function()
    return {headers = {['content-type'] = 'text/plain'}, body = ('text '):rep(20000)}
end)
httpd:route({path = '/echo', stream = true}, function(req)
    return {body = function()
        local piece = req:read(65536)
        return piece ~= '' and piece or nil
    end}
end)
httpd:route({path = '/form', stream = true}, function(req)
    if req:header('content-type'):find('^multipart') then
        local parts = assert(req:multipart())
        return ('%s %d %s'):format(parts[1].body, parts[2].size, parts[2].filename)
    end
    return tostring(req:post_param('name'))
end)
local gone = false
httpd:route({path = '/endless'}, function(req)
    local out = req:stream()
    while not req:is_gone() and out:write(('x'):rep(1000)) do
        fiber.sleep(0.01)
    end
    gone = true
end)
httpd:route({path = '/gone'}, function() return tostring(gone) end)
local id = 0
httpd:route({path = '/events'}, function(req)
    local last = tonumber(req:header('last-event-id') or 0)
    assert(last == id, last)
    local events = req:events({retry = 0.01})
    for i = 1, 3 do
        id = id + 1
        events:send({id = tostring(id), event = 'news', data = i == 2 and 'a\nb' or 'a'})
    end
end)
for path, compress in pairs({['/ws'] = false, ['/ws/deflate'] = true,
                             ['/ws/context'] = {context = true, min_size = 1}}) do
httpd:route({path = path}, function(req)
    return req:websocket({protocols = {'echo'}, max_message = 4000000,
                          compress = compress}, function(ws)
        for data, kind in ws:messages() do
            if data == 'close' then
                ws:close(4001, 'enough')
            else
                ws:send(data, kind)
            end
        end
    end)
end)
end
httpd:route({path = '/result', method = 'POST'}, function(req)
    local file = io.open('result', 'w')
    file:write(req.body, '\n')
    file:close()
    return 'thanks'
end)
httpd:start()
local file = io.open('port', 'w')
file:write(httpd:port())
file:close()
END_OF_SERVER

"$NEAP_BIN" server.lua 2> log &
server=$!
chrome=
trap 'kill -s KILL "$server" $chrome 2> /dev/null || true; rm -rf "$TMPDIR/b"' EXIT
eventually test -s port

# Its files go into ours; the path of its socket must not be long.
mkdir "$TMPDIR/b"
export XDG_CONFIG_HOME=$PWD/config XDG_CACHE_HOME=$PWD/cache
TMPDIR=$TMPDIR/b "$browser" --headless=new --no-sandbox --disable-gpu \
	--disable-dev-shm-usage --disable-background-networking \
	--disable-component-update --disable-crash-reporter --no-first-run --no-proxy-server \
	--ignore-certificate-errors --user-data-dir="$PWD/profile" \
	"https://127.0.0.1:$(cat port)/files/page.html" > browser.log 2>&1 &
chrome=$!
tries=0
until [ -s result ]; do
	tries=$((tries + 1))
	[ $tries -lt 900 ] && kill -s 0 $chrome 2> /dev/null ||
		fail "the browser has said nothing: $(tail -n 20 browser.log)"
	sleep 0.1
done
kill -s TERM "$server"
code=0
wait "$server" || code=$?
[ "$code" = 0 ] || fail "ended with $code: $(cat log)"
kill -s TERM $chrome
wait $chrome || true
rm -rf "$TMPDIR/b"
trap - EXIT
cat result
! grep '^not ok' result || fail "the page is not content: $(cat log)"
[ "$(tail -n 1 result)" = "ok or an end of ours" ] || fail "it has not come to its end"
! grep -v 'no new work' log || fail "something was logged"
