// Node's HTTP servers and the package ws, for `make bench`:
// node node.js PORT [tls CERT KEY | http2 | websocket]
const fs = require('fs');

const [port, mode, cert, key] = process.argv.slice(2);
const hello = 'Hello, world!';
let count = 0;

function burn(seconds) {
	const to = process.cpuUsage().user + seconds * 1e6;
	let x = 0;
	do {
		for (let i = 0; i < 10000; i++)
			x = (x + i) % 7;
	} while (process.cpuUsage().user < to);
	return x;
}

function answer(res, type, body) {
	res.writeHead(200, {
		'content-type': type,
		'content-length': Buffer.byteLength(body),
	});
	res.end(body);
}

function serve(req, res) {
	if (req.url === '/') {
		answer(res, 'text/plain', hello);
	} else if (req.url === '/json') {
		count++;
		answer(res, 'application/json', JSON.stringify({
			message: hello,
			number: 1000 + count % 9000,
		}));
	} else if (req.url === '/echo') {
		const parts = [];
		req.on('data', (part) => parts.push(part));
		req.on('end', () => answer(res, 'text/plain',
			Buffer.concat(parts)));
	} else {
		burn(Number(req.url.split('seconds=')[1]));
		answer(res, 'text/plain', 'burned');
	}
}

function websocket() {
	const { WebSocketServer } = require('ws');
	new WebSocketServer({
		host: '127.0.0.1', port: Number(port), backlog: 4096,
		perMessageDeflate: false,
	}).on('connection', (ws) => {
		ws.on('message', (data, binary) => ws.send(data, { binary }));
	});
}

function http2() {
	const server = require('http2').createServer();
	server.on('stream', (stream) => {
		stream.respond({ ':status': 200, 'content-type': 'text/plain',
			'content-length': hello.length });
		stream.end(hello);
	});
	return server;
}

function http() {
	if (mode !== 'tls')
		return require('http').createServer(serve);
	return require('https').createServer({
		cert: fs.readFileSync(cert), key: fs.readFileSync(key),
	}, serve);
}

if (mode === 'websocket') {
	websocket();
} else {
	const server = mode === 'http2' ? http2() : http();
	server.keepAliveTimeout = 600000;
	server.listen(Number(port), '127.0.0.1', 4096);
}
