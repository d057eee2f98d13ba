#!/bin/sh
# Console commands that scripts register with core.register_cli(), in both kinds of
# state: their words, payload, levels, errors, limits; one after the other and beside each
# other; and clients that go.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

here=$NEAP_SOURCE_DIR/test/functional/mixed
for workers in 1 3; do
	cat > server.yaml <<-YAML
	workers: $workers
	load: {file: $here/commands.lua, args: [s]}
	load_per_thread: {file: $here/commands.lua, args: [p]}
	limits: {command: {burst: 50ms, total: 1s}}
	console:
	- {address: 'unix:admin.sock', language: admin, level: admin}
	- {address: 'unix:user.sock', language: admin, level: user}
	YAML
	serve admin.sock server.yaml
	eventually listens user.sock
	run neap "$here/commands_client.lua"
	err_is ''
	code_is 0
	out_is 'done'
	end_server
	[ "$(grep -c "a command of the console failed: .*: boom" server.err)" = 2 ] ||
		fail "two errors wanted: $(cat server.err)"
	[ "$(grep -c "in function 'inner'" server.err)" = 2 ] ||
		fail "with their tracebacks: $(cat server.err)"
	rm -f admin.sock user.sock
done

# One that only some workers have is refused, as any other function.
cat > some.lua <<'LUA'
if core.thread ~= 2 then core.register_cli({'a', 'b'}, 'x', function() end) end
LUA
printf 'workers: 3\nload_per_thread: some.lua\n' > some.yaml
run neap some.yaml
code_is 1
err_has "command 'a b' is registered in not every worker: it is missing in 2"
