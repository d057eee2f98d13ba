#!/bin/bash
# The guides are true: every snippet and command of README.md and doc/guide*.md
# is run as it stands, and prints what the page says. See page_to_script.lua.
#
# test: timeout 180
set -u

# Of one large file of authorities a worker says that it took long.
unset SSL_CERT_FILE SSL_CERT_DIR

: "${NEAP_SOURCE_DIR:?}" "${NEAP_BINARY_DIR:?}" "${NEAP_BIN:?}"
pages=$NEAP_SOURCE_DIR/test/functional/doc
work=$PWD
failed=0
pid=
address= port=

fail() {
	failed=1
	echo "not ok: $*"
}

# Where the page's server listens: an address that no other test has.
here() {
	local text=${1//127.0.0.1/$address}
	printf '%s' "${text//8080/$port}"
}

# What a page says was printed, as a pattern: "..." is anything.
pattern() {
	sed -e 's/[^A-Za-z0-9 ]/\\&/g' -e 's/\\\.\\\.\\\./*/g' <<< "$1"
}

matches() {
	# shellcheck disable=SC2053
	[[ "$1" == $(pattern "$2") ]]
}

file() {
	mkdir -p "$(dirname "$1")"
	printf '%s\n' "$(here "$2")" > "$1"
}

step() {
	local place=$1 command=$(here "$2") want=$(here "$3") got
	eval "$command" > "$work/out" 2>&1 < /dev/null
	got=$(< "$work/out")
	if matches "$got" "$want"; then
		echo "ok: $place: $command"
	else
		fail "$place: $command"
		printf 'got:\n%s\nwant:\n%s\n' "$got" "$want"
	fi
}

session() {
	local place=$1 command=$(here "$2") want=$(here "$4") got
	got=$(eval "$command -i" <<< "$(here "$3")" 2> "$work/err" |
		grep -v '^$')
	if matches "$got" "$want"; then
		echo "ok: $place: session"
	else
		fail "$place: session"
		printf 'got:\n%s\nwant:\n%s\n' "$got" "$want"
		cat "$work/err"
	fi
}

is_listening() {
	(: < "/dev/tcp/$address/$port") 2> /dev/null
}

background() {
	stop
	echo "starting: $1: $2"
	(eval "exec $(here "$2")") > "$work/log" 2>&1 < /dev/null &
	pid=$!
	for _ in {1..200}; do
		is_listening && return
		kill -s 0 $pid 2> /dev/null || break
		sleep 0.05
	done
	fail "$1: nothing listens"
	cat "$work/log"
}

# The server must end well when asked to.
stop() {
	[ -n "$pid" ] || return 0
	kill -s TERM "$pid" 2> /dev/null
	wait "$pid" || {
		fail "the server ended with exit code $?"
		cat "$work/log"
	}
	pid=
}

finish() {
	stop
}

PATH=$NEAP_BINARY_DIR:$PATH
trap '[ -z "$pid" ] || kill -s KILL "$pid"' EXIT

for page in "$NEAP_SOURCE_DIR"/README.md "$NEAP_SOURCE_DIR"/doc/guide*.md; do
	name=$(basename "$page" .md)
	# As in a checkout that was built, but nothing is written into it.
	mkdir -p "$work/$name/doc"
	cd "$work/$name" || exit 1
	ln -s "$NEAP_BINARY_DIR" build
	ln -s "$NEAP_SOURCE_DIR/src" src
	cp -r "$NEAP_SOURCE_DIR/doc/examples" doc/ 2> /dev/null
	address=127.$((1 + RANDOM % 250)).$((RANDOM % 250)).$((1 + RANDOM % 250))
	port=$((10000 + RANDOM % 20000)) # below those given to clients
	"$NEAP_BIN" "$pages/page_to_script.lua" "$page" > "$work/$name.sh" ||
		exit 1
	# shellcheck disable=SC1090
	. "$work/$name.sh"
done
exit $failed
