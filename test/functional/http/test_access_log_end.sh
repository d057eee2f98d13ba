#!/bin/sh
# Several workers write one access log: SIGUSR1 has all go on in a new file after a
# rotation, and after SIGTERM there is a line, and one, of each request that was
# answered.
set -eu

here=${NEAP_SOURCE_DIR:?}/test/functional/http
sock=$TMPDIR/s
rm -f access.log access.log.1

fail() {
	echo "FAILED: $*" >&2
	cat log >&2
	exit 1
}

"${NEAP_BIN:?}" --workers 3 "$here/access.lua" "$sock" access.log > inside 2> log &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
"$NEAP_BIN" "$here/client.lua" "$sock" wait
"$NEAP_BIN" "$here/client.lua" "$sock" /quick 50 > out
[ "$(grep -c '^200 quick$' out)" = 50 ] || fail "not all were answered"

i=0
while [ "$(wc -l < access.log)" != 50 ]; do
	i=$((i + 1))
	[ $i -lt 1000 ] || fail "$(wc -l < access.log) lines"
	sleep 0.01
done
mv access.log access.log.1
kill -s USR1 "$server"
asked=50
while [ ! -e access.log ]; do # the signal is on its way
	"$NEAP_BIN" "$here/client.lua" "$sock" /quick 5 > out
	asked=$((asked + 5))
	[ $asked -lt 1000 ] || fail "no new file"
done

"$NEAP_BIN" "$here/client.lua" "$sock" /slow 50 > out &
client=$!
until [ "$(wc -l < inside)" = 50 ]; do sleep 0.01; done
kill -s TERM "$server"
code=0
wait "$server" || code=$?
trap - EXIT
[ "$code" = 0 ] || fail "drained with exit code $code"
wait "$client" || fail "the client"
[ "$(grep -c '^200 slow but sure$' out)" = 50 ] || fail "not all were answered"
# Of the workers each has gone on in the new file by now.
[ "$(grep -c '"target":"/slow".*"status":200,.*}$' access.log)" = 50 ] || fail "slow ones are lost"
[ "$(cat access.log.1 access.log | grep -c '"target":"/quick".*"status":200,.*}$')" = $asked ] ||
	fail "of $asked quick ones some are lost"
[ "$(cat access.log.1 access.log | wc -l)" = $((asked + 50)) ] || fail "too many lines"
[ ! -s log ] || grep -q "no new work" log || fail "it complained"
