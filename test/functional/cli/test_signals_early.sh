#!/bin/sh
# Signals at any moment, start-up and end included: never a hang, never a crash.
#
# test: timeout 300, soak 3600
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/signals.sh"

rounds=40
if [ -n "${NEAP_SOAK:-}" ]; then rounds=2000; fi
signals_early $rounds 500 "$NEAP_BIN" -e '
	local f = require("fiber")
	for i = 1, 50 do f.create(f.sleep, i / 10000) end
	f.sleep(0.02)'
