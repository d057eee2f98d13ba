#!/bin/sh
# Signals at any moment of the start and the end of several workers: never a
# hang, never a crash.
#
# test: timeout 300, soak 3600, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# The leak sanitizer looks from a process of its own, which stays for good when
# a signal ends the one it looks at.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"

rounds=20
if [ -n "${NEAP_SOAK:-}" ]; then rounds=1000; fi

cat > app.lua <<'END'
local f = require('fiber')
require('neap').on_shutdown(function() f.sleep(0.001) end)
for i = 1, 50 do f.create(f.sleep, i / 10000) end
f.sleep(0.02)
END
i=0
while [ $i -lt $rounds ]; do
	for signal in INT TERM; do
		"$NEAP_BIN" --workers 4 app.lua > /dev/null 2> err.txt &
		pid=$!
		# From before the first instruction to after the last.
		sleep "$(awk "BEGIN { print ($i % 20) / 400 }")"
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
