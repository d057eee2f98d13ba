# Sourced by shell tests of the console on a terminal: see test/lib/pty.c for what is
# typed, and cli.sh for what else there is.
#
#	. "$NEAP_SOURCE_DIR/test/lib/terminal.sh"
#	terminal -q << 'END'
#	expect neap>
#	send 1 + 1\r
#	END

. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# The thread sanitizer keeps signals back while Lua computes.
if [ "${NEAP_SANITIZE:-}" = thread ]; then exit 77; fi

pty=$NEAP_BINARY_DIR/test/lib/pty
export NEAP_HISTORY=$PWD/history NEAP_INIT= NO_COLOR=1

# Types a script (standard input) into the program with these arguments.
terminal() {
	run "$pty" "$NEAP_BIN" "$@"
	[ "$code" = 0 ] || fail 'on the terminal'
}
