#!/bin/sh
# The other compiler has to find nothing either: clang reads every C file that
# the release build has compiled, and makes nothing of it.
#
# Usage: clang.sh [JOBS]
set -eu
cd "$(dirname "$0")/../build"

# One command a line; gcc's own names for what clang has too are few.
sed -n 's/^ *"command": "\(.*\)",*$/\1/p' compile_commands.json |
	sed -e 's/\\"/"/g' -e 's/\\\\/\\/g' \
		-e 's/^[^ ]* /clang -fsyntax-only -Werror -Wno-gnu-variable-sized-type-not-at-end /' |
	tr '\n' '\0' | xargs -0 -P "${1:-$(nproc)}" -I{} sh -c '{}'
