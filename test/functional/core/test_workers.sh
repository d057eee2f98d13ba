#!/bin/sh
# Maps and variables that several workers look up and change at the same time, and events
# that they tell each other of.
#
# test: timeout 60, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

seconds=2
[ -z "${NEAP_SOAK-}" ] || seconds=60
run neap --workers 4 "$NEAP_SOURCE_DIR/test/functional/core/states.lua" $seconds
code_is 0
case $out in
*FAIL*) fail "no line with FAIL wanted" ;;
esac
[ "$(printf '%s\n' "$out" | grep -c '^done$')" = 4 ] || fail "4 lines 'done' wanted"
case $err in
*ERROR* | *' E> '*) fail "no errors wanted" ;;
esac
