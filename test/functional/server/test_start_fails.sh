#!/bin/sh
# The first start fails: nobody else could have served those who came meanwhile, so nothing
# is waited for.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

# A script that has a connection to itself, and then fails: as an end it would have its time.
cat > server.yaml <<'END'
workers: 1
drain_timeout: 0.1s
load_per_thread: app.lua
listeners: [{address: 'unix:s', rules: [{return: {status: 200}}]}]
END
cat > app.lua <<'END'
local fiber = require('fiber')
core.register_init(function()
	local seen = fiber.channel(1)
	require('http.server').new('unix/:own', 0, { handler = function()
		seen:put(true)
		fiber.sleep(1e6)
	end }):start()
	local s = require('socket').tcp_connect('unix/', 'own')
	s:write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
	seen:get()
	error('this one cannot start')
end)
END
run neap server.yaml
code_is 1
err_has 'this one cannot start'
err_has_not 'in time'
[ ! -e s ] && [ ! -e own ] || fail 'sockets are left'
