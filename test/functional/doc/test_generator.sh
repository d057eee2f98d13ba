#!/bin/sh
# The check of the reference sees what it is there to see: each fault is put
# into a copy of the sources, and must be named.
set -eu

: "${NEAP_SOURCE_DIR:?}" "${NEAP_BIN:?}"
unset LUA_PATH # our own tap.lua would go before the module
mkdir -p copy # not where somebody's sources may be, who runs it by hand
cd copy
check() {
	"$NEAP_BIN" doc/tools/reference/generate.lua --check > out 2>&1
}

fresh() {
	rm -rf src doc cmake
	cp -r "$NEAP_SOURCE_DIR/src" "$NEAP_SOURCE_DIR/doc" .
	mkdir cmake
	cp -r "$NEAP_SOURCE_DIR/cmake/package" cmake/
}

# refused WHAT TEXT: the check fails and says TEXT.
refused() {
	if check; then
		echo "not ok: $1: not seen"
		exit 1
	fi
	if ! grep -qF -- "$2" out; then
		echo "not ok: $1: '$2' is not said, but:"
		cat out
		exit 1
	fi
	echo "ok: $1"
}

# edit FILE SED-SCRIPT: must change something.
edit() {
	sed -i.before "$2" "$1"
	if cmp -s "$1" "$1.before"; then
		echo "not ok: '$2' changes nothing in $1"
		exit 1
	fi
	rm "$1.before"
}

fresh
check || { cat out; exit 1; }

edit doc/reference/fiber.md 's/Wait for/Await/'
refused "a page that was edited" "doc/reference/fiber.md is not what"
grep -q 'to mend the pages, run: build/neap' out

fresh
touch doc/reference/gone.md
refused "a page without a source" "doc/reference/gone.md belongs to nothing"

fresh
edit src/lua/lua_fiber_module.c '/^ \* fiber\.find(id)/d'
refused "a function without a comment" \
	"fiber.find is there and has no doc comment"

fresh
edit src/lua/lua_fiber_wait.c '/^ \* fiber_object:wakeup()/d'
refused "a method without a comment" \
	"fiber_object:wakeup is there and has no doc comment"

fresh
edit src/lua/fiber.lua 's/channel:is_full()/channel:is_fuller()/'
refused "a method that is not there" \
	"channel:is_fuller is documented and not there"

fresh
edit src/lua/fiber.lua 's/^-- The module `fiber`:/-- The fiber module:/'
refused "a module without an introduction" "module 'fiber' has no page"

fresh
edit src/lua/lua_fiber_module.c 's/with that @id/with that id/'
refused "an argument that is not told" "fiber.find does not say what @id is"

fresh
edit src/lua/lua_fiber_module.c 's/Looks at each fiber. Yields: no./Looks./'
refused "a wait that is not told" "fiber.find does not say whether it waits"

fresh
edit src/lua/fiber.lua 's/--- cond:signal()/--- cond:broadcast()/'
refused "a name told twice" "cond:broadcast is documented twice"

fresh
sed -i.before '/^#\[\[/,/^\]\]/d' cmake/package/neap_add_module.cmake
refused "a CMake function without a comment" \
	"neap_add_module has no doc comment"
