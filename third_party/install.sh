#!/bin/sh
# Installs the Debian packages that packages.txt lists for the given purposes.
#
# Usage: install.sh PURPOSE..      (build test soak lint bench)
#
# Does nothing, and needs no rights, when all are there already.
set -eu

list=$(dirname "$0")/packages.txt
say() {
	echo "deps: $*" >&2
}

wanted=$(for purpose in "$@"; do
	awk -v purpose="$purpose" '$1 == purpose { print $2 }' "$list"
done)
if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null
then
	say "no Debian packages here; these are needed by their own names:"
	say $wanted
	exit 0
fi

missing=
for package in $wanted; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" \
		2> /dev/null || :)
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo > /dev/null; then
		say "packages are missing and need root to install:"
		say "apt-get install$missing"
		exit 1
	fi
	as_root=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Waits for another package client rather than failing beside it.
apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=300 "$@" > "$log" 2>&1
}

say "installing$missing"
if ! apt install --no-install-recommends $missing; then
	say "fetching the package lists and trying again"
	if ! apt update || ! apt install --no-install-recommends $missing; then
		tail -n 20 "$log" >&2
		exit 1
	fi
fi
