#!/bin/sh
# `neap server.yaml`: its scripts with their arguments, settings, paths, the end.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

file() {
	cat > "$1"
}

has_mode() {
	[ "$(stat -c %a "$1")" = "$2" ]
}

# Scripts: arguments, `arg`, the order; files are found beside the configuration.
mkdir -p conf/lib
file conf/a.lua <<'END'
print('a', #{...}, select(2, ...), arg[0]:match('[^/]+$'), arg[1])
END
file conf/b.lua <<'END'
print('b', require('mod'), require('helper'), select('#', ...))
END
echo 'return "the module"' > conf/lib/mod.lua
echo 'return "the helper"' > conf/helper.lua
file conf/server.yaml <<'END'
workers: 2
load: [{file: a.lua, args: [1, two]}, a.lua]
load_per_thread: [b.lua, {file: a.lua, args: [x, 'y']}]
paths: {lua: lib/?.lua}
END
run neap conf/server.yaml
code_is 0
err_is ''
[ "$(printf '%s' "$out" | sort | uniq -c | sed 's/^ *//' | tr '\t' ' ')" = \
"1 a 0 nil a.lua nil
1 a 2 two a.lua 1
2 a 2 y a.lua x
2 b the module the helper 0" ] || fail 'not these lines'

# Behind the scripts `arg` is the configuration's; more steps may be given.
run neap -e 'print(arg[0], arg[1])' --load-per-thread conf/helper.lua \
	--workers 1 conf/server.yaml
code_is 0
out_has 'conf/server.yaml	nil
'

# Settings reach who has them.
file s.yaml <<'END'
workers: 2
load: s.lua
load_per_thread: s.lua
limits:
  memory: 64M
  action: {total: 2500ms}
  task: {burst: 3s}
log: {level: error, file: s.log, format: json}
END
file s.lua <<'END'
local fiber, log = require('fiber'), require('log')
local a, t = fiber.limits('action'), fiber.limits('task')
print(require('neap').memory().limit, a.burst, a.total, t.burst, t.total)
log.warn('not this')
log.error('this')
END
run neap s.yaml
code_is 0
out_is '67108864	1	2.5	3	0' '67108864	1	2.5	3	0' \
	'67108864	1	2.5	3	0'
[ "$(grep -c '"this"' s.log)" = 3 ] || fail "three lines wanted: $(cat s.log)"
! grep -q 'not this' s.log || fail 'one level wanted'

# What scripts log may be left out; what the server does is not.
file q.yaml <<'END'
load_per_thread: q.lua
log: {scripts: false}
END
file q.lua <<'END'
require('log').error('a script')
pcall(require('log').error, 'a script')
core.Alert('a script')
require('fiber').new(function() error('uncaught') end)
END
run neap q.yaml
code_is 0
err_has uncaught
err_has_not 'a script'
run neap q.lua
err_counts 'E> a script' 2

# Unless said otherwise groups have the limits that they have without.
echo 'load_per_thread: d.lua' > d.yaml
file d.lua <<'END'
for _, group in ipairs({'main', 'action', 'fetch', 'converter', 'filter',
		'command', 'service', 'task'}) do
	local l = require('fiber').limits(group)
	print(group, l.burst, l.total)
end
END
run neap d.lua
plain=$out
run neap d.yaml
code_is 0
[ "$out" = "$plain" ] || fail "as without a configuration wanted: $plain"

# Every option of a listener is one that the server takes; a secret from a file.
openssl req -x509 -newkey rsa:2048 -keyout key.pem -out cert.pem -days 2 \
	-subj /CN=localhost -passout pass:longsecret 2> /dev/null
echo longsecret > secret
file o.yaml <<'END'
load_per_thread: o.lua
listeners:
- address: unix:o.sock
  name: o
  proxy_protocol: false
  tls: {cert_file: cert.pem, key_file: key.pem, key_password_file: secret,
    verify: none, min_version: TLSv1.2, max_version: TLSv1.3, tickets: true,
    session_cache: true, alpn: http/1.1, handshake_timeout: 5s}
  options: {max_header_size: 8K, max_uri_size: 4K, max_body_size: 1M,
    max_connections: 10, max_requests: 5, max_streams: 3, http2: false,
    idle_timeout: 9s, header_timeout: 8s, body_timeout: 7s, send_timeout: 6s,
    backlog: 5, charset: utf-8, display_errors: true, log_requests: false,
    compress: true}
  rules: [return: {status: 201}]
END
file o.lua <<'END'
require('fiber').create(function()
	while not io.open('o.sock.done') do
		local r = require('http.client').get('https://localhost/',
			{unix_socket = 'o.sock', ca_file = 'cert.pem', verify_host = false})
		if r.status == 201 then
			print(r.status)
			os.exit(0)
		end
		require('fiber').sleep(0.02)
	end
end)
END
run neap o.yaml
code_is 0
out_is 201
err_is ''

# The configuration as each state sees it, with places.
file p.yaml <<'END'
workers: 2
load: &s
- {file: p.lua, args: [a, 'b']}
load_per_thread: *s
listeners:
- address: ':0'
  rules:
  - return: {status: 200}
    if: path == /
END
file p.lua <<'END'
local config = require('neap.config')
local t, place = config.tree(), config.place
assert(config.tree() == t and t.workers == 2 and t.drain_timeout == 30)
assert(t.load[1].args[2] == 'b' and t.load[1].file:sub(1, 1) == '/')
assert(place(t) == 'p.yaml:1:1' and place(t, 'workers') == 'p.yaml:1:10')
assert(place(t.load[1].args) == 'p.yaml:3:23' and place(t.load[1].args, 2) == 'p.yaml:3:27')
local rule = t.listeners[1].rules[1]
assert(place(rule) == 'p.yaml:8:5' and place(rule, 'if') == 'p.yaml:9:9')
assert(place(rule['return'], 'status') == 'p.yaml:8:22')
assert(place(rule, 'nothing') == 'p.yaml:8:5' and place(t, 'log') == 'p.yaml:1:1')
assert(place(t.log, 'level') == 'NEAP_LOG_LEVEL')
assert(not pcall(place, {}) and not pcall(place, nil))
END
run env NEAP_LOG_LEVEL=error "$NEAP_BIN" check p.yaml
code_is 0
out_is 'p.yaml: OK'
run neap -e 'print(require("neap.config").tree())'
out_is nil

# Consoles.
file c.yaml <<'END'
workers: 2
console:
- unix:lua.sock
- {address: 'unix:admin.sock', language: admin, level: user, mode: '0640'}
END
"$NEAP_BIN" c.yaml &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually test -S admin.sock
eventually test -S lua.sock
has_mode lua.sock 600 || fail 'mode 0600 wanted'
eventually has_mode admin.sock 640
run neap connect -e 'return require("neap").worker.count' lua.sock
code_is 0
out_has '2'
kill -s TERM "$server"
wait "$server" || code=$?
trap - EXIT
code_is 0
echo 'console: unix:/nosuch/x' > c.yaml
run neap c.yaml
code_is 1
err_has 'c.yaml:1:10: console: '

# It ends when nothing is alive, or when told.
file t.lua <<'END'
require('neap.states').task(function()
	io.open('begun', 'w'):close()
	require('fiber').sleep(1000)
end)
END
echo 'load: t.lua' > t.yaml
"$NEAP_BIN" t.yaml &
server=$!
eventually test -e begun
kill -s TERM $server
code=0
wait $server || code=$?
code_is 0
