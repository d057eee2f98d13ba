// The same by Node, which does it without lines: node tcp_echo.js PORT

require('net')
	.createServer({ noDelay: true }, (s) => {
		s.on('data', (data) => s.write(data));
		s.on('error', () => s.destroy());
	})
	.listen(Number(process.argv[2]), '127.0.0.1');
