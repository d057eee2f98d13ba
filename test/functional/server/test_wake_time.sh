#!/bin/sh
# act.wake_time() is of the action that says it, however long that waits before it returns,
# and whatever those of other requests say meanwhile; in both kinds of state.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > app.lua <<'END'
local kind = ...
-- It has said when it is to come back, and waits until another one has said so, too.
core.register_action(kind .. '-soon', { 'http-req' }, function(txn)
	if txn:get_var('txn.again') then return end
	txn:set_var('txn.again', true)
	act.wake_time(1)
	core.set_var('proc.waits', true)
	while core.get_var('proc.waits') do core.msleep(1) end
	return act.YIELD
end)
core.register_action(kind .. '-late', { 'http-req' }, function()
	while not core.get_var('proc.waits') do core.msleep(1) end
	act.wake_time(1e8)
	core.set_var('proc.waits', nil)
	core.msleep(50)
end)
-- What one has said is not of the next, which returns act.YIELD without.
core.register_action(kind .. '-says', { 'http-req' }, function() act.wake_time(1e8) end)
core.register_action(kind .. '-yields', { 'http-req' }, function(txn)
	if txn:get_var('txn.again') then return end
	txn:set_var('txn.again', true)
	return act.YIELD
end)
END
{
	cat <<-END
	workers: 1
	load: {file: app.lua, args: [s]}
	load_per_thread: {file: app.lua, args: [p]}
	listeners:
	- address: 'unix:$TMPDIR/s'
	  rules:
	END
	for kind in s p; do
		for name in soon late says; do
			echo "  - {action: lua.$kind-$name, if: path == /$kind-$name}"
		done
		echo "  - {action: lua.$kind-yields, if: path == /$kind-says}"
	done
	printf '%s\n' '  - {return: {body: "done\n"}}'
} > server.yaml
serve "$TMPDIR/s" server.yaml
ask() { curl -s -S -m 60 --unix-socket "$TMPDIR/s" "http://h/$1"; }
for kind in s p; do
	ask $kind-soon > soon &
	asked=$!
	run ask $kind-late
	out_is done
	wait $asked || fail 'it does not come back'
	run cat soon
	out_is done
	run ask $kind-says
	out_is done
done
end_server
