#!/bin/sh
# The kit for authors of C modules: neap is installed below a prefix, which is
# then moved, and modules are made with nothing but what is there.
#
# test: timeout 180
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

must() {
	run "$@"
	code_is 0
}

must cmake --install "$NEAP_BINARY_DIR" --prefix "$PWD/first"
mv first prefix
prefix=$PWD/prefix
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name neap.pc)")
CMAKE_PREFIX_PATH=$prefix
PATH=$prefix/bin:$PATH
export PKG_CONFIG_PATH CMAKE_PREFIX_PATH PATH
unset LUA_PATH
[ "$(command -v neap)" = neap ] && unset -f neap
for file in include/neap/module.h include/neap/compat/module.h bin/neap; do
	[ -e "prefix/$file" ] || fail "$file is not installed"
done
# Nothing names where it was built or first installed.
! grep -rlF -e "$NEAP_SOURCE_DIR" -e "$PWD/first" prefix/lib* \
	prefix/include || fail "a path that is gone"

# What pkg-config says.
must pkg-config --modversion neap
out_is "$(neap -e 'print(require("neap").version)')"
[ "$(pkg-config --variable=program neap)" -ef prefix/bin/neap ] ||
	fail "pkg-config knows no program"

# A new module by CMake: configured, built, tested, loaded.
must neap module new hello
cd hello || exit 1
must cmake -S . -B build -DCMAKE_C_COMPILER="$CC"
must cmake --build build
must ctest --test-dir build --output-on-failure
cat > ../load.lua <<'END2'
local m = require('cmod').load('hello')
print(m:load('sum')(40, 2))
print(require('cmod').list()[1].version)
print(pcall(m.load, m, 'decode'))
END2
cd build || exit 1
must neap ../../load.lua
out_has 'true	42
0.1.0
false	no function'
cd ..

# By make.
must make CC="$CC"
must make test
out_has 'ok - greet'

# Installed into a tree of rocks, and into a prefix.
must cmake --install build --prefix rocks
[ -e rocks/lib/lua/5.1/hello.so ] || fail "not in the tree of rocks"
rm hello.so
must neap ../load.lua
out_has 'true	42'
must make install PREFIX="$PWD/usr" CC="$CC"
[ -e usr/lib/lua/5.1/hello.so ] || fail "make install"
rm hello.so

# Replaced while it serves: the author changes the source and builds again.
cat > serve.lua <<'END2'
local cmod, fiber = require('cmod'), require('fiber')
local sum = cmod.live('build/hello', 'sum')
local told = fiber.channel(1)
local watch = cmod.watch('build/hello', function(m) told:put(m) end)
print(sum(1, 2))
assert(os.execute([[
    sed -i 's/int64_t total = 0/int64_t total = 1000/' hello.c &&
    cmake --build build > build.log 2>&1]]) == 0)
print(sum(1, 2))
print(told:get(20):load('sum')(1))
watch:stop()
END2
must neap serve.lua
out_is 'true	3' 'true	1003' 'true	1001'
cd ..

# Sources written for Tarantool, as they are, by both ways; a name with dots;
# C++ with an inline variable, which must not keep the library for good.
mkdir both && cd both || exit 1
cat > sum.c <<'END2'
#include "module.h"
#include <stdio.h>

int cfunc_sum(box_function_ctx_t *ctx, const char *args, const char *args_end)
{
	char out[2];

	if (args_end - args != 3 || (args[0] & 0xff) != 0x92)
		return box_error_set(__FILE__, __LINE__, ER_PROC_C, "%s",
				     "invalid argument count");
	out[0] = args[1] + args[2];
	return box_return_mp(ctx, out, out + 1);
}
END2
sed 's,"module.h",<tarantool/module.h>,' sum.c > sum_t.c
cat > area.cc <<'END2'
#include <neap/module.h>

struct counter { inline static int n = 41; };
extern "C" NEAP_EXPORT int area(neap_call_t *call, const char *, const char *)
{
	char n = (char)++counter::n;

	return neap_return_mp(call, &n, &n + 1);
}
NEAP_MODULE("geo.area", "1.0", nullptr, nullptr);
END2
cat > CMakeLists.txt <<'END2'
cmake_minimum_required(VERSION 3.16)
project(both LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(neap 0.1 REQUIRED)
neap_add_module(sum sum.c COMPAT)
neap_add_module(sum_t COMPAT sum_t.c)
neap_add_module(geo.area area.cc)
END2
must cmake -S . -B build -DCMAKE_C_COMPILER="$CC" \
	-DNEAP_MODULE_DIR=share/modules
must cmake --build build
# shellcheck disable=SC2046
must "$CC" -shared -fPIC $(pkg-config --cflags neap-compat) -o plain.so sum.c
cat > load.lua <<'END2'
local cmod = require('cmod')
for _, path in ipairs({ 'build/sum', 'build/sum_t', './plain' }) do
    local f = cmod.load(path):load('cfunc_sum')
    print(f(1, 2))
    print(f())
end
print(cmod.load('build/geo/area'):load('area')())
for _, m in ipairs(cmod.list()) do
    assert(not m.never_closes, m.path)
end
END2
must neap load.lua
out_is 'true	3' 'nil	invalid argument count' \
	'true	3' 'nil	invalid argument count' \
	'true	3' 'nil	invalid argument count' 'true	42'
must cmake --install build --prefix "$PWD/out"
[ -e out/share/modules/geo/area.so ] || fail "a dotted name's folder"

# What neap_add_module() refuses, and a version that is not there.
refused() {
	mkdir -p refused
	printf '%s\n' 'cmake_minimum_required(VERSION 3.16)' \
		'project(refused LANGUAGES C)' "$1" > refused/CMakeLists.txt
	run cmake -S refused -B refused/build -DCMAKE_C_COMPILER="$CC"
	[ "$code" != 0 ] || fail "refused wanted"
	err_has "$2"
}
refused 'find_package(neap REQUIRED)
neap_add_module(none)' 'a source is wanted'
refused 'find_package(neap REQUIRED)
neap_add_module(a/b x.c)' 'is no name of a module'
refused 'find_package(neap 1 REQUIRED)' 'neap'

# A plain function is hidden, in C++ as in C.
cd ..
must "$NEAP_BIN" -e 'assert(not pcall(function()
	return require("cmod").load("both/build/geo/area"):load("counter") end))'
