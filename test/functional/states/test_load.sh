#!/bin/sh
# A mixture of calls of both kinds from four workers, in requests that end well,
# fail, run out of time and are cancelled: nothing wrong, nothing left. A minute
# under `make soak`, also with the thread sanitizer.
#
# test: timeout 120, soak 600, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

here=$NEAP_SOURCE_DIR/test/functional/states
LUA_PATH="$here/?.lua;$LUA_PATH"
export LUA_PATH

seconds=2
[ -z "${NEAP_SOAK:-}" ] || seconds=60
run neap --workers 4 --load "$here/shared.lua" \
	--load-per-thread "$here/worker.lua" "$here/load.lua" $seconds
code_is 0
out_is done done done done

# With the end in the middle of it.
run neap --workers 4 --load "$here/shared.lua" \
	--load-per-thread "$here/worker.lua" \
	-e 'require("fiber").create(function()
		require("fiber").sleep(0.3 + math.random() / 10)
		os.exit(5)
	end)' "$here/load.lua" 100
code_is 5
err_is ''
