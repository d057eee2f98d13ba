#!/bin/sh
# A handler of events that the end has cancelled is the last one: those that wait in the
# queue begin no more, and the end does not wait for them.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > app.lua <<'END'
local begun = 0
core.event_sub({ 'WORKER' }, function()
	begun = begun + 1
	core.Warning('handler ' .. begun .. ' begins')
	core.sleep(1000)
end)
core.register_task(function()
	for i = 1, 5 do require('neap.core_events').publish('WORKER_STUCK', { worker = i }) end
end)
END
cat > server.yaml <<END
workers: 1
load_per_thread: app.lua
listeners:
- {address: 'unix:$TMPDIR/s', rules: [{return: 200}]}
END
serve "$TMPDIR/s" server.yaml
begun() { grep -q 'handler 1 begins' server.err; }
eventually begun
end_server
grep -q 'handler 2' server.err && fail 'another one begins'
grep 'abandoned' server.err && fail 'it was waited for'
true
