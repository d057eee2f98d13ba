#!/bin/sh
# Configures and builds one preset, with a line on what takes long.
#
# Usage: build.sh PRESET [JOBS [TARGET..]]      (without a target: all)
set -eu

preset=$1
jobs=${2:-$(nproc)}
shift; [ $# = 0 ] || shift
cd "$(dirname "$0")/.."

folder=build
if [ "$preset" != release ]; then folder=build-$preset; fi

# Again when packages have come or gone: a part may be there now.
stamp=$folder/.configured
if [ ! -e "$folder/build.ninja" ] || [ ! -e "$stamp" ] ||
	[ /var/lib/dpkg/status -nt "$stamp" ]; then
	echo "build: configuring $preset in $folder"
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	# Its stderr tells of LuaJIT's fetch and build as they go.
	if ! cmake --preset "$preset" > "$log"; then
		cat "$log"
		exit 1
	fi
	touch "$stamp"
fi
echo "build: compiling $preset in $folder"
cmake --build "$folder" -j "$jobs" ${1:+--target "$@"}
