#!/bin/bash
# Proves the two commands on a bare Debian 12: debootstrap makes one (minbase
# plus make, nothing else), a clean clone is put in, and `make run` and
# `make test` are run in it.
#
# Usage: run.sh [--keep] [FOLDER]      as root, with debootstrap and git
#
# FOLDER must not exist yet (default: a new one in /var/tmp). What is committed
# counts, not the working tree. Some ten minutes; no part of `make test`.
set -euo pipefail

release=bookworm
port=${NEAP_FRESH_PORT:-$((20000 + RANDOM % 10000))}

say() {
	echo "fresh: $*" >&2
}

# A mount namespace of our own: whatever ends this script, no mount is left.
if [ -z "${NEAP_FRESH_INSIDE:-}" ]; then
	[ "$(id -u)" = 0 ] || { say "needs root"; exit 2; }
	command -v debootstrap > /dev/null ||
		{ say "needs debootstrap: apt-get install debootstrap"; exit 2; }
	NEAP_FRESH_INSIDE=1 exec unshare --mount --propagation private \
		"$BASH" "$0" "$@"
fi

keep=
if [ "${1:-}" = --keep ]; then
	keep=1
	shift
fi
source=$(cd "$(dirname "$0")/../.." && pwd)
if [ $# -ge 1 ]; then
	[ ! -e "$1" ] || { say "$1 exists already"; exit 2; }
	mkdir -p "$1"
	root=$(cd "$1" && pwd)
else
	root=$(mktemp -d /var/tmp/neap-fresh.XXXXXX)
	chmod 755 "$root" # as a system's root is: tests become nobody
fi

console=
cleanup() {
	if [ -n "$console" ]; then
		kill -s KILL -- "-$console" 2> /dev/null || :
	fi
	umount -l "$root/dev/pts" "$root/proc" 2> /dev/null || :
	if [ -n "$keep" ]; then
		say "kept in $root"
	else
		rm -rf --one-file-system "$root"
	fi
}
trap cleanup EXIT
trap 'exit 130' HUP INT TERM

# The mirror this machine uses itself.
mirror=$(apt-get indextargets --format '$(LABEL) $(CODENAME) $(REPO_URI)' \
	'Created-By: Packages' |
	awk -v release=$release '$1 == "Debian" && $2 == release { print $NF }' |
	head -n 1)
[ -n "$mirror" ] || { say "apt-get names no mirror of $release"; exit 1; }

say "making a bare Debian 12 in $root"
debootstrap --variant=minbase --include=make $release "$root" "$mirror" \
	> "$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# How to reach the mirror from here, where that needs a proxy.
apt-config dump | grep -E '^Acquire::https?::Proxy ' \
	> "$root/etc/apt/apt.conf.d/90fresh-proxy" || :
mount -t proc proc "$root/proc"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -sf pts/ptmx "$root/dev/ptmx"

mkdir -p "$root/opt"
git clone -q --no-hardlinks "$source" "$root/opt/neap"
say "it has $(chroot "$root" dpkg-query -W | wc -l) packages;" \
	"testing $(git -C "$source" log -1 --format='%h %s')"

inside() {
	env -i HOME=/root TERM=xterm LANG=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		chroot "$root" /bin/sh -c "cd /opt/neap && $1"
}

# One HTTP request; the chroot shares our network.
get() {
	exec 3<> "/dev/tcp/127.0.0.1/$port" || return 1
	printf 'GET %s HTTP/1.1\r\nHost: fresh\r\nConnection: close\r\n\r\n' \
		"$1" >&3
	timeout 10 cat <&3
	exec 3>&-
}

# --- make run: the example answers, and so does its console ----------------
say "make run"
start=$SECONDS
mkfifo "$root/keys"
set -m
# script(1) gives it a terminal of its own; what is typed comes from the fifo.
inside "PORT=$port "'script -qefc "make run" /run.log < /keys > /dev/null' &
console=$!
set +m
exec 4> "$root/keys"

answered=
while [ $((SECONDS - start)) -lt 900 ]; do
	kill -s 0 "$console" 2> /dev/null || break
	if answer=$(get / 2> /dev/null) && [ -n "$answer" ]; then
		answered=1
		break
	fi
	sleep 1
done
if [ -z "$answered" ]; then
	cat "$root/run.log" >&2
	say "FAILED: make run: no answer on port $port"
	exit 1
fi
say "answers after $((SECONDS - start)) s"
sum=$(get '/sum?a=20&b=22')
printf '6 * 7\n' >&4
sleep 2
printf '\004' >&4
code=0
for _ in $(seq 100); do
	kill -s 0 "$console" 2> /dev/null || break
	sleep 0.1
done
if kill -s 0 "$console" 2> /dev/null; then
	cat "$root/run.log" >&2
	say "FAILED: make run: Ctrl-D does not end it"
	exit 1
fi
wait "$console" || code=$?
console=
exec 4>&-

tr -d '\r' < "$root/run.log" > "$root/run.txt"
sed 's/^/    /' "$root/run.txt" >&2
check() {
	if ! grep -qE "$2" <<< "$1"; then
		say "FAILED: make run: $3: $1"
		exit 1
	fi
}
check "$answer" '^HTTP/1.1 200' 'GET / is not 200'
check "$sum" '^HTTP/1.1 200' 'GET /sum is not 200'
check "$sum" '42' 'GET /sum is wrong'
check "$(cat "$root/run.txt")" '^- 42' 'the console does not compute'
[ "$code" = 0 ] || { say "FAILED: make run: exit code $code"; exit 1; }
say "make run: passed"

# --- make test -------------------------------------------------------------
say "make test"
start=$SECONDS
if ! inside 'make test' > "$root/test.log" 2>&1; then
	cat "$root/test.log" >&2
	say "FAILED: make test"
	exit 1
fi
tail -n 12 "$root/test.log" >&2
grep -q '^100% tests passed' "$root/test.log" ||
	{ say "FAILED: make test: ctest did not say so"; exit 1; }
grep -q 'unit/base/.* Passed' "$root/test.log" ||
	{ say "FAILED: make test: the unit tests were left out"; exit 1; }
say "make test: passed in $((SECONDS - start)) s"

# The rest of the packages, for lint and the checks.
if inside 'make deps' > "$root/deps.log" 2>&1; then
	say "make deps: passed"
else
	cat "$root/deps.log" >&2
	say "FAILED: make deps"
	exit 1
fi
say "passed"
