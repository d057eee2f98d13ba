#!/bin/sh
# Scripts of the shared state and of the workers' own in one request, in any order:
# actions, fetches, converters, a service and actions behind it, some of which wait.
# What comes out is what the order of the rules says, whoever serves it.
#
# test: timeout 120, soak 300, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

here=$NEAP_SOURCE_DIR/test/functional/mixed
count=300
case ${NEAP_SANITIZE:-} in ?*) count=60 ;; esac
if [ -n "${NEAP_SOAK:-}" ]; then count=30000; fi

# Twenty slots; of each request's header the rule of that slot is chosen.
configuration() { # WORKERS
	cat <<-YAML
	workers: $1
	load: {file: $here/steps.lua, args: [s]}
	load_per_thread: {file: $here/steps.lua, args: [p]}
	listeners:
	- name: web
	  address: 127.0.0.1:$port
	  rules:
	  - use-service: lua.s-served
	    if: path == /served/s
	  - use-service: lua.p-served
	    if: path == /served/p
	  - set-var: {txn.sum: int(1)}
	YAML
	for kind in s p; do
		for depth in 0 1 2 7 99; do
			cat <<-YAML
			  - return: {body: '%[lua.$kind-nest($depth)]'}
			    if: req.hdr(x-nest) == $kind$depth and lua.$kind-nest($depth),length > 0
			    on_error: continue
			YAML
		done
	done
	cat <<-YAML
	  - return: {body: none}
	    if: req.hdr(x-nest),length > 0
	YAML
	slot=1
	while [ $slot -le 20 ]; do
		for kind in s p; do
			cat <<-YAML
			  - action: lua.$kind-step
			    args: ['%[req.hdr(x-n$slot)]']
			    if: req.hdr(x-k$slot) == ${kind}a
			  - set-var: {txn.sum: lua.$kind-step($slot)}
			    if: req.hdr(x-k$slot) == ${kind}f
			  - set-var: {txn.sum: 'var(txn.sum),lua.$kind-step($slot)'}
			    if: req.hdr(x-k$slot) == ${kind}c
			YAML
		done
		slot=$((slot + 1))
	done
	cat <<-YAML
	  - use-service: lua.s-end
	    if: req.hdr(x-end) == s
	  - use-service: lua.p-end
	  response_rules:
	  - action: lua.s-res
	  - action: lua.p-res
	YAML
}

for workers in 1 3; do
	port=$(free_port)
	configuration $workers > server.yaml
	serve "$port" server.yaml
	run neap "$here/chains.lua" "$port" $workers $count
	code_is 0
	err_is ''
	out_has ' chains'
	end_server
	# The depth is what errors there are of.
	if grep ' E> ' server.err | grep -v 'calls are 64 deep' > others; then
		fail "no errors wanted: $(cat others)"
	fi
done
