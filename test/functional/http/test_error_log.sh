#!/bin/sh
# An error in a handler: 500 to the peer, one entry with its traceback in the
# log, and the server lives.
set -eu

here=${NEAP_SOURCE_DIR:?}/test/functional/http
sock=$TMPDIR/s

"${NEAP_BIN:?}" "$here/server.lua" "$sock" 2> log &
server=$!
trap 'kill "$server" 2> /dev/null || true' EXIT
"$NEAP_BIN" "$here/client.lua" "$sock" wait

fail() {
	echo "FAILED: $*" >&2
	cat log >&2
	exit 1
}

for round in 1 2 3; do
	"$NEAP_BIN" "$here/client.lua" "$sock" /error > out
	grep -q '^500 Internal Server Error$' out || fail "not a 500: $(cat out)"
	[ "$(grep -c 'an error of the handler' log)" = $round ] ||
		fail "not logged once, in round $round"
	[ "$(grep -c 'stack traceback' log)" = $round ] || fail "no traceback"
done
grep -q 'GET /error: .*server.lua:10: an error of the handler' log ||
	fail "the entry does not say what was asked, and where it failed"
"$NEAP_BIN" "$here/client.lua" "$sock" / > out
grep -q '^200 hello$' out || fail "it does not live"

kill "$server"
wait "$server" || fail "exit code $?"
trap - EXIT
[ ! -e "$sock" ] || fail "the socket was left behind"
