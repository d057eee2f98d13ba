#!/bin/sh
# Unpacks Debian's HTTP servers, the peers of the HTTP figures, into a folder of
# their own: nginx's Lua does not go together with libluajit-5.1-dev, and the
# machine need not serve anything. Nothing is installed or started.
#
# Usage: fetch.sh DIR
#
# DIR/root has the files, those of the packages that they need and the machine
# lacks too; what the machine has is not fetched. Does nothing when it is done.
# Exit: 1 with a reason.
set -eu

peers='nginx libnginx-mod-http-lua haproxy h2o'
dir=$1
[ ! -e "$dir/complete" ] || exit 0

fail() {
	echo "$1" >&2
	exit 1
}

command -v apt-get > /dev/null && command -v dpkg > /dev/null ||
	fail 'no Debian packages here'
rm -rf "$dir"
mkdir -p "$dir/packages" "$dir/root"
cd "$dir/packages"

# Installing is only played through: it tells what is missing.
download() {
	apt-get -q -s -y --no-install-recommends install $peers \
		> ../plan 2> ../log || return 1
	list=$(awk '$1 == "Inst" { print $2 }' ../plan)
	[ -z "$list" ] || apt-get -q download $list > /dev/null 2> ../log
}
update() {
	[ "$(id -u)" = 0 ] && apt-get -q update > /dev/null 2>&1
}
if ! download && ! { update && download; }; then
	fail "$(grep -m 1 '^E:' ../log || echo 'apt-get failed')"
fi
for package in *.deb; do
	[ ! -e "$package" ] || dpkg -x "$package" ../root ||
		fail "dpkg -x $package"
done
cd ..
rm -r packages plan log
touch complete
