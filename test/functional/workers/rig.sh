# Sourced by the tests of workers, after cli.sh: a server in the background and
# the client.

here=$NEAP_SOURCE_DIR/test/functional/workers
client=${NEAP_BINARY_DIR:?}/test/functional/workers/client
server=

# begin WORKERS ADDRESS-FILE-OR-UNIX [OPTIONS]: until all workers listen. The
# port is in $port.
begin() {
	workers=$1 address=$2
	shift 2
	ready=$address
	case $address in unix/:*) ready=${address#unix/:}.ready ;; esac
	rm -f "$ready"
	line="server --workers $workers $* $address"
	"$NEAP_BIN" --workers "$workers" "$@" "$here/server.lua" "$address" \
		> server.out 2> server.err &
	server=$!
	trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
	eventually has_lines "$ready" "$workers"
	port=$(sort -u "$ready")
	case $address in unix/:*) rm "$ready" ;; esac
}

has_lines() {
	[ "$(wc -l 2> /dev/null < "$1")" = "$2" ]
}

# The server's code and what it said, into $code, $out and $err.
finish() {
	code=0
	wait "$server" || code=$?
	trap - EXIT
	out=$(cat server.out; echo .)
	out=${out%.}
	err=$(cat server.err)
}

end_by() {
	kill -s "$1" "$server"
	finish
}

# How often "worker N" is in what the client said, and its answers.
workers_in() {
	grep -c '^worker ' "$1"
}

value_of() {
	awk -v name="$2" '$1 == name { print $2 }' "$1"
}
