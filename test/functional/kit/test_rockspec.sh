#!/bin/sh
# The rockspec of a new module: LuaRocks builds it against a neap that is
# installed below a prefix, and what it has put into its tree loads. Without
# LuaRocks there is nothing to test.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

if ! command -v luarocks > /dev/null; then
	echo "skipped: no luarocks"
	exit 77
fi

must() {
	run "$@"
	code_is 0
}

must cmake --install "$NEAP_BINARY_DIR" --prefix "$PWD/prefix"
PKG_CONFIG_PATH=$(dirname "$(find "$PWD/prefix" -name neap.pc)")
CMAKE_PREFIX_PATH=$PWD/prefix
PATH=$PWD/prefix/bin:$PATH
HOME=$PWD
export PKG_CONFIG_PATH CMAKE_PREFIX_PATH PATH HOME

must neap module new hello
cd hello || exit 1
must luarocks lint hello-scm-1.rockspec
must luarocks --lua-version 5.1 --tree rocks make
[ -e rocks/lib/lua/5.1/hello.so ] || fail "not in the tree"
must luarocks --lua-version 5.1 --tree rocks show --mversion hello
out_is scm-1

# From the tree, not from where it was built.
rm -rf build.luarocks
must neap -e "
	local m = require('cmod').load('hello')
	print(m:load('sum')(40, 2))
	print(m.file)"
out_is 'true	42' "$(realpath rocks/lib/lua/5.1/hello.so)"

must luarocks --lua-version 5.1 --tree rocks remove hello
[ -e rocks/lib/lua/5.1/hello.so ] && fail "it was not removed"
exit 0
