#!/bin/sh
# Generations that do not end, for they are stuck in C code: no more than so many are kept,
# what serves serves on, and who reloads hears of it; when they end there is room again.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

most=16

configuration() { # VERSION
	cat > server.yaml <<END
workers: 2
drain_timeout: 0.2s
cancel_timeout: 0.1s
load_per_thread: {file: app.lua, args: ['$1']}
console: [{address: 'unix:admin', language: admin, level: admin}]
listeners:
  - {address: 'unix:s', rules: [{return: {body: '$1'}}]}
END
}
# Whoever opens the pipe waits in C until somebody writes there. In every other generation
# it is the worker that has the generation's thread, else one beside it.
cat > app.lua <<'END'
local version = ...
local ffi = require('ffi')
ffi.cdef('int open(const char *, int); int close(int);')
require('neap').on_shutdown(function()
	if io.open('stuck') and core.thread == 1 + version % 2 then
		ffi.C.close(ffi.C.open('pipe', 0))
	end
end)
END
mkfifo pipe
answers() { # VERSION
	run neap -e "local r = require('http.client').get('http://a/', { unix_socket = 's' })
		print(r and r.body) os.exit(0)"
	[ "$out" = "$1
" ]
}
reload() { # CODE
	run neap reload admin
	code_is "$1"
}
threads() {
	find "/proc/$server/task" -mindepth 1 -maxdepth 1 | wc -l
}

configuration 1
serve s server.yaml
eventually [ -S admin ]
touch stuck
for i in $(seq 2 $((most + 1))); do
	configuration "$i"
	reload 0
done
before=$(threads)
for i in 1 2 3; do
	configuration 50
	reload 1
	err_has "$most generations have not ended yet, which is the most there can be"
	err_has 'the oldest is 1, which was asked to end '
	answers $((most + 1)) || fail 'another version'
done
# The thread sanitizer keeps back the signal that asks who is in C.
if [ "${NEAP_SANITIZE:-}" != thread ]; then
	eventually has_line server.err 'state: worker 2 of generation 1: fiber'
	has_line server.err 'called at app.lua:6' || fail "not told where: $(cat server.err)"
fi
[ "$(threads)" -le "$before" ] || fail "threads: $before, then $(threads)"

# They come out of it.
rm stuck
cat > release.sh <<'END'
while :; do : > pipe; done
END
sh release.sh &
release=$!
trap 'kill -s KILL $release $server 2> /dev/null || true' EXIT
for i in $(seq 1 $most); do
	eventually has_line server.err "generation $i has ended"
done
kill -s KILL $release
trap '[ -z "$server" ] || kill -s KILL "$server" 2> /dev/null || :' EXIT
configuration 51
reload 0
answers 51 || fail 'another version'

# The process does not wait for who is stuck.
touch stuck
configuration 52
reload 0
eventually has_line server.err 'worker 2 of generation 18 does not end: it is left behind'
rm stuck
kill -s TERM "$server"
wait "$server" || fail "ended with $?"
server=
if grep -q 'leak\|left open' server.err; then fail "$(cat server.err)"; fi
