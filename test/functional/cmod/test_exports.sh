#!/bin/sh
# What the program exports is what src/main/neap.exports lists, under the versions
# given there, and nothing else; the list holds every function of the public
# headers, and everything that msgpuck's header may call.
set -u

: "${NEAP_BIN:?}" "${NEAP_SOURCE_DIR:?}"
include=$NEAP_SOURCE_DIR/src/include/neap
list=$NEAP_SOURCE_DIR/src/main/neap.exports
failed=0

# same WHAT WANTED GOT: files of sorted lines
same() {
	if ! diff "$2" "$3" > diff; then
		echo "$1: wanted (<), there (>):"
		cat diff
		failed=1
	fi
}

# "name@@NODE" for each name of the list.
sed -e 's|/\*.*\*/||' -e '/^\/\*/,/\*\/$/d' "$list" | awk '
	/^[A-Z].*\{/ { node = $1; next }
	/:$/ || /^}/ { next }
	{ for (i = 1; i <= NF; i++) print substr($i, 1, length($i) - 1) "@@" node }
' | grep -v '^\*' | sort > listed
sed 's/@@.*//' listed | sort > names

# The sanitizers' runtimes are exported from theirs.
if [ -z "${NEAP_SANITIZE:-}" ]; then
	# stdin and the like are copies of what the program uses of libc.
	nm -D --defined-only --with-symbol-versions "$NEAP_BIN" |
		awk '$2 != "A" { print $3 }' | grep -v '@GLIBC_' | sort > there
	same "exported" listed there
else
	nm -D --defined-only "$NEAP_BIN" | awk '{ print $3 }' |
		sed 's/@.*//' | sort > all
	comm -12 names all > there
	same "exported, at least" names there
fi

# Declarations: ours, and the peer's, which are linked to names of ours.
grep -h -A3 '^NEAP_EXPORT' "$include/module.h" | tr '\n' ' ' |
	grep -o 'neap_[a-z_]*(' | tr -d '(' | sort -u > declared
grep '^neap_' names | grep -v '^neap_compat_' > ours
same "neap/module.h" declared ours
{
	grep -o 'NEAP_COMPAT([a-z0-9_]*)' "$include/compat/module.h" |
		sed 's/.*(\(.*\))/neap_compat_\1/'
	echo neap_compat_say
} | grep -v '_name$' | sort -u > declared
grep '^neap_compat_' names > ours
same "neap/compat/module.h" declared ours

# msgpuck's own object file, with nothing inline.
echo '#include <msgpuck.h>' > puck.c
if ${CC:-cc} -DMP_SOURCE=1 -O0 -w -c puck.c -o puck.o; then
	nm --defined-only puck.o | awk '$2 ~ /[TDRBVW]/ { print $3 }' |
		grep '^mp_' | sort > declared
	grep '^mp_' names > ours
	comm -23 declared ours > missing
	: > nothing
	same "msgpuck" nothing missing
else
	failed=1
fi

# A C module of Lua's own, which names no version.
cat > luac.c <<'C'
typedef struct lua_State lua_State;
void lua_pushnumber(lua_State *L, double n);
int luaopen_luac(lua_State *L);
int luaopen_luac(lua_State *L) { lua_pushnumber(L, 7); return 1; }
C
${CC:-cc} -shared -fPIC -o luac.so luac.c || failed=1
got=$("$NEAP_BIN" -e 'print(require("luac"))')
if [ "$got" != 7 ]; then
	echo "a Lua C module gives '$got'"
	failed=1
fi
exit $failed
