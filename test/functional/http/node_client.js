// What test_clients.lua has Node's own client do: node node_client.js PORT TLS_PORT SOCKET CA
'use strict';
const http = require('http');
const https = require('https');
const fs = require('fs');
const crypto = require('crypto');

const [port, tlsPort, socketPath, ca] = process.argv.slice(2);
let wrong = 0;
const is = (got, want, what) => {
	if (got === want)
		return console.log('fine: ' + what);
	wrong++;
	console.log(`wrong: ${what}: got ${got}, want ${want}`);
};
const sha = data => crypto.createHash('sha256').update(data).digest('hex');
const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });

// One request; @pieces are its body, and an array of them goes in chunks.
function ask(path, options = {}, pieces) {
	return new Promise((resolve, reject) => {
		const all = [];
		const req = (options.ca ? https : http).request({ host: '127.0.0.1', port, path, agent,
			...options }, res => {
			res.on('data', d => all.push(d));
			res.on('error', reject);
			res.on('end', () => resolve({ status: res.statusCode, headers: res.headers,
				trailers: res.trailers, body: Buffer.concat(all), socket: req.socket,
				informed: req.informed }));
		});
		req.on('error', reject);
		req.on('continue', () => {
			req.informed = true;
			req.end(pieces);
		});
		if (options.headers && options.headers.Expect)
			return req.flushHeaders();
		if (!Array.isArray(pieces))
			return req.end(pieces);
		(async () => {
			for (const piece of pieces) {
				if (!req.write(piece))
					await new Promise(r => req.once('drain', r));
				await new Promise(setImmediate);
			}
			req.end();
		})();
	});
}
const stat = async () => JSON.parse((await ask('/stat')).body);
const until = async f => {
	while (!await f())
		await new Promise(r => setTimeout(r, 5));
};

