#!/bin/sh
# Filters of connections: of the shared state and of the workers' own, what they may do to
# what comes and goes, and what happens when they fail.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"
# The thread sanitizer delivers signals late: what loops is not made to give way.
case ${NEAP_SANITIZE:-} in *thread*) exit 77 ;; esac
here=$NEAP_SOURCE_DIR/test/functional/server/tcp_filter
sh "$NEAP_SOURCE_DIR/test/lib/certs.sh" "$PWD/certs"

listener() { # NAME SERVICE RULES
	echo "  - address: 'unix:$TMPDIR/$1'"
	echo '    protocol: tcp'
	echo "    rules: [$3{use-service: lua.$2}]"
}
of_kind() { # KIND
	for name in up hold wait once api; do
		service=echo
		[ $name != api ] || service=said
		listener "$1.$name" "$1.$service" "{filter: lua.$1.$name}, "
	done
	listener "$1.up-pieces" "$1.pieces" "{filter: lua.$1.up}, "
	listener "$1.up-rows" "$1.rows" "{filter: lua.$1.up}, "
	listener "$1.lines-rows" "$1.rows" "{filter: lua.$1.lines}, "
	listener "$1.look" "$1.echo" "{action: lua.$1.touch}, {filter: lua.$1.look}, "
	listener "$1.live" "$1.echo" "{filter: lua.$1.live}, "
	listener "$1.count" "$1.live" ''
	for where in start_analyze.req start_analyze.res tcp_payload.req tcp_payload.res; do
		for how in error throw done; do
			failing "$1" closed $where $how ''
		done
		failing "$1" open $where throw ', on_error: continue'
	done
	failing "$1" closed end_analyze.req throw ''
	failing "$1" open tcp_payload.req loop ', on_error: continue'
	failing "$1" closed tcp_payload.res loop ''
	listener "$1.stubborn" "$1.stubborn" "{filter: lua.$1.fail, args: [tcp_payload req, throw]}, "
}
failing() { # KIND NAME WHERE HOW ON_ERROR
	listener "$1.$2.$3.$4" "$1.echo" "{filter: lua.$1.fail, args: ['${3%.*} ${3#*.}', $4]$5}, {filter: lua.$1.up}, "
}
{
	cat <<END_OF_HEAD
workers: 1
load: {file: $here/filters.lua, args: [s]}
load_per_thread: {file: $here/filters.lua, args: [p]}
limits:
  filter: {total: 200ms, burst: 100ms}
listeners:
END_OF_HEAD
	of_kind p
	of_kind s
	listener both p.pieces '{filter: lua.s.rot}, {action: lua.p.touch}, {filter: lua.p.up}, {action: lua.s.touch}, '
	listener tls s.pieces '{filter: lua.p.up}, '
	echo '    tls: {cert_file: certs/server.pem, key_file: certs/server.key}'
	listener flood p.flood '{filter: lua.p.up}, '
	listener sent p.sent ''
} > server.yaml
serve "$TMPDIR/sent" server.yaml
"$NEAP_BIN" "$here/ask.lua" "$TMPDIR" || { tail -30 server.err; fail 'see above'; }
end_server
grep -q "filter 'p.fail' in worker 1: .*filters.lua:[0-9]*: failed on purpose" server.err || fail 'no error told of worker 1'
grep -q "filter 's.fail' in the shared state: .*filters.lua:[0-9]*: failed on purpose" server.err || fail 'none of the shared state'
