#!/bin/sh
# Answers of any size, by services, replies and filters, of both kinds of state: whole, and
# nothing in the log. With NEAP_SOAK services send a GiB, too.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > large.lua <<'END'
local kind = ...
core.register_service(kind .. '-at-once', 'http', function(applet)
	applet:start_response()
	applet:send(('x'):rep(tonumber(applet.qs)))
end)
core.register_service(kind .. '-pieces', 'http', function(applet)
	local left, piece = tonumber(applet.qs), ('y'):rep(65536)
	applet:set_status(201)
	applet:add_header('x-kind', kind)
	applet:start_response()
	while left > 0 do
		left = left - applet:send(piece:sub(1, left))
	end
end)
-- Many pieces, which are held.
core.register_service(kind .. '-small', 'http', function(applet)
	applet:start_response()
	for i = 1, tonumber(applet.qs) do
		applet:send(i % 7 == 0 and '' or string.char(97 + i % 26))
	end
end)
-- It has waited before it is too much to be held.
core.register_service(kind .. '-waited', 'http', function(applet)
	applet:start_response()
	applet:send('z')
	core.msleep(1)
	applet:send(('z'):rep(tonumber(applet.qs) - 1))
end)
core.register_action(kind .. '-reply', { 'http-req' }, function(txn)
	txn:done({ status = 202, body = ('r'):rep(tonumber(txn.sf:query())) })
end)
core.register_service(kind .. '-body', 'http', function(applet)
	local text = applet:receive(applet.qs == 'some' and 80000000 or nil)
	applet:start_response()
	applet:send(#text .. '\n')
end)
local F = {}
F.__index = F
function F:new() return setmetatable({}, F) end
function F:start_analyze(_, channel) filter.register_data_filter(self, channel) end
core.register_filter(kind .. '-filter', F)
END
for kind in s p; do
	cat <<END
- address: unix:$kind.sock
  options: {max_body_size: 100M}
  rules:
  - {filter: lua.$kind-filter, if: path begins /f}
  - {use-service: lua.$kind-at-once, if: path ends /at-once}
  - {use-service: lua.$kind-pieces, if: path ends /pieces}
  - {use-service: lua.$kind-waited, if: path ends /waited}
  - {use-service: lua.$kind-small, if: path ends /small}
  - {use-service: lua.$kind-body, if: path == /body}
  - {action: lua.$kind-reply, on_error: deny}
END
done > listeners
cat - listeners > server.yaml <<'END'
load: {file: large.lua, args: [s]}
load_per_thread: {file: large.lua, args: [p]}
limits: {stall: 0, service: {burst: 0, total: 0}, action: {burst: 0, total: 0}}
listeners:
END
serve p.sock server.yaml

# get SOCKET PATH SIZE CODE
get() {
	run curl -s -S -m 60 -o /dev/null -w '%{http_code} %{size_download}\n' \
		--unix-socket "$1" "http://h$2?$3"
	code_is 0
	out_is "$4 $3"
}
for sock in s.sock p.sock; do
	for size in 65536 65537 3000000; do
		for at in '' /f; do
			get $sock $at/at-once $size 200
			get $sock $at/pieces $size 201
			get $sock $at/waited $size 200
		done
		get $sock /reply $size 202
	done
	for count in 999 70000; do
		run curl -s -S -m 60 -o got --unix-socket $sock "http://h/small?$count"
		"$NEAP_BIN" -e "for i = 1, $count do
			io.write(i % 7 == 0 and '' or string.char(97 + i % 26)) end" > want
		cmp got want || fail "$count small pieces"
	done
	# More than a message between states has.
	get $sock /reply 70000000 202
	get $sock /at-once 70000000 200
	head -c 70000000 /dev/zero > body
	for at in all some; do
		run curl -s -S -m 60 -T body --unix-socket $sock "http://h/body?$at"
		out_is 70000000
	done
done
if [ -n "${NEAP_SOAK:-}" ]; then
	for sock in s.sock p.sock; do
		get $sock /pieces 1073741824 201
		get $sock /f/pieces 1073741824 201
	done

fi
end_server
run grep -v 'no new work' server.err
[ -z "$out" ] || fail 'errors'