const tests = {
	async 'keep-alive'() {
		const before = await stat();
		const all = await Promise.all(Array.from({ length: 300 }, (_, i) => ask('/echo?' + i,
			{ method: 'POST' }, 'number ' + i)));
		is(all.every((r, i) => r.body.toString() === 'number ' + i), true, '300 answers, each its own');
		is((await stat()).accepted - before.accepted <= 2, true, 'over two connections');
	},
	async 'close'() {
		const r = await ask('/', { headers: { Connection: 'close' } });
		is(r.headers.connection, 'close', 'an end that was asked for');
		const limited = await ask('/', { agent: new http.Agent({ keepAlive: false }) });
		is(limited.body.toString(), 'hello', 'without an agent that keeps');
	},
	async 'methods'() {
		const head = await ask('/file.bin', { method: 'HEAD' });
		is(head.headers['content-length'], '300000', 'HEAD has the length');
		is(head.body.length, 0, 'and no body');
		is((await ask('/', { method: 'DELETE' })).body.toString(), 'hello', 'DELETE');
		is((await ask('/none')).status, 404, 'no such thing');
		const part = await ask('/file.bin', { headers: { Range: 'bytes=10-19' } });
		is(part.status + ' ' + part.body, '206 ' + fs.readFileSync('file.bin').subarray(10, 20),
			'a range');
		const etag = head.headers.etag;
		is((await ask('/file.bin', { headers: { 'If-None-Match': etag } })).status, 304, 'what it has');
	},
	async 'chunks up'() {
		const pieces = Array.from({ length: 200 }, (_, i) => crypto.randomBytes(1 + i * 97 % 30000));
		const whole = Buffer.concat(pieces);
		for (const path of ['/echo', '/pieces']) {
			const r = await ask(path, { method: 'POST' }, pieces);
			is(sha(r.body), sha(whole), path + ': ' + whole.length + ' bytes in chunks');
		}
		const all = await Promise.all([1, 2, 3, 4].map(() => ask('/pieces', { method: 'PUT' }, pieces)));
		is(all.every(r => sha(r.body) === sha(whole)), true, 'four at once');
		is(all[0].trailers['x-count'], String(whole.length), 'trailers');
	},
	async 'chunks down, slowly'() {
		const hash = crypto.createHash('sha256');
		let size = 0;
		const r = await new Promise((resolve, reject) => http.get({ host: '127.0.0.1', port,
			path: '/stream', agent }, resolve).on('error', reject));
		for await (const piece of r) {
			hash.update(piece);
			if (size >> 19 !== (size += piece.length) >> 19)
				await new Promise(r => setTimeout(r, 2));
		}
		is(size, 4000000, 'all of it');
		is(hash.digest('hex'), sha('0123456789'.repeat(400000)), 'as it was');
	},
	async 'Expect'() {
		const r = await ask('/echo', { method: 'POST', headers: { Expect: '100-continue' } }, 'invited');
		is(r.informed + ' ' + r.body, 'true invited', 'an invitation, then the body');
		const no = await ask('/refuse', { method: 'POST', headers: { Expect: '100-continue',
			'Content-Length': 1000000 }, agent: false }, 'never');
		is(no.status + ' ' + no.informed, '403 undefined', 'a refusal instead');
		const big = await ask('/echo', { method: 'POST', headers: { Expect: '100-continue',
			'Content-Length': 10000000 }, agent: false }, 'never');
		is(big.status + ' ' + big.informed, '413 undefined', 'or of what is too large');
	},
	async 'limits'() {
		const r = await ask('/', { headers: { 'X-Long': 'x'.repeat(20000) } });
		is(r.status, 431, 'a long header');
		is((await ask('/' + 'x'.repeat(9000))).status, 414, 'a long URI');
		is((await ask('/')).body.toString(), 'hello', 'the agent goes on');
	},
	async 'aborts'() {
		const before = (await stat()).seen;
		for (const path of ['/endless', '/wait']) {
			const req = http.get({ host: '127.0.0.1', port, path, agent: false },
				res => res.once('data', () => req.destroy()));
			req.on('error', () => {});
			if (path === '/wait') {
				await until(async () => (await stat()).waits > 0);
				req.destroy();
			}
		}
		const up = http.request({ host: '127.0.0.1', port, path: '/pieces', method: 'POST',
			agent: false });
		up.on('error', () => {});
		up.write('x'.repeat(1000));
		await new Promise(r => up.once('response', r));
		up.destroy();
		await until(async () => (await stat()).seen === before + 3);
		is(true, true, 'handlers learn of an answer, a wait and a body that were given up');
		const cut = await ask('/cut', { agent: false }).catch(e => e);
		is(cut.code, 'ECONNRESET', 'an answer that is cut is no answer');
	},
	async 'compression'() {
		const r = await ask('/text', { headers: { 'Accept-Encoding': 'gzip, br' } });
		is(r.headers['content-encoding'], 'br', 'brotli');
		is(require('zlib').brotliDecompressSync(r.body).toString(), 'text '.repeat(20000), 'undone');
	},
	async 'cookies and several fields'() {
		const r = await ask('/cookies', { headers: { Cookie: 'a=1; b=2', 'X-Two': ['one', 'two'] } });
		is(r.body.toString(), '2 one, two', 'sent');
		is(r.headers['set-cookie'].join(), 'x=1,y=2', 'and got');
	},
	async 'unix and TLS'() {
		is((await ask('/', { socketPath, agent: false })).body.toString(), 'hello', 'a unix socket');
		const tls = { ca: fs.readFileSync(ca), port: tlsPort,
			agent: new https.Agent({ keepAlive: true, maxSockets: 2 }) };
		const all = await Promise.all(Array.from({ length: 50 }, (_, i) => ask('/echo',
			{ ...tls, method: 'POST' }, 'secret ' + i)));
		is(all.every((r, i) => r.body.toString() === 'secret ' + i), true, 'HTTPS');
		tls.agent.destroy();
		tls.agent = new https.Agent({ keepAlive: false, maxCachedSessions: 10 });
		await ask('/', tls);
		is((await ask('/', tls)).socket.isSessionReused(), true, 'a session is resumed');
	},
};

(async () => {
	for (const name in tests)
		await tests[name]().catch(e => is(e.stack, undefined, name));
	agent.destroy();
	console.log(wrong ? wrong + ' are wrong' : 'all is well');
	process.exitCode = wrong ? 1 : 0;
})();
