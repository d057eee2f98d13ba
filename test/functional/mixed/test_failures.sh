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

# What may happen behind what keeps private data, for one kind.
failures() { # KIND
	kind=$1
	for name in fail object table spin swallow total hog continue \
		stop err deny abort invalid out end yield; do
		rule /$kind/$name "action: lua.$kind-$name"
		rule /$kind/closed/$name "action: lua.$kind-$name, on_error: deny"
	done
	rule /$kind/done "action: lua.$kind-done"
	rule /$kind/done "action: lua.$kind-fail"
	for name in fail spin swallow total; do
		rule /$kind/fetch/$name "set-var: {txn.y: lua.$kind-$name}"
		rule /$kind/converter/$name "set-var: {txn.y: 'path,lua.$kind-$name'}"
		rule /$kind/service/$name "use-service: lua.$kind-$name"
	done
	for name in cut silent; do
		rule /$kind/service/$name "use-service: lua.$kind-$name"
	done
}

answers() { # KIND..
	echo '  response_rules:'
	for kind; do
		for name in abort end deny fail; do
			rule /$kind/back/$name "action: lua.$kind-$name"
		done
	done
	for kind; do echo "  - {action: lua.$kind-tell, if: path begins /$kind}"; done
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
	failures s
	failures p
	cat <<-YAML
	  - {action: lua.s-sleep}
	  - {action: lua.p-sleep}
	  - {return: {body: '%[var(txn.turns)]'}, if: path ends /yield}
	  - {use-service: lua.s-kept, if: path begins /s}
	  - {use-service: lua.p-kept}
	YAML
	answers s p
	# Of the shared state alone: they go there together.
	cat <<-YAML
	- address: unix:together.sock
	  rules:
	  - {use-service: lua.s-kept, if: path == /s/first}
	  - action: lua.s-keep
	YAML
	failures s
	cat <<-YAML
	  - {action: lua.s-sleep}
	  - {return: {body: '%[var(txn.turns)]'}, if: path ends /yield}
	  - {use-service: lua.s-kept}
	YAML
	answers s
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
