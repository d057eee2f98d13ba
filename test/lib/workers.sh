# Sourced, after cli.sh, by tests of a program in several workers. Each of them writes a
# line to the file "ports" when it listens, and what it logs is in "log".

server= ports=

has_ports() {
	[ "$(wc -l 2> /dev/null < ports)" = "$1" ]
}

# serve WORKERS [OPTIONS] SCRIPT [ARGUMENTS]: until all listen, at the same $ports.
serve() {
	workers=$1
	shift
	line="server --workers $workers $*"
	"$NEAP_BIN" --workers "$workers" "$@" 2> log &
	server=$!
	trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
	eventually has_ports "$workers"
	ports=$(sort -u ports)
	[ "$(printf '%s\n' "$ports" | wc -l)" = 1 ] || fail "one address wanted: $ports"
}

# SIGTERM, and a good end.
end_served() {
	kill -s TERM "$server"
	code=0
	wait "$server" || code=$?
	trap - EXIT
	[ "$code" = 0 ] || fail "ended with $code: $(cat log)"
}
