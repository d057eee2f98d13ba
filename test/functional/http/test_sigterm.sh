#!/bin/sh
# SIGTERM in the middle of requests: each gets its answer, then the server ends
# with 0; requests that never end are cut by the deadline, which ends it with 1,
# or by the second signal's 128+15.
set -eu

here=${NEAP_SOURCE_DIR:?}/test/functional/http
sock=$TMPDIR/s

fail() {
	echo "FAILED: $*" >&2
	cat log out >&2
	exit 1
}

begin() {
	rm -f "$sock" out
	"${NEAP_BIN:?}" "$@" "$here/server.lua" "$sock" > inside 2> log &
	server=$!
	trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
	"$NEAP_BIN" "$here/client.lua" "$sock" wait
}

# Ask COUNT times in the background; back when all are in.
ask() {
	"$NEAP_BIN" "$here/client.lua" "$sock" "$1" "$2" > out &
	client=$!
	until [ "$(wc -l < inside)" = "$2" ]; do sleep 0.01; done
}

begin
ask /slow 20
kill -s TERM "$server"
code=0
wait "$server" || code=$?
[ "$code" = 0 ] || fail "drained with exit code $code"
wait "$client" || fail "the client"
[ "$(grep -c '^200 slow but sure$' out)" = 20 ] || fail "not all were answered"

begin
ask /never 3
kill -s TERM "$server"
until grep -q 'no new work' log; do sleep 0.01; done
sleep 0.2
kill -s 0 "$server" 2> /dev/null || fail "it did not wait for its requests"
kill -s TERM "$server"
code=0
wait "$server" || code=$?
[ "$code" = 143 ] || fail "the second signal ended it with $code"
wait "$client" || fail "the client"
[ "$(grep -c '^cut$' out)" = 3 ] || fail "the requests were not cut"

begin --drain-timeout 0.3
ask /never 3
kill -s TERM "$server"
code=0
wait "$server" || code=$?
[ "$code" = 1 ] || fail "the deadline ended it with $code"
grep -q "http server unix/:.*: 3 requests were not finished in time: cut" log || fail "nothing was said"
wait "$client" || fail "the client"
trap - EXIT
