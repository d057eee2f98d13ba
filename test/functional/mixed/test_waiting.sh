#!/bin/sh
# Functions of both kinds of state that wait, in the rules of a server: nobody else waits
# for them, clients may go meanwhile, and so may the generation that they are of. Functions
# that compute leave the others their turn; tasks, events and TCP services are there once
# for each state.
#
# test: timeout 150, soak 300, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

here=$NEAP_SOURCE_DIR/test/functional/mixed

configuration() { # WORKERS VERSION
	cat <<-YAML
	workers: $1
	load: {file: $here/waiting.lua, args: [s, '$2']}
	load_per_thread: {file: $here/waiting.lua, args: [p, '$2']}
	limits: {action: {burst: 0, total: 0}}
	listeners:
	- address: unix:web.sock
	  rules:
	  - {use-service: lua.p-dict, if: path begins /dict}
	  - {use-service: lua.p-alive, if: path == /alive}
	  - {action: lua.s-park, if: 'path in (/park/sp, /park/sps)'}
	  - {action: lua.p-park, if: 'path in (/park/ps, /park/psp, /park/sps)'}
	  - {action: lua.s-park, if: path == /park/psp}
	  - {use-service: lua.s-park, if: 'path in (/park/ps, /park/sps)'}
	  - {use-service: lua.p-park, if: 'path in (/park/sp, /park/psp)'}
	  - {action: lua.s-spin, if: path == /spin/s}
	  - {action: lua.p-spin, if: path == /spin/p}
	  - {use-service: lua.s-publish, if: path == /publish/s}
	  - {use-service: lua.p-publish, if: path == /publish/p}
	  - {use-service: lua.s-quick, if: path ends /s}
	  - {use-service: lua.p-quick}
	YAML
	for kind in s p; do
		cat <<-YAML
		- address: unix:together.$kind
		  rules:
		  - {action: lua.$kind-before}
		  - {action: lua.$kind-park}
		  - {action: lua.$kind-after}
		  - {use-service: lua.$kind-quick}
		- address: unix:lines.$kind
		  protocol: tcp
		  rules: [action: lua.s-mark, action: lua.p-mark, action: lua.s-mark, use-service: lua.$kind-lines]
		YAML
	done
}

part() {
	run neap "$here/waiting_client.lua" "$1" $workers
	code_is 0
	err_is ''
	out_is 'done'
}

for workers in 1 3; do
	configuration $workers 1 > server.yaml
	serve web.sock server.yaml
	for what in tasks sleep leave leave_together spin lines events; do part $what; done
	rm -f reload
	(
		eventually test -e reload
		configuration $workers 2 > server.yaml
		kill -s HUP $server
	) &
	part reload
	end_server
	if grep ' [EC]> ' server.err > others; then
		fail "no errors wanted: $(cat others)"
	fi
	rm -f web.sock lines.s lines.p together.s together.p
done
