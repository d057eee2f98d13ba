#!/bin/sh
# neap module new: the folder it makes, and all that it refuses.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

run neap module new hello
code_is 0
err_is ''
for file in .gitignore CMakeLists.txt Makefile README.md hello.c \
	hello-scm-1.rockspec test.lua; do
	[ -s "hello/$file" ] || fail "hello/$file wanted"
	out_has "hello/$file"
done
out_has 'cd hello'
[ "$(find hello -type f | wc -l)" = 7 ] || fail "seven files wanted"
! grep -r '@NAME@' hello || fail "a name was not put in"
for file in hello/hello-scm-1.rockspec hello/test.lua; do
	"$NEAP_BIN" -e "assert(loadfile('$file'))" || fail "$file is no Lua"
done
run neap -e "setfenv(loadfile('hello/hello-scm-1.rockspec'), _G)()
	print(package, version, build.type)"
out_is 'hello	scm-1	cmake'

# Nothing is written over.
echo mine > hello/hello.c
run neap module new hello
code_is 1
err_is_one_line
err_has "move 'hello' away"
[ "$(cat hello/hello.c)" = mine ] || fail "hello.c was written over"
echo file > taken
run neap module new taken
code_is 1
err_has "move 'taken' away"
ln -s nowhere dangling
run neap module new dangling
code_is 1

# Names.
refused() {
	run neap module new "$1"
	code_is 2
	err_has "$2"
	err_has "neap --help"
	[ ! -e "$1" ] || [ -z "$1" ] || fail "$1 was made"
}
refused My-Mod "such as 'my_mod'"
refused 9lives "such as 'lives'"
refused ../up "such as 'up'"
refused 'a b' "such as 'a_b'"
refused /abs "such as 'abs'"
refused '' 'is no name of a module'
run neap module new .
code_is 2
err_has 'is no name of a module'
refused test "such as 'my_test'"
refused install "such as 'my_install'"
refused "$(printf '%065d' 0 | tr 0 a)" 'at most 64'
run neap module new "$(printf '%064d' 0 | tr 0 a)"
code_is 0
# Words of Lua and C are fine as names.
for name in end int local; do
	run neap module new $name
	code_is 0
	"$NEAP_BIN" -e "assert(loadfile('$name/test.lua'))" || fail "$name"
done

# Words.
run neap module
code_is 2
err_has 'module new NAME'
run neap module new
code_is 2
err_has 'the name is missing'
run neap module old x
code_is 2
err_has "'old' is not understood"
run neap module new two names
code_is 2
err_has "'names' is too much"
[ ! -e two ] || fail "two was made"
for line in 'module --help' 'module new --help' 'module new -h' \
	'module new x --help'; do
	# shellcheck disable=SC2086
	run neap $line
	code_is 0
	out_has 'usage: neap module new NAME'
done
[ ! -e x ] || fail "x was made"
run neap --help
out_has 'module new NAME'

# A failure leaves nothing behind.
mkdir closed && chmod 555 closed
if ! touch closed/probe 2> /dev/null; then
	cd closed || exit 1
	run neap module new hello
	code_is 1
	err_has "cannot make the folder 'hello'"
	cd ..
fi
run sh -c 'ulimit -f 1; trap "" XFSZ; "$NEAP_BIN" module new cut'
code_is 1
err_has "cannot write 'cut/"
[ ! -e cut ] || fail "cut was left behind"
run sh -c '"$NEAP_BIN" module new full > /dev/full'
code_is 1
err_has 'No space left on device'

# A script of that name.
echo 'print("a script")' > module
run neap ./module
out_is 'a script'
