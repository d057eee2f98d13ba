#!/bin/sh
# What fails in a function of one kind of state, in the middle of a request that both
# kinds serve: what its rule says is done, private data stays, the others run, and the
# log has one line, with the state, the place and the whole traceback, and of a limit
# the clock, what was used and what was allowed. And the ways out that are no failure.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

here=$NEAP_SOURCE_DIR/test/functional/mixed

rule() { # PATH RULE
	echo "  - {if: path == '$1', $2}"
}

configuration() {
	cat <<-YAML
	workers: 2
	load: {file: $here/failures.lua, args: [s]}
	load_per_thread: {file: $here/failures.lua, args: [p]}
	limits:
	  memory: 64M
	  action: {burst: 40ms, total: 120ms}
	  fetch: {burst: 50ms, total: 130ms}
	  converter: {burst: 60ms, total: 140ms}
	  service: {burst: 70ms, total: 150ms}
	listeners:
	- address: unix:web.sock
	  rules:
	  - {use-service: lua.s-kept, if: path == /s/first}
	  - {use-service: lua.p-kept, if: path == /p/first}
	  - action: lua.s-keep
	  - action: lua.p-keep
	YAML
	for kind in s p; do
		for name in fail object table spin swallow total hog continue \
			stop err deny abort invalid out end yield; do
			rule /$kind/$name "action: lua.$kind-$name"
			rule /$kind/closed/$name "action: lua.$kind-$name, on_error: deny"
		done
		rule /$kind/done "action: lua.$kind-done"
		rule /$kind/done "action: lua.$kind-fail"
		for name in fail spin swallow total; do
			rule /$kind/fetch/$name \
				"set-var: {txn.y: lua.$kind-$name}"
			rule /$kind/converter/$name \
				"set-var: {txn.y: 'path,lua.$kind-$name'}"
			rule /$kind/service/$name "use-service: lua.$kind-$name"
		done
		for name in cut silent; do
			rule /$kind/service/$name "use-service: lua.$kind-$name"
		done
	done
	cat <<-YAML
	  - {action: lua.s-sleep}
	  - {action: lua.p-sleep}
	  - {return: {body: '%[var(txn.turns)]'}, if: path ends /yield}
	  - {use-service: lua.s-kept, if: path begins /s}
	  - {use-service: lua.p-kept}
	  response_rules:
	  - {action: lua.s-abort, if: path == /s/back/abort}
	  - {action: lua.p-abort, if: path == /p/back/abort}
	  - {action: lua.s-end, if: path == /s/back/end}
	  - {action: lua.p-end, if: path == /p/back/end}
	  - {action: lua.s-deny, if: path == /s/back/deny}
	  - {action: lua.p-deny, if: path == /p/back/deny}
	  - {action: lua.s-fail, if: path == /s/back/fail}
	  - {action: lua.p-fail, if: path == /p/back/fail}
	  - {action: lua.s-tell, if: path begins /s}
	  - {action: lua.p-tell, if: path begins /p}
	YAML
}

configuration > server.yaml
serve web.sock server.yaml
run neap "$here/failures_client.lua"
code_is 0
out_is 'done'
end_server

# No memory, and no other limit that would come first.
configuration | sed -e '/^  [a-z]*: {burst/d' -e 's/64M/24M/' > memory.yaml
sed -i 's/^  memory: .*/&\n  action: {burst: 0, total: 0}/' memory.yaml
serve web.sock memory.yaml
run neap "$here/failures_client.lua" memory
code_is 0
out_is 'done'
end_server
