#!/bin/sh
# Builds our LuaJIT into a cache outside the build tree and prints its folder.
#
# Usage: build.sh [--assert] [--sysmalloc] [--plain] [--tarball FILE]
# --plain is LuaJIT as it comes, without our options and mends: what ours is
# measured beside.
# Environment: NEAP_CACHE, XDG_CACHE_HOME (where the cache is), CC, JOBS.
# Exit: 0 and the folder on stdout; 3 if no source can be had; 1 otherwise.
#
# The source is Debian's package, fetched with apt-get from the mirror this
# machine already uses, with lists and caches of our own: nothing of the
# system's configuration is read for writing or changed, and no root is needed.
set -eu

version=2.1.0+openresty20251030-1
upstream=2.1.0+openresty20251030
sha256=04106b57bb3b089ce21ae606163c6fbd260f245580cfeb45484201fd86835190
suite=sid

here=$(cd "$(dirname "$0")" && pwd)
flags=-DLUAJIT_ENABLE_CHECKHOOK
mends=$(echo "$here"/*.patch)
tarball=
while [ $# -gt 0 ]; do
	case $1 in
	--assert) flags="$flags -DLUA_USE_ASSERT -DLUA_USE_APICHECK" ;;
	--sysmalloc) flags="$flags -DLUAJIT_USE_SYSMALLOC" ;;
	--plain) flags= mends= ;;
	--tarball) tarball=$2; shift ;;
	*) echo "build.sh: not understood: $1" >&2; exit 1 ;;
	esac
	shift
done
cc=${CC:-cc}

say() {
	echo "luajit: $*" >&2
}

# The folder's name: all that decides what is in it.
key=$({
	echo "$version $sha256 $flags"
	"$cc" --version | head -n 1
	"$cc" -dumpmachine
	cat "$here"/build.sh "$here"/*.patch
	if [ -n "$tarball" ]; then sha256sum < "$tarball"; fi
} | sha256sum | cut -c 1-16)
cache=${NEAP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}}/neap
out=$cache/luajit-$key

if [ -e "$out/version" ]; then
	echo "$out"
	exit 0
fi
mkdir -p "$cache"

# One builder at a time; whoever waited finds the work done.
exec 9> "$cache/luajit-$key.lock"
if ! flock -n 9; then
	say "another build is making the same LuaJIT, waiting for it"
	flock 9
fi
if [ -e "$out/version" ]; then
	echo "$out"
	exit 0
fi

work=$(mktemp -d "$cache/luajit-$key.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/src" "$work/out"

# The main archives of this machine's apt sources, best guess first: Debian's
# own label and a plain code name before the rest; never a security archive.
archives() {
	apt-get indextargets \
		--format '$(LABEL) $(CODENAME) $(REPO_URI)' \
		'Created-By: Packages' 2>/dev/null |
	awk '
		$NF ~ /security/ { next }
		$1 == "Debian" && $2 !~ /-/ { print 1, $NF; next }
		$NF ~ /\/debian\/?$/ { print 2, $NF; next }
		{ print 3, $NF }
	' | sort -s -n -k 1,1 | cut -d ' ' -f 2 | awk '!seen[$0]++'
}

# Fetches the source package from one archive into $work/fetch.
fetch_from() {
	rm -rf "$work/apt" "$work/fetch"
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" \
		"$work/fetch"
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	signed=
	if [ -e "$keyring" ]; then signed="[signed-by=$keyring] "; fi
	echo "deb-src $signed$1 $suite main" > "$work/apt/sources.list"
	set -- -q \
		-o "Dir::Etc::SourceList=$work/apt/sources.list" \
		-o Dir::Etc::SourceParts=- \
		-o "Dir::State::Lists=$work/apt/lists" \
		-o "Dir::Cache=$work/apt/cache" \
		-o APT::Sandbox::User=root \
		-o APT::Get::List-Cleanup=false
	cd "$work/fetch"
	# Lists past their date will do for what its sum vouches for.
	apt-get "$@" -o Acquire::Check-Valid-Until=false update \
		>> "$work/log" 2>&1 || return 1
	if apt-get "$@" source --download-only "luajit=$version" \
		>> "$work/log" 2>&1; then
		return 0
	fi
	# The newest there is, on the word of lists that are up to date.
	if apt-get "$@" update >> "$work/log" 2>&1 &&
		apt-get "$@" source --download-only luajit \
		>> "$work/log" 2>&1; then
		say "WARNING: the mirror has no luajit $version any more;"
		say "WARNING: its newest is used, and the tests have to judge it"
		newest=yes
		return 0
	fi
	return 1
}

newest=
origin="Debian source package"
if [ -n "$tarball" ]; then
	archive=$tarball
	origin="archive given by hand"
else
	command -v apt-get > /dev/null || { say "no apt-get here"; exit 3; }
	say "fetching Debian's source package luajit $version"
	archive=
	for uri in $(archives); do
		if fetch_from "$uri"; then
			archive=$(ls "$work"/fetch/luajit_*.orig.tar.*)
			break
		fi
	done
	if [ -z "$archive" ]; then
		say "the source package could not be had; apt-get said:"
		tail -n 5 "$work/log" >&2 2>/dev/null || :
		exit 3
	fi
fi

sum=$(sha256sum < "$archive" | cut -d ' ' -f 1)
if [ "$sum" = "$sha256" ]; then
	upstream_is=$upstream
elif [ -n "$newest" ]; then
	upstream_is=$(basename "$archive" | sed 's/^luajit_//; s/\.orig\..*//')
elif [ -n "$tarball" ]; then
	say "WARNING: $tarball is not the tested source ($sum)"
	upstream_is=$(basename "$tarball")
else
	say "the fetched archive has SHA-256 $sum, expected $sha256"
	exit 1
fi

tar -xf "$archive" -C "$work/src" --strip-components=1
for mend in $mends; do
	if ! patch -d "$work/src" -p1 -s -f --no-backup-if-mismatch \
		< "$mend" >&2; then
		say "$(basename "$mend") does not fit $upstream_is"
		[ -n "$newest" ] && exit 3
		exit 1
	fi
done

say "building $upstream_is (half a minute)"
start=$(date +%s)
if ! make -C "$work/src/src" -j "${JOBS:-$(nproc)}" amalg \
	BUILDMODE=static CC="$cc" CCDEBUG=-g XCFLAGS="$flags" \
	PREFIX=/usr MULTILIB="lib/$("$cc" -print-multiarch)" \
	> "$work/log" 2>&1 9>&-; then
	tail -n 30 "$work/log" >&2
	say "the build failed"
	exit 1
fi

cd "$work/src"
mkdir -p "$work/out/include" "$work/out/internal" "$work/out/lib" \
	"$work/out/bin" "$work/out/jit"
for h in lua.h lauxlib.h lualib.h luaconf.h luajit.h; do
	cp "src/$h" "$work/out/include/"
done
cp src/*.h "$work/out/internal/"
for h in "$work"/out/include/*.h; do
	rm "$work/out/internal/$(basename "$h")"
done
cp src/libluajit.a "$work/out/lib/"
cp src/luajit "$work/out/bin/"
cp src/jit/*.lua "$work/out/jit/"
cp COPYRIGHT "$work/out/"
echo "$flags" > "$work/out/flags"
echo "$origin" > "$work/out/origin"
echo "$upstream_is" > "$work/out/version"

mv -T "$work/out" "$out"
say "built in $(($(date +%s) - start)) s, kept in $out"
echo "$out"
