#!/bin/sh
# What a reload changes of the process as a whole: the log's level, form and file. What was
# set at the console stays unless the configuration says something else now.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > app.lua <<'END'
core.register_service('say', 'http', function(applet)
	core.log(core[applet.qs], 'said ' .. applet.qs)
	applet:start_response()
end)
END
configure() { # LOG
	cat > server.yaml <<-END
	workers: 1
	load_per_thread: app.lua
	log: {$1}
	console: {address: 'unix:$TMPDIR/c', language: admin, level: admin}
	listeners:
	- {address: 'unix:$TMPDIR/s', rules: [{use-service: lua.say}]}
	END
}
ask() { run "$NEAP_BIN" connect "$TMPDIR/c" -e "$1"; code_is 0; }
say() { curl -s -S --unix-socket "$TMPDIR/s" "http://h/?$1"; }
reload() { configure "$1"; ask reload; }
has() { grep -q "$2" "$1" || fail "no '$2' in $1: $(cat "$1")"; }

mkdir third
configure 'level: warn'
serve "$TMPDIR/s" server.yaml
say info
reload 'level: info'
say info
say debug
[ "$(grep -c 'said info' server.err)" = 1 ] || fail 'level: info'
ask 'set log level debug'
reload 'level: info, file: first.log'
say debug
has first.log 'said debug'
reload 'level: warn, file: second.log, format: json'
say info
say warning
has second.log '"said warning"'
reload 'level: warn, file: third'
has second.log 'the log goes on where it was'
say warning
[ "$(grep -c 'said warning' second.log)" = 2 ] || fail 'the log was lost'
grep -q 'said info' second.log && fail 'level: warn'
reload 'level: warn'
say warning
has server.err 'said warning'
end_server
