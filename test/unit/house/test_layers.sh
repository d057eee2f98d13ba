#!/bin/sh
# The layers hold: an upward include does not compile, an upward call does not
# link, a cycle does not configure. Each try is a small project on the real
# cmake/Layer.cmake, beside one that keeps to the rules and must build.
#
# test: timeout 180
set -eu

: "${NEAP_SOURCE_DIR:?}"
count=0

fail() {
	echo "not ok: $*"
	exit 1
}

# A project of two layers, high over low, that builds as it stands.
project() {
	mkdir -p "$1/low" "$1/high" "$1/side"
	cd "$1"
	cat > CMakeLists.txt <<-END
		cmake_minimum_required(VERSION 3.25)
		project(tried LANGUAGES C)
		set(CMAKE_MODULE_PATH "$NEAP_SOURCE_DIR/cmake")
		set(NEAP_WERROR ON)
		include(Flags)
		include(Layer)
		include(EmbedLua)
		add_subdirectory(low)
		add_subdirectory(side)
		add_subdirectory(high)
		check_layers()
	END
	echo 'add_layer(low)' > low/CMakeLists.txt
	echo 'add_layer(side DEPS low)' > side/CMakeLists.txt
	echo 'add_layer(high DEPS low)' > high/CMakeLists.txt
	echo 'int low_get(void);' > low/low.h
	cat > low/low.c <<-END
		#include "low/low.h"
		int low_get(void) { return 1; }
	END
	echo 'int side_get(void);' > side/side.h
	cat > side/side.c <<-END
		#include "side/side.h"
		#include "low/low.h"
		int side_get(void) { return low_get(); }
	END
	echo 'int high_get(void);' > high/high.h
	cat > high/high.c <<-END
		#include "high/high.h"
		#include "low/low.h"
		int high_get(void) { return low_get(); }
	END
	cd ..
}

configure() {
	cmake -G Ninja -S "$1" -B "$1/build" > "$1/configure.log" 2>&1
}

# The message, its lines joined: CMake wraps them where it likes. A pattern, as
# gcc and clang differ in a word or a quote.
said() {
	tr -s ' \n' ' ' < "$1" | grep -qE "$2"
}

builds() {
	configure "$1" || { cat "$1/configure.log"; fail "$1: configure"; }
	cmake --build "$1/build" > "$1/build.log" 2>&1 ||
		{ cat "$1/build.log"; fail "$1: build"; }
	count=$((count + 1))
	echo "ok: $1 builds"
}

# Configures, and then the build stops with this message.
build_stops() {
	configure "$1" || { cat "$1/configure.log"; fail "$1: configure"; }
	if cmake --build "$1/build" -- -k 0 > "$1/build.log" 2>&1; then
		fail "$1: was built"
	fi
	said "$1/build.log" "$2" || { cat "$1/build.log"; fail "$1: not '$2'"; }
	count=$((count + 1))
	echo "ok: $1 stops: $2"
}

configure_stops() {
	if configure "$1"; then
		fail "$1: was configured"
	fi
	said "$1/configure.log" "$2" ||
		{ cat "$1/configure.log"; fail "$1: not '$2'"; }
	count=$((count + 1))
	echo "ok: $1 stops: $2"
}

project plain
builds plain

# An upward include.
project include-up
cat > include-up/low/low.c <<-END
	#include "low/low.h"
	#include "high/high.h"
	int low_get(void) { return 1; }
END
build_stops include-up "high/high.h(: No such file|' file not found)"
[ ! -e include-up/build/low/liblow.a ] || fail "include-up: low compiled"

# The same spelled from the folder above, which no include path can refuse.
project include-dots
cat > include-dots/low/low.c <<-END
	#include "low/low.h"
	#include "../high/high.h"
	int low_get(void) { return 1; }
END
mkdir include-dots/src
mv include-dots/low include-dots/high include-dots/src/
cp -r "$NEAP_SOURCE_DIR/cmake" include-dots/
(cd include-dots && cmake/lint/includes) > include-dots/lint.log 2>&1 &&
	fail "include-dots: lint let it pass"
said include-dots/lint.log 'low.c: a path with \.\.: 2:#include "\.\./high' ||
	fail "include-dots: $(cat include-dots/lint.log)"
sed -i '/high.h/d' include-dots/src/low/low.c
(cd include-dots && cmake/lint/includes) ||
	fail "include-dots: lint refuses the same without it"
echo "ok: include-dots is refused by lint"

# A sideways include: neither has declared the other.
project include-side
sed -i '1a #include "side/side.h"' include-side/high/high.c
build_stops include-side "side/side.h(: No such file|' file not found)"

# It builds as soon as the layer is declared: nothing else stood in the way.
cp -r include-side include-declared
rm -r include-declared/build
echo 'add_layer(high DEPS low side)' > include-declared/high/CMakeLists.txt
builds include-declared

# An upward call, declared by hand: compiles, and does not link.
project call-up
cat > call-up/low/low.c <<-END
	#include "low/low.h"
	int high_get(void);
	int low_get(void) { return high_get(); }
END
build_stops call-up "undefined reference to .high_get'"
[ -e call-up/build/low/liblow.a ] || fail "call-up: low did not compile"

# A sideways call, the same way.
project call-side
cat > call-side/high/high.c <<-END
	#include "high/high.h"
	int side_get(void);
	int high_get(void) { return side_get(); }
END
build_stops call-side "undefined reference to .side_get'"

cp -r call-side call-declared
rm -r call-declared/build
echo 'add_layer(high DEPS low side)' > call-declared/high/CMakeLists.txt
builds call-declared

# A cycle cannot be written: one of its layers has to come first.
project cycle
echo 'add_layer(low DEPS high)' > cycle/low/CMakeLists.txt
configure_stops cycle \
	"layer 'low' depends on 'high', which is not declared yet"

project itself
echo 'add_layer(low DEPS low)' > itself/low/CMakeLists.txt
configure_stops itself \
	"layer 'low' depends on 'low', which is not declared yet"

# Ways round add_layer.
project as-library
echo 'add_layer(high LIBS side)' > as-library/high/CMakeLists.txt
configure_stops as-library "'side' is a layer and belongs in DEPS"

project linked-later
echo 'target_link_libraries(low PUBLIC high)' >> linked-later/CMakeLists.txt
sed -i '/check_layers/d' linked-later/CMakeLists.txt
echo 'check_layers()' >> linked-later/CMakeLists.txt
configure_stops linked-later "layer 'low' was given libraries or include"

project included-later
echo 'target_include_directories(low PRIVATE ..)' \
	>> included-later/low/CMakeLists.txt
configure_stops included-later "layer 'low' was given libraries or include"

project twice
echo 'add_layer(low)' >> twice/high/CMakeLists.txt
configure_stops twice "layer 'low' is declared twice"

echo "$count tries"
