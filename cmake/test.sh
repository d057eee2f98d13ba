#!/bin/sh
# Runs the tests of one preset; the few that failed once more, one at a time.
#
# Usage: test.sh PRESET JOBS [ARGUMENT OF CTEST..]
#
# A machine that others use may stop a process for longer than a test can wait. Such
# a test passes alone; it is named, so that it gets mended. Not forgiven: a crash, a
# report of a sanitizer, and more failures than MAX.
set -eu

MAX=3

preset=$1
jobs=$2
shift 2
cd "$(dirname "$0")/.."

folder=build
if [ "$preset" != release ]; then folder=build-$preset; fi
results=$folder/Testing/Temporary

status=0
ctest --preset "$preset" -j "$jobs" "$@" || status=$?
if [ "$status" = 0 ]; then exit 0; fi
[ -s "$results/LastTestsFailed.log" ] || exit "$status"

failed=$(cut -d: -f2 "$results/LastTestsFailed.log")
if [ "$(echo "$failed" | wc -l)" -gt "$MAX" ]; then exit "$status"; fi

# What the failed ones printed.
for name in $failed; do
	awk -v begin=" Testing: $name" -v end="\"$name\" end time" '
		substr($0, length($0) - length(begin) + 1) == begin { on = 1 }
		index($0, end) == 1 { on = 0 }
		on' "$results/LastTest.log"
done > "$results/failed.log"
if grep -qiE 'Sanitizer|runtime error:|SIGSEGV|SIGABRT|SIGBUS|SegFault|Assertion|code: 1[34]' \
	"$results/failed.log"; then
	exit "$status"
fi

echo "test: once more, alone:" $failed
ctest --preset "$preset" -j 1 --rerun-failed || exit $?
echo "test: FLAKY, failed beside others and passed alone:" $failed
