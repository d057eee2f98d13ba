#!/bin/sh
# The shared state at the console, as worker 0 beside the workers: what is shown of it and done
# to it, what SIGQUIT has the log told of it, and that it is told where it stands when it does
# not answer, while the others do; after a reload it is the new one. A server without it has
# no worker 0.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

here=$NEAP_SOURCE_DIR/test/functional/mixed
get() { # PATH
	"$NEAP_BIN" -e "local r, e = require('http.client').get('http://a$1', { unix_socket = 'web.sock' })
		print(r and r.body or e) os.exit(0)"
}
ask() { # COMMAND..
	for command; do set -- "$@" -e "$command"; shift; done
	run neap connect admin.sock "$@"
}
lines() { # TEXT LEAST
	[ "$(grep -c -e "$1" server.err)" -ge "$2" ]
}
answers() { # TEXT COMMAND
	ask "$2"
	case $out in *"$1"*) ;; *) return 1 ;; esac
}

mkfifo door
for workers in 1 2; do
	cat > server.yaml <<-YAML
	workers: $workers
	load: {file: $here/admin.lua, args: [s]}
	load_per_thread: {file: $here/admin.lua, args: [p]}
	listeners:
	- {address: 'unix:web.sock', rules: [{use-service: lua.s.asks, if: path == /asks},
	   {use-service: lua.s.stuck, if: path == /stuck},
	   {use-service: lua.s.waits, if: path == /waits}, {use-service: lua.p.own}]}
	console:
	- {address: 'unix:admin.sock', language: admin, level: admin}
	YAML
	# Workers are looked after as often as a watchdog wants it.
	NOTIFY_SOCKET=@nobody WATCHDOG_USEC=400000 serve admin.sock server.yaml
	eventually listens web.sock
	run neap "$here/admin_steps.lua" $workers
	err_is ''
	code_is 0
	out_is 'done'

	kill -s QUIT "$server"
	eventually lines "worker 0 fiber [0-9]* 'sleeper' waiting" 1
	eventually lines "worker $workers fiber [0-9]* 'sleeper' waiting" 1

	if [ $workers = 1 ]; then
		end_server
		continue
	fi

	# It stands in C code until somebody writes there.
	get /stuck > stuck.out &
	stuck=$!
	if [ "${NEAP_SANITIZE:-}" = thread ]; then who=; else who=": fiber "; fi # no ticks there
	eventually answers "{\"worker\":0,\"error\":\"does not answer$who" 'show workers json'
	out_has '[{"worker":1,"fibers":'
	out_has '{"worker":2,"fibers":'
	if [ "${NEAP_SANITIZE:-}" != thread ]; then # which has no ticks
		out_has "'s.stuck' has kept it for "
		out_has 'in a C function, in '
		out_has 'admin.lua:'
		kill -s QUIT "$server"
	fi
	neap connect admin.sock -e 'kill fiber 1 worker 0' -e 'show version' > killed.out &
	killing=$!
	ask 'show metrics'
	out_has 'neap_worker_up{worker="0"} 0'
	out_has 'neap_worker_up{worker="1"} 1'
	out_has 'neap_worker_fibers{worker="2"}'
	case $out in *'neap_worker_fibers{worker="0"}'*) fail 'nothing of it' ;; esac
	wait $killing
	grep -q '^     0 does not answer' killed.out || fail "killed: $(cat killed.out)"
	grep -q 'name: neap' killed.out || fail "no more: $(cat killed.out)"
	if [ "${NEAP_SANITIZE:-}" != thread ]; then
		eventually lines '     0 does not answer: fiber' 1
		eventually has_line server.err 'worker 0 (the shared state) is stuck'
		eventually lines 'state: worker 0 (the shared state) of generation 1: fiber' 1
	fi

	# The next generation has its own.
	kill -s HUP "$server"
	eventually has_line server.err 'generation 2 serves'
	eventually answers '"worker":0,"memory":' 'show lua worker 0 json'
	: > door
	wait $stuck
	[ "$(cat stuck.out)" = 'freed 0' ] || fail "not freed: $(cat stuck.out)"
	eventually has_line server.err 'generation 1 has ended'
	end_server
done

printf 'workers: 1\nconsole: [{address: "unix:admin.sock", language: admin}]\n' > server.yaml
serve admin.sock server.yaml
ask 'show workers worker 0' 'show fibers worker 2'
code_is 1
out_has 'error: there is no worker 0, but 1 to 1'
out_has 'error: there is no worker 2, but 1 to 1'
ask 'show lua json' 'show metrics'
case $out in *'"worker":0'* | *'worker="0"'*) fail 'there is none' ;; esac
end_server
