#!/bin/sh
# Signals at any moment, start-up and end included: never a hang, never a crash.
#
# test: timeout 300, soak 3600
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# The leak sanitizer looks from a process of its own, which stays for good when
# a signal ends the one it looks at.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"

rounds=40
if [ -n "${NEAP_SOAK:-}" ]; then rounds=2000; fi

i=0
while [ $i -lt $rounds ]; do
	for signal in INT TERM; do
		"$NEAP_BIN" -e 'local f = require("fiber")
			for i = 1, 50 do f.create(f.sleep, i / 10000) end
			f.sleep(0.02)' > /dev/null 2> err.txt &
		pid=$!
		# From before the first instruction to after the last.
		sleep "$(awk "BEGIN { print ($i % 20) / 500 }")"
		kill -s $signal $pid 2> /dev/null
		code=0
		wait $pid || code=$?
		err=$(cat err.txt)
		case $code in
		0 | 130 | 143) ;;
		*) fail "round $i, SIG$signal" ;;
		esac
		err_is ''
	done
	i=$((i + 1))
done
