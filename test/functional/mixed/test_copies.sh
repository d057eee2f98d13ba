#!/bin/sh
# What a function or a rule of the shared state fetches from the copy of a request that it has is
# what one of the worker fetches from the request itself: all fetches that there are, with all
# kinds of arguments, as methods and in rules that go there together, of requests and answers
# of several forms, and of connections of TCP.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

sh "$NEAP_SOURCE_DIR/test/lib/certs.sh" certs
copies=$NEAP_SOURCE_DIR/test/functional/mixed/copies.lua
export LUA_PATH="$NEAP_SOURCE_DIR/test/lib/?.lua;;"
port=$(free_port)
parts=$("$NEAP_BIN" "$copies" rules "$port")
serve tcptls server.yaml

# What has come: for each part an answer of which all is the same.
same() {
	code_is 0
	[ "$(echo "$out" | grep -c '^all are the same')" = "$parts" ] || fail 'rules or methods'
	[ "$(echo "$out" | grep -ci '^x-answers: same')" = "$parts" ] || fail 'answers'
}
# ask WHERE HEAD [BODY]: in one piece, or a body may have come when it is asked for again.
ask() {
	run neap "$copies" ask "$1" "$parts" "$2" "${3:-}"
	same
}
fetch() { # ARGUMENT..
	part=1
	set -- -s -i -m 60 "$@"
	: > fetched
	while [ $part -le "$parts" ]; do
		curl -H "x-part: p$part" "$@" >> fetched || fail "curl: $?"
		part=$((part + 1))
	done
	run cat fetched
	same
}
fields='Host: h:81\r\nConnection: close\r\nX-List: a, "b, c"\r\nx-list:\r\nX-LIST:  d ,e\t\r\n'
fields=$fields'X-Odd: \303\244\377 \\"\r\nx-empty:\r\nx-number: 12,-7\r\nx-address: [2001:db8::7]:80\r\n'
fields=$fields'Cookie: a=1; b="x;y"; =z; a=2\r\ncookie: b=3; none\r\nAuthorization: Basic dXNlcjpwOnc=\r\n'
fields=$fields'x-token: Bearer abc\r\n'
ask plain "GET /a%20b/%2e./c?a=1&b=%20&a=2;x-list=3?&none HTTP/1.1\r\n$fields"
ask "$port" "POST /form?b HTTP/1.1\r\nContent-Length: 11\r\n$fields" 'a=1&b=2&=%3'
ask "$port" "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n$fields" '3\r\na=1\r\n0\r\n\r\n'
ask plain "GET / HTTP/1.0\r\n"
ask plain "GET http://192.0.2.9:8080/p?a HTTP/1.1\r\nHost: 192.0.2.9:8080\r\nConnection: close\r\n"
ask plain 'OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n'
ask proxy "PROXY TCP4 198.51.100.1 203.0.113.7 35646 443\r\nGET /p HTTP/1.1\r\n$fields"
ask proxy "PROXY TCP6 2001:db8::1 ::1 4000 80\r\nGET /p HTTP/1.1\r\n$fields"
ask proxy "PROXY UNKNOWN\r\nGET /p HTTP/1.1\r\n$fields"
fetch -g "http://[::1]:$port/six?a=b"
for version in --http1.1 --http2; do
	set -- $version --cacert certs/ca.pem --unix-socket tls \
		-H 'cookie: a=1; b=2' -H 'x-list: a,b' -H 'X-Odd;' -H 'x-number: 9'
	fetch "$@" 'https://localhost/tls?a=1'
	fetch "$@" --cert certs/client.pem --key certs/client.key -X DELETE https://localhost/
done
lines() { # of connections of TCP
	[ "$out" = 'all are the same
' ] || fail 'a connection'
}
for at in $((port + 1)) tcp; do
	run neap -e "local peer = require('raw').connect(tonumber('$at') or '$at')
		io.write((peer:read())) peer:close() os.exit(0)"
	lines
done
run openssl s_client -quiet -ign_eof -CAfile certs/ca.pem -servername localhost -unix tcptls
lines
end_server
