#!/bin/sh
# Embedded Lua is the same bytes as the file, whatever they are, and changes
# when the file does.
set -eu

: "${NEAP_SOURCE_DIR:?}"
mkdir -p project/one
cd project
cat > CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.25)
project(tried LANGUAGES C)
set(CMAKE_MODULE_PATH "$NEAP_SOURCE_DIR/cmake")
set(NEAP_WERROR ON)
include(Flags)
include(Layer)
include(EmbedLua)
add_subdirectory(one)
check_layers()
add_executable(dump dump.c)
target_link_libraries(dump PRIVATE one neap::flags)
END
echo 'add_layer(one)' > one/CMakeLists.txt
cat > dump.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lua_src/one.h"

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; lua_src_one_table[i].name != NULL; i++) {
		if (argc == 2 && strcmp(argv[1], lua_src_one_table[i].name) == 0)
			fwrite(lua_src_one_table[i].data, 1,
			       lua_src_one_table[i].size, stdout);
	}
	if (i != lua_src_one_count || lua_src_plain[lua_src_plain_size] != 0)
		abort();
	return 0;
}
END
printf 'return 1\n' > one/plain.lua
printf '' > one/nothing.lua
# shellcheck disable=SC2016
printf 'x = "\\n"; @y@ ${z} ??= [[;;]] \303\244\n\000\377\0012\n' \
	> one/hard.lua
awk 'BEGIN { for (i = 0; i < 20000; i++) print "-- line " i }' > one/long.lua
head -c 1024 /dev/urandom > one/random.lua

check() {
	for file in one/*.lua; do
		name=$(basename "$file" .lua)
		build/dump "$name" | cmp - "$file" || exit 1
		echo "ok: $name"
	done
}
cmake -G Ninja -S . -B build > log 2>&1 || { cat log; exit 1; }
cmake --build build > log 2>&1 || { cat log; exit 1; }
check

sleep 1
printf 'return 2\n' > one/plain.lua
printf 'return 3\n' > one/added.lua
cmake --build build > log 2>&1 || { cat log; exit 1; }
check
