#!/bin/sh
# Every figure of the peer can be had, where the peer is installed (make bench
# does that, make test does not). Their values are not looked at.
#
# test: timeout 180
set -eu

if [ -n "${NEAP_SANITIZE:-}" ]; then
	echo "figures of a sanitized build say nothing"
	exit 77
fi
if ! command -v tarantool > /dev/null ||
	! echo '#include <tarantool/module.h>' |
		"${CC:-cc}" -E - > /dev/null 2>&1; then
	echo "the peer is not installed: make deps-bench"
	exit 77
fi
run=${NEAP_SOURCE_DIR:?}/test/bench/run

for sources in '^create' '^switch' '^channel' '^idle 100 k' '^delay' '^start' \
	'^cmod_[nsecu]' '^msgpack'; do
	"$run" --quick --only "$sources"
done

# Those of the servers, where their programs have been fetched.
if [ -e "${NEAP_BINARY_DIR:?}/bench-peers/complete" ] &&
	command -v node > /dev/null; then
	for sources in '^hello' '^json' '^echo' '^pipelined' '^tls' \
		'^handshake' '^http2' '^websocket' '^idle conn' '^stall' '^tcp'
	do
		"$run" --quick --only "$sources"
	done
fi

# What its own functions need and do not find is told.
code=0
CC='cc -nostdinc' "$run" --quick --only '^cmod_sum' > out || code=$?
cat out
[ "$code" = 1 ]
grep -q '^| C call, sum of two .* FAILED ' out
grep -q 'FAILED: cmod_sum, peer: peer.c: exit 1: .*msgpuck\.h' out
