#!/bin/sh
# Signals at any moment of the start and the end of several workers: never a
# hang, never a crash.
#
# test: timeout 300, soak 3600, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/signals.sh"

rounds=20
if [ -n "${NEAP_SOAK:-}" ]; then rounds=1000; fi
cat > app.lua <<'END'
local f = require('fiber')
require('neap').on_shutdown(function() f.sleep(0.001) end)
for i = 1, 50 do f.create(f.sleep, i / 10000) end
f.sleep(0.02)
END
signals_early $rounds 400 "$NEAP_BIN" --workers 4 app.lua
