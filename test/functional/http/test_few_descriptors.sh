#!/bin/sh
# A server with few descriptors and more clients than it can have at once: it
# serves what it can, tells the others so, and hangs up on nobody.
set -eu

here=${NEAP_SOURCE_DIR:?}/test/functional/http
sock=$TMPDIR/s

fail() {
	echo "FAILED: $*" >&2
	cat log out >&2
	exit 1
}

for limit in 20 64; do
	rm -f "$sock"
	(ulimit -n $limit && exec "${NEAP_BIN:?}" "$here/server.lua" "$sock") 2> log &
	server=$!
	trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
	"$NEAP_BIN" "$here/client.lua" "$sock" wait
	"$NEAP_BIN" "$here/client.lua" "$sock" /slow 100 > out
	[ "$(grep -c '^200 slow but sure$' out)" -ge 2 ] || fail "$limit: too few were served"
	[ "$(grep -c '^503' out)" -ge 1 ] || fail "$limit: nobody was refused"
	[ "$(grep -c '^200\|^503' out)" = 100 ] || fail "$limit: not all were answered"
	[ ! -s log ] || fail "$limit: something was logged"
	kill -s TERM "$server"
	wait "$server" || fail "$limit: exit code $?"
done
trap - EXIT
