#!/bin/sh
# What the console tells of the process of a configured server: its environment as it is now,
# where each setting came from, and its age, which a reload does not change.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > app.lua <<'END'
os.setenv('OF_THE_SCRIPT', 'there')
os.setenv('TAKEN_AWAY', nil)
END
cat > server.yaml <<END
workers: 1
load: app.lua
log: {level: warn}
console: {address: 'unix:$TMPDIR/c', language: admin, level: admin}
listeners:
- {address: 'unix:$TMPDIR/s', rules: [{return: 200}]}
END
out_has_not() { case $out in *"$1"*) fail "without '$1'" ;; esac; }
ask() { run "$NEAP_BIN" connect "$TMPDIR/c" -e "$1"; code_is 0; }
export TAKEN_AWAY=1 OF_THE_SHELL=there
serve "$TMPDIR/s" --drain-timeout 7 server.yaml
ask 'show env json'
out_has '"OF_THE_SHELL=there"'
out_has '"OF_THE_SCRIPT=there"'
out_has_not '""'
out_has_not TAKEN_AWAY
ask 'show env OF_THE_SCRIPT'
out_has 'OF_THE_SCRIPT=there'
out_has_not OF_THE_SHELL

ask 'show config json'
for origin in 'log.level.*"origin":"file"' 'drain.timeout.*"origin":"flag"' \
	'fiber.slice.*"origin":"default"'; do
	echo "$out" | tr '{' '\n' | grep -q "\"$origin" || fail "$origin wanted"
done

uptime() { ask 'show info json'; echo "$out" | sed 's/.*"uptime":\([0-9.]*\).*/\1/'; }
sleep 1.2
before=$(uptime)
ask reload
ask 'wait 0.1'
after=$(uptime)
"$NEAP_BIN" -e "os.exit($after > $before and $before > 1 and 0 or 1)" ||
	fail "uptime $before, then $after"
end_server
