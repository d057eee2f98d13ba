# Sourced by shell tests of the command line: runs the program, keeps what it
# said, and checks it. The first failed check ends the test.
#
#	. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
#	run neap -e 'print(1)'
#	code_is 0
#	out_is '1'

set -u
: "${NEAP_BIN:?}" "${NEAP_SOURCE_DIR:?}" "${TMPDIR:?}"
export NEAP_CHECK_LEAKS=1

code= out= err= line=

# Waits are limited by this: on a busy machine everything takes longer.
patience=60

neap() {
	"$NEAP_BIN" "$@"
}

# Runs a command; its code, output and errors are in $code, $out and $err.
run() {
	line=$*
	code=0
	"$@" > "$TMPDIR/out" 2> "$TMPDIR/err" || code=$?
	out=$(cat "$TMPDIR/out"; echo .)
	out=${out%.}
	err=$(cat "$TMPDIR/err")
	rm -f "$TMPDIR/out" "$TMPDIR/err"
}

fail() {
	echo "not as it should be: $*"
	echo "command: $line"
	echo "code: $code"
	echo "stdout: $out"
	echo "stderr: $err"
	exit 1
}

code_is() {
	[ "$code" = "$1" ] || fail "code $1 wanted"
}

# The whole output, each argument a line.
out_is() {
	want=
	for text; do want="$want$text
"; done
	[ "$out" = "$want" ] || fail "output wanted: $want"
}

err_is() {
	[ "$err" = "$1" ] || fail "errors wanted: $1"
}

out_has() {
	case $out in *"$1"*) ;; *) fail "output with '$1' wanted" ;; esac
}

err_has() {
	case $err in *"$1"*) ;; *) fail "errors with '$1' wanted" ;; esac
}

err_has_not() {
	case $err in *"$1"*) fail "errors without '$1' wanted" ;; esac
}

# How often a text is in the errors.
err_counts() {
	n=$(printf '%s\n' "$err" | grep -c -F -- "$1")
	[ "$n" = "$2" ] || fail "'$1' wanted $2 times in the errors, not $n"
}

# One line and no more.
err_is_one_line() {
	n=$(printf '%s\n' "$err" | wc -l)
	[ "$n" = 1 ] || fail "one line of errors wanted"
}

# Waits until a command succeeds.
eventually() {
	tries=$((patience * 50))
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || fail "in vain: $*"
		sleep 0.02
	done
}

has_line() {
	grep -q -F -- "$2" "$1" 2> /dev/null
}
