#!/bin/sh
# SIGINT and SIGTERM at every moment of a program's life.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# The thread sanitizer keeps signals back while Lua computes.
if [ "${NEAP_SANITIZE:-}" = thread ]; then exit 77; fi

# A shell ignores SIGINT for what it starts in the background, and so would
# the program if it were sh's wish; ours takes it all the same.
start() {
	line="$*"
	rm -f ready
	"$NEAP_BIN" "$@" > out.txt 2> err.txt &
	pid=$!
	eventually test -e ready
}

ends_with() {
	code=0
	wait $pid || code=$?
	out=$(cat out.txt; echo .)
	out=${out%.}
	err=$(cat err.txt)
	[ "$code" = "$1" ] || fail "code $1 wanted"
}

# Two that wait together are not told in the order in which they came.
none_pending() {
	! cat /proc/$pid/task/*/status | grep Pnd: | cut -f 2 | grep -q '[1-9a-f]'
}

# Told at once: a file of ours is opened by a wait, which the signal may end.
ready='do local c = require("ffi") c.cdef("int creat(const char *, int); int close(int);")
	c.C.close(c.C.creat("ready", 384)) end'

# The script itself at work: it is cancelled, cleans up, and the code says so.
for signal in INT:130 TERM:143 HUP:129; do
	start -e "local f = require('fiber') $ready
		local ok, err = pcall(f.sleep, 1000) print(ok, err) error(err, 0)"
	kill -s ${signal%:*} $pid
	ends_with ${signal#*:}
	out_is 'false	fiber is cancelled'
	err_is ''
done

# It may decide otherwise.
start -e "local f = require('fiber') $ready pcall(f.sleep, 1000) print('bye')"
kill -s TERM $pid
ends_with 0
out_is bye
start -e "local f = require('fiber') $ready pcall(f.sleep, 1000) os.exit(3)"
kill -s TERM $pid
ends_with 3
# An error while it cleans up is one.
start -e "local f = require('fiber') $ready pcall(f.sleep, 1000) error('while ending')"
kill -s TERM $pid
ends_with 1
err_has 'while ending'

# The main script is over, others work on: an ordinary end.
start -e "local f = require('fiber')
	f.create(function() pcall(f.sleep, 1000) print('cleaned') end) $ready"
kill -s TERM $pid
ends_with 0
out_is cleaned
err_is ''

# A loop that computes is cancelled as any wait is, also one that catches that.
# (The thread sanitizer holds signals back while compiled code runs.)
under_tsan=no
case ${NEAP_SANITIZE:-} in *thread*) under_tsan=yes ;; esac
if [ $under_tsan = no ]; then
	start -e "$ready while true do end"
	kill -s TERM $pid
	ends_with 143
	start -e "$ready
		while true do pcall(function() while true do end end) end"
	kill -s TERM $pid
	ends_with 143
	err_is ''
fi

# A call that never lets go: the second signal ends it at once.
if [ $under_tsan = no ]; then
	stuck="local ffi = require('ffi')
		ffi.cdef('int pipe(int *); long read(int, void *, size_t);')
		local ends, byte = ffi.new('int[2]'), ffi.new('char[1]')
		ffi.C.pipe(ends)
		$ready
		-- (Told before it is in there, it is not to end by that.)
		while true do
			pcall(function() ffi.C.read(ends[0], byte, 1) end)
		end"
	start -e "$stuck"
	kill -s TERM $pid
	eventually none_pending
	kill -s INT $pid
	ends_with 130
	start -e "$stuck"
	kill -s INT $pid
	eventually none_pending
	kill -s TERM $pid
	ends_with 143
	# The first one has its deadline all the same.
	start --drain-timeout 0 --cancel-timeout 0 -e "$stuck"
	kill -s TERM $pid
	ends_with 1
	err_is 'neap: the end takes too long: the process leaves now'
	start --slice 0 --drain-timeout 0 --cancel-timeout 0 \
		-e "$ready while true do end"
	kill -s TERM $pid
	ends_with 1
fi

# Output that nobody reads is waited for, until a signal comes.
mkfifo unread
exec 5<> unread
line="os.exit() with output that nobody reads"
rm -f ready
"$NEAP_BIN" --cancel-timeout 0.1 -e "local f = require('fiber')
	f.create(function() print(('x'):rep(1e6)) end)
	f.sleep(0.01)
	require('neap').on_shutdown(function() $ready end)
	os.exit(7)" > unread 2> err.txt &
pid=$!
eventually test -e ready
sleep 0.5 # it waits by now
kill -s TERM $pid
ends_with 7
err_has 'output that nobody reads is given up'
exec 5<&-

# Also while hooks take their time.
start -e "local f, n = require('fiber'), require('neap')
	n.on_shutdown(function() io.open('hook', 'w'):close() f.sleep(1000) end)
	$ready f.sleep(1000)"
kill -s TERM $pid
eventually test -e hook
kill -s TERM $pid
ends_with 143

# nohup's wish is kept.
rm -f ready
nohup "$NEAP_BIN" -e "local f = require('fiber') $ready f.sleep(0.5) print('done')" > out.txt 2> err.txt &
pid=$!
eventually test -e ready
kill -s HUP $pid
ends_with 0
out_has 'done'

# Programs that it starts have SIGPIPE as usual: only the number says it.
run neap -e 'os.execute("kill -s PIPE $$; echo not here")'
code_is 0
out_is
exit 0
