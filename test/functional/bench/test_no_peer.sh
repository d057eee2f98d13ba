#!/bin/sh
# A peer that is not there, that fails or that measures nothing is a row that
# says so and an exit of 1; only --no-peer leaves it out.
#
# test: timeout 120
set -eu

if [ -n "${NEAP_SANITIZE:-}" ]; then
	echo "figures of a sanitized build say nothing"
	exit 77
fi
run=${NEAP_SOURCE_DIR:?}/test/bench/run
failed=0

# expect WHAT EXIT-CODE ROW REASON [OPTION..]: how the row of one figure goes
# on behind ours, limit and share, and a line of the report.
expect() {
	what=$1 want=$2 row=$3 reason=$4
	shift 4
	code=0
	"$run" --quick --only '^create$' "$@" > out 2> err || code=$?
	number='[0-9.]* M/s *|'
	if [ "$code" = "$want" ] && grep -q "$reason" out &&
		grep -q "^| fiber create.*| $number $number [^|]*| $row" out
	then
		echo "ok: $what"
	else
		echo "not ok: $what: exit $code, wanted $want, $row and: $reason"
		cat out err
		failed=1
	fi
}

# A program in the peer's place.
peer() {
	printf '#!/bin/sh\n%s\n' "$1" > peer
	chmod +x peer
}

export BENCH_PEER="$PWD/peer"
expect 'a peer that is not there' 1 'FAILED ' 'FAILED: create, peer: exit 127'
expect 'a peer that is left out' 0 'left out ' '^- Peer: left out\.' --no-peer
peer 'echo "it is broken" >&2; exit 3'
expect 'a peer that fails' 1 'FAILED ' 'peer: exit 3: it is broken'
peer 'kill -9 $$'
expect 'a peer that is killed' 1 'FAILED ' 'FAILED: create, peer: exit 137'
peer 'echo "rates 17"'
expect 'a peer that measures something else' 1 'FAILED ' \
	'FAILED: create, peer: rate is not measured'
peer 'echo "rate 1"'
expect 'a peer of one in a second' 0 '0.00 M/s *| [0-9]* *| 4 x *| yes ' \
	'^- Peer: rate 1\.'
peer 'echo "rate 1e15"'
expect 'a peer that nobody reaches' 0 '[0-9]* M/s *| 0.00 *| 4 x *| no ' \
	'^- Peer: rate 1e15\.'
exit $failed
