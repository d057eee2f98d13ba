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
case $err in 'preempted 0 traces '*) ;; *) fail 'that nothing gave way' ;; esac
case $out in *FAILED*) fail 'no failures' ;; esac
# The script's own hook is the state's: beside others it counts their lines.
wanted=$(echo "$out" | grep -v '^own_hook')

# beside SLICE JIT [MODE]
beside() {
	run neap --slice "$1" -j "$2" --log-level error "$programs" \
		"${3:-beside}" $scale "${1#0.}"
	code_is 0
	[ "${out%
}" = "$wanted" ] || fail "the sums of $wanted"
	count=$(figure preempted 2)
	[ "$count" -gt 10 ] || fail 'that fibers gave way'
	count=$(figure preempted 4)
	case $2 in
	on) [ "$count" -gt 10 ] || fail 'that traces were made' ;;
	off) [ "$count" = 0 ] || fail 'that no trace was made' ;;
	esac
}

# A field of the line of the errors that begins with a word.
figure() {
	printf '%s\n' "$err" | awk -v word="$1" -v field="$2" \
		'index($0, word " ") == 1 { print $field }'
}

for slice in 5 1 0.1; do
	for jit in on off; do
		beside $slice $jit
	done
done

# What gave way was compiled: loops, and what metamethods, comparators, callbacks and
# coroutines call.
beside 1 on watched
for name in numeric_loop while_loop protected_calls spin; do
	count=$(figure "left $name" 3)
	[ "${count:-0}" -gt 0 ] || fail "that $name was left when compiled"
done
beside 1 off watched
err_has_not left
