#!/bin/sh
# Reloads that are asked for by `neap reload`, in consoles of both languages and by a
# signal: who asks hears what has come of it.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/functional/workers/rig.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS NEAP_PASSWORD
here=$PWD

configuration() { # VERSION
	cat > server.yaml <<END
workers: 2
load_per_thread: {file: app.lua, args: ['$1']}
console:
- {address: 'unix:low', language: admin, level: operator}
- {address: 'unix:admin', language: admin, level: admin}
- unix:lua
listeners:
- {address: 'unix:s', rules: [{use-service: lua.version}]}
- {address: 'unix:busy', rules: [{use-service: lua.busy}]}
END
}
cat > app.lua <<'END'
local version = ...
local ffi = require('ffi')
ffi.cdef('int usleep(unsigned us);')
core.register_service('version', 'http', function(applet)
	applet:start_response()
	applet:send(version)
end)
-- Nothing else of its worker goes on meanwhile.
core.register_service('busy', 'http', function(applet)
	io.open('begun', 'w'):close()
	ffi.C.usleep(1000000)
	io.open('done', 'w'):close()
	applet:start_response()
end)
core.register_init(function()
	if version == 'broken' then error('this one cannot start') end
end)
core.register_task(function()
	core.event_sub({ 'WORKER_STOP' }, function(_, data)
		if core.thread == data.worker and data.reason == 'reload' then
			core.Info('the task of ' .. version .. ' was told')
		end
	end)
end)
END
configuration 1
"$NEAP_BIN" server.yaml > server.out 2> server.err &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT

answers() { # VERSION
	run neap -e "local r = require('http.client').get('http://localhost/',
		{ unix_socket = 's' }) print(r and r.body) os.exit(0)"
	[ "$out" = "$1
" ]
}
# The consoles open last; while one server ends both have them.
eventually sh -c '[ -e lua ] && [ -e s ]'
eventually answers 1

configuration 2
run neap reload server.yaml
code_is 0
out_is 'generation 2 serves'
answers 2 || fail 'the answer came too early'

# A worker that is busy may still accept: it is waited for.
rm -f begun done
"$NEAP_BIN" -e "require('http.client').get('http://localhost/', { unix_socket = 'busy' }) os.exit(0)" &
eventually [ -e begun ]
run neap reload server.yaml
code_is 0
[ -e done ] || fail 'a worker of the generation before could still accept'
wait $!
eventually has_line server.err 'the task of 1 was told'

# What cannot be: the file, where the way to the server stands; a script.
echo 'workers: [' > server.yaml
run neap reload server.yaml
code_is 1
err_has 'server.yaml:2:1: did not find expected node content'
run neap reload admin
code_is 1
err_has 'server.yaml:2:1: did not find expected node content'
configuration broken
run neap reload "$here/admin"
code_is 1
err_has 'this one cannot start'
run neap reload lua
code_is 1
err_has 'app.lua:16: this one'
answers 2 || fail 'something has changed'
run neap connect admin -e 'show info json'
out_has '"tainted":true,"taints":"reload_failed"'

# In the consoles, for who may.
configuration 3
run neap connect lua -e '\reload'
code_is 0
out_has 'generation: '
answers 3 || fail 'the answer came too early'
configuration 4
run neap connect admin -e reload
code_is 0
answers 4 || fail 'the answer came too early'
run neap connect low -e reload
code_is 1
answers 4 || fail 'somebody who may not has done it'

# Several who ask at once.
configuration 5
for i in 1 2 3 4; do
	"$NEAP_BIN" reload admin > said.$i 2>&1 &
	eval "asks_$i=$!"
done
for i in 1 2 3 4; do
	code=0
	eval wait "\$asks_$i" || code=$?
	[ $code = 0 ] || fail "one of several: $(cat said.$i)"
done
answers 5 || fail 'the answer came too early'

configuration 6
run neap reload --pid $server
code_is 0
out_has 'generation '
answers 6 || fail 'the answer came too early'
configuration broken
run neap reload --pid $server
code_is 1
err_has 'this one cannot start'
# Without a console that may, by a signal.
configuration 7
sed -i '/console:/,/unix:lua/d' server.yaml
run neap reload --pid $server
code_is 0
out_is "process $server has been told; its log says what comes of it"
eventually answers 7

kill -s TERM $server
finish
code_is 0

# Where there is nothing to be reloaded, and wrong words.
cat > script.lua <<'END'
require('console').listen('plain')
END
"$NEAP_BIN" script.lua > server.out 2> server.err &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually [ -e plain ]
run neap reload plain
code_is 1
err_has 'no configuration is served'
kill -s TERM $server
finish
run neap reload nowhere
code_is 3
run neap reload
code_is 2
run neap reload --pid x
code_is 2
run neap reload --pid 999999999
code_is 1
printf 'listeners: []\n' > none.yaml
run neap reload none.yaml
code_is 2
err_has 'has no console that may'
