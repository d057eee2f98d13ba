#!/bin/sh
# What scripts have of `core` without a request, in a configured server: the shared state
# and those of two workers see the same maps and variables, and so do expressions.
#
# test: timeout 60, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > paths.map <<'END'
/map/a first
/map second
END
cat > shared.lua <<'END'
core.register_init(function()
    Map.new('paths.map', Map._beg)
    core.set_var('proc.answer', 42)
end)
core.register_task(function()
    core.get_patref('paths.map'):event_sub({ 'PAT_REF_SET' }, function(event)
        core.set_var('proc.event', event)
    end)
    core.set_var('proc.ready', true)
end)
END
cat > own.lua <<'END'
local map = Map.new('paths.map', Map._beg)
local ok, regex = Regex.new('^/re/([0-9]+)$', true)
assert(ok)
core.register_service('tools', 'http', function(applet)
    local out = core.concat()
    local found, groups = regex:match(applet.path)
    if applet.path == '/set' then
        assert(core.get_patref('paths.map'):set('/map', 'changed'))
    end
    local keys = core.queue()
    for key in pairs(core.get_patref('paths.map')) do keys:push(key) end
    out:add(('%s %s %d '):format(found, found and groups[2] or '-', keys:size()))
    out:add(('%s %s %s\n'):format(core.get_var('proc.answer'),
        map:slookup('/map/x'), core.get_var('proc.event') or '-'))
    applet:set_status(200)
    applet:start_response()
    applet:send(out:dump())
end)
END
cat > server.yaml <<'END'
workers: 2
load: shared.lua
load_per_thread: own.lua
listeners:
  - name: web
    address: unix:web.sock
    protocol: http
    rules:
      - return: {status: 200, body: "%[path,map_beg(paths.map,none)]"}
        if: '{ path -m beg /map }'
      - return: {status: 200, body: "%[var(proc.ready)]"}
        if: '{ path /ready }'
      - use-service: lua.tools
END

get() {
	curl -s --max-time 10 --unix-socket web.sock "http://x$1" || true
}

has() { # PATH TEXT
	[ "$(get "$1")" = "$2" ]
}

line='neap server.yaml'
"$NEAP_BIN" server.yaml 2> log &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually has /map/ab first
eventually has /map second
eventually has /re/12 'true 12 2 42 second -'
eventually has /re/x 'false - 2 42 second -'
case $(get /set) in
'false - 2 42 changed '*) ;;
*) fail 'the change is not seen by who made it' ;;
esac
eventually has / 'false - 2 42 changed PAT_REF_SET'
has /map changed || fail "no change seen: $(get /map)"
kill -s TERM "$server"
code=0
wait "$server" || code=$?
trap - EXIT
[ "$code" = 0 ] || fail "ended with $code: $(cat log)"
