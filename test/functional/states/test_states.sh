#!/bin/sh
# The shared state and those of the workers: calls, contexts, private data,
# variables, errors, limits, cancels. What is checked is in main.lua.
#
# test: timeout 240, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

here=$NEAP_SOURCE_DIR/test/functional/states
LUA_PATH="$here/?.lua;$LUA_PATH"
export LUA_PATH

for workers in 1 4; do
	run neap --workers $workers --load "$here/shared.lua" \
		--load-per-thread "$here/worker.lua" "$here/main.lua"
	code_is 0
	case $out in
	*FAIL*) fail "no line with FAIL wanted" ;;
	esac
	[ "$(printf '%s\n' "$out" | grep -c '^done$')" = $workers ] ||
		fail "$workers lines 'done' wanted"
	err_is ''
done
