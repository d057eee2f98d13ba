#!/bin/sh
# Programs that compute have the same check sums whether they run alone or give
# way thousands of times: at slices of 5 ms, 1 ms and 0.1 ms, with the compiler
# and without, while compiled code is thrown away.
#
# test: timeout 240
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# The thread sanitizer delivers signals late: nothing is made to give way.
case ${NEAP_SANITIZE:-} in *thread*) exit 77 ;; esac

programs=$NEAP_SOURCE_DIR/test/functional/preempt/run.lua
scale=2
if [ -n "${NEAP_SOAK:-}" ]; then scale=20; fi
if [ -n "${NEAP_SANITIZE:-}" ]; then scale=1; fi

# Alone: the sums to have. Nothing gives way without slices.
run neap --slice 0 "$programs" alone $scale
code_is 0
err_is 'preempted 0'
case $out in *FAILED*) fail 'no failures' ;; esac
# The script's own hook is the state's: beside others it counts their lines.
wanted=$(echo "$out" | grep -v '^own_hook')

for slice in 5 1 0.1; do
	for jit in on off; do
		run neap --slice $slice -j $jit --log-level error "$programs" \
			beside $scale $slice
		code_is 0
		[ "${out%
}" = "$wanted" ] || fail "the sums of $wanted"
		count=${err#preempted }
		[ "$count" -gt 10 ] || fail 'that fibers gave way'
	done
done
