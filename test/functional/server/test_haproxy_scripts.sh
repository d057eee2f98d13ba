#!/bin/bash
# Scripts as they are written for HAProxy run unchanged: services, actions, fetches,
# converters, tasks, sockets, its HTTP client, maps and commands (haproxy/*.lua), in the
# workers' states and in the shared one, answer what HAProxy has answered
# (haproxy/expected), and what it answers now where it is installed.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

FOLDER=maps
WORK=$PWD
here=$NEAP_SOURCE_DIR/test/functional/server/haproxy
export FOLDER WORK WEB LINES

# Of each answer: status, reason, fields that begin with x-, body. How errors that nobody
# has written look is each server's own.
said_of() {
	awk '
	{ sub(/\r$/, "") }
	/^HTTP\/1/ { head = 1; sub(/^[^ ]* /, ""); print "== " tolower($0); next }
	head && $0 == "" { head = 0; for (n in x) print x[n] | "sort"; close("sort");
		delete x; next }
	head { if (tolower($0) ~ /^x-/) x[$0] = $0; next }
	/^<html>|^[45][0-9][0-9] [A-Z]/ { page = 1; print "(a page)" }
	!page { print }
	/^<\/body>|^[45][0-9][0-9] [A-Z]/ { page = 0 }'
}

ask_all() {
	local at=http://127.0.0.1:$WEB more=(-w '\n' --next -s -i -m 20) paths=()
	for path in stream silent throws count refuse bad plain fails ask authority \
		kinds if wrap tools found sockets client maps waits; do
		paths+=("$at/$path" "${more[@]}")
	done
	curl -s -i -m 20 "${paths[@]}" \
		-H 'X-One: a, b' -H 'X-One: c' -H 'x-two: d' "$at/show?x=%201&y" \
		"${more[@]}" -d 'some data' "$at/body" \
		"${more[@]}" -X POST "$at/body" \
		"${more[@]}" --data-binary $'abcdef\nsecond\nthird' "$at/pieces" \
		"${more[@]}" -X DELETE "$at/move?q=1" \
		"${more[@]}" -H 'x-list: a' -H 'x-list: b,cc' -H 'x-gone: 1' \
		-H 'x-whole: abcz' "$at/dress" \
		"${more[@]}" -H 'x-list: a' "$at/dressed" \
		"${more[@]}" -H 'x-one: first' "$at/who?q=a%20b%26" -w '\n' | said_of
	echo '== lines'
	printf 'one\nTwo\nbye\n' | curl -s -m 20 "telnet://127.0.0.1:$LINES"
}

# compare NAME: what was said is what is expected.
compare() {
	diff -u "$here/expected" said > differences || fail "$1: $(cat differences)"
}

fresh() {
	WEB=$(free_port)
	LINES=$(free_port)
	rm -rf maps
	cp -r "$here" maps
}

for kind in load_per_thread load; do
	fresh
	sed "s/@LOAD@/$kind/" "$here/server.yaml" > server.yaml
	serve "$WEB" server.yaml
	{
		ask_all
		echo '== command'
		"$NEAP_BIN" connect -e 'colour show red' neap.sock | sed '/^$/d'
	} > said 2>&1
	compare "neap, $kind"
	end_server
done

if command -v haproxy > /dev/null; then
	for kind in lua-load lua-load-per-thread; do
		fresh
		sed "s/@LOAD@/$kind/" "$here/haproxy.cfg" > haproxy.cfg
		haproxy -db -f haproxy.cfg > haproxy.log 2>&1 &
		server=$!
		cp haproxy.log server.err
		eventually listens "$WEB"
		{
			ask_all
			echo '== command'
			"$NEAP_BIN" -e "local s = require('socket').tcp_connect('unix/',
				'haproxy.sock')
				s:write('colour show red\n')
				io.write(s:read(1000))
				os.exit(0)" | sed '/^$/d'
		} > said 2>&1
		kill -s TERM "$server"
		wait "$server" || :
		server=
		compare "HAProxy, $kind"
	done
fi
