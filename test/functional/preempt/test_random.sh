#!/bin/sh
# Programs made at random (random_program.lua) have the same check sums whether
# they run alone, interpreted, with nothing to stop them, or beside each other at
# slices of 5 ms, 1 ms and 0.1 ms: compiled, interpreted, and compiled again and
# again. NEAP_SEEDS="FIRST LAST" chooses others.
#
# test: timeout 240, soak 7200
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# The thread sanitizer delivers signals late: nothing is made to give way.
case ${NEAP_SANITIZE:-} in *thread*) exit 77 ;; esac

random=$NEAP_SOURCE_DIR/test/functional/preempt/random.lua
rounds=30
set -- ${NEAP_SEEDS:-1 24}
case ${NEAP_SOAK:+soak}-${NEAP_SANITIZE:-}${NEAP_LUAJIT_ASSERT:-} in
-) ;;
-*) set -- 1 8 ;;
soak-) set -- 1 2000 ;;
soak-*) set -- 1 400 ;;
esac
first=$1 end=$2

# The first program whose sum is another, and how to see it again.
explain() {
	seed=$(printf '%s\n' "$wanted" "${out%
}" | sort | uniq -u | head -n 1)
	seed=${seed%% *}
	echo "program $seed: neap $random text $seed"
	echo "the sum to have: neap -j off --slice 0 $random alone $seed $seed $rounds"
	echo "all of them: neap --slice $slice -j $jit $random $how $first $last $rounds"
	echo "alone: neap --slice $slice -j $jit $random $how $seed $seed $rounds"
	fail "the sums of $wanted"
}

# check MODE: `slice` and `jit` are set.
check() {
	how=$1
	run neap --slice "$slice" -j "$jit" --log-level error "$random" \
		"$how" "$first" "$last" $rounds
	[ "${out%
}" = "$wanted" ] || explain
	code_is 0
	given=${err#preempted } given=${given%% *}
	traces=${err##* }
	[ "$given" -ge "$least" ] || fail 'that programs gave way'
	if [ "$jit" = on ]; then
		[ "$traces" -gt 10 ] || fail 'that programs were compiled'
	else
		[ "$traces" = 0 ] || fail 'that nothing was compiled'
	fi
}

while [ "$first" -le "$end" ]; do
	last=$((first + 31))
	if [ "$last" -gt "$end" ]; then last=$end; fi
	run neap --slice 0 -j off "$random" alone "$first" "$last" $rounds
	code_is 0
	err_is 'preempted 0 traces 0'
	case $out in *FAILED*) fail 'no failures' ;; esac
	wanted=${out%
}
	slice=0 jit=on least=0
	check alone
	for slice in 5 1 0.1; do
		# A program may be over before its slice is.
		least=0
		if [ $slice = 0.1 ]; then least=$((last - first)); fi
		jit=off
		check beside
		jit=on
		check beside
		check flushed
	done
	first=$((last + 1))
done
