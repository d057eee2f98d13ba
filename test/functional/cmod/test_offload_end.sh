#!/bin/sh
# Offloaded calls and the end of the process: it waits for them a while, names
# those that do not end, and leaves. The queue that is full; crashes.
#
# test: timeout 120
set -u

failed=0
calls=$NEAP_TEST_CMOD_DIR/calls
module=$NEAP_TEST_CMOD_DIR/offload
file=$(realpath "$module.so")

fail() {
	echo "$1"
	cat out
	failed=1
}

# ends NAME EXIT-CODE SECONDS LUA: with a cancel.timeout of that many.
ends() {
	NEAP_CHECK_LEAKS=1 NEAP_CANCEL_TIMEOUT=$3 timeout 60 "$NEAP_BIN" -e "
		local cmod, fiber = require('cmod'), require('fiber')
		local m, calls = cmod.load('$module'), cmod.load('$calls')
		local function call(m, name, ...)
			local f = m:load(name, {offload = true})
			return fiber.create(function(...) f(...) end, ...)
		end
		local function wait_inside(n)
			local inside = m:load('count_inside')
			repeat fiber.sleep(0.001)
			until select(2, inside()) == n
		end
		local function wait_for_file(path)
			repeat fiber.sleep(0.001) until io.open(path)
		end
		$4" > out 2>&1
	code=$?
	[ "$code" = "$2" ] || fail "$1: exit code $code, wanted $2"
}

said() {
	grep -q "$1" out || fail "nothing said of '$1':"
}

silent() {
	if grep -q "does not end" out; then fail "$1: something is said:"; fi
}

ends "waits that are told" 0 30 "call(m, 'sleep_on') call(m, 'yield_on')
	call(m, 'poll_on') call(calls, 'nap', 20000) fiber.sleep(0.05) os.exit(0)"
silent "waits that are told"
ends "calls in the queue" 0 30 "for i = 1, 500 do call(m, 'sleep_on') end
	fiber.sleep(0.05) os.exit(0)"
silent "calls in the queue"
ends "one that ends soon" 0 30 "call(m, 'gate') wait_inside(1)
	require('neap').on_shutdown(function() m:load('open_gate')() end)
	os.exit(0)"
silent "one that ends soon"
ends "the end by itself" 0 30 "call(calls, 'nap', 30)"
silent "the end by itself"
ends "an abandoned call does not keep the loop" 0 0.1 "
	local x = call(m, 'hang') wait_inside(1) x:cancel()"
said "C function 'hang' of module '$file' does not end: the process leaves \
it after 0.1 s"

# The same for work of a call, which has the call's stack meanwhile.
coio=$NEAP_TEST_CMOD_DIR/peer_coio
coio_file=$(realpath "$coio.so")
work="local m = cmod.load('$coio')
	local function work(name, ...)
		return fiber.create(function(...) m:load(name)(...) end, ...)
	end"
ends "work that ends soon" 0 30 "$work work('call_long', 300)
	fiber.sleep(0.01) os.exit(0)"
silent "work that ends soon"
ends "work that waits for a thread" 0 30 "$work
	for i = 1, 100 do work('call_long', 20) end
	fiber.sleep(0.01) os.exit(0)"
silent "work that waits for a thread"
ends "work that fails once its call was given up" 0 1 "$work
	work('call_fail_late', 1500) fiber.sleep(0.01) os.exit(0)"
ends "work that does not end" 0 0.1 "$work work('call_gate')
	local entered = m:load('count_entered')
	repeat fiber.sleep(0.001) until select(2, entered()) == 1
	os.exit(0)"
said "work of C function 'call_gate' of module '$coio_file' does not end: \
the process leaves it after 0.1 s"

# Its destructors must not run under it: the module's would say so.
cat > loud.c << 'END'
#include <neap/module.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
static void say(const char *text) { write(1, text, 4); }
static void at_exit(void) { say("bye\n"); }
__attribute__((destructor)) static void down(void) { say("bye\n"); }
__attribute__((constructor)) static void up(void) { atexit(at_exit); }
int hang(neap_call_t *c, const char *a, const char *e)
{ close(creat("hangs", 0600)); for (;;) pause(); }
int fine(neap_call_t *c, const char *a, const char *e)
{ return 0; }
END
$CC -shared -fPIC -w -I"$NEAP_SOURCE_DIR/src/include" -o loud.so loud.c || exit 1
ends "exit code and output" 7 0.1 "call(cmod.load('./loud'), 'hang')
	wait_for_file('hangs') io.write('all of it') os.exit(7)"
said "C function 'hang' of module '.*loud.so' does not end"
said "all of it"
if grep -q "bye" out; then fail "destructors ran under a call:"; fi
ends "otherwise they run" 0 30 "cmod.load('./loud'):load('fine',
	{offload = true})() os.exit(0)"
said "bye"
ends "a hundred hang, few are threads" 0 0.2 "for i = 1, 100 do
	call(m, 'hang') end wait_inside(16) os.exit(0)"
[ "$(grep -c "does not end" out)" = 16 ] || fail "not all 16 are named:"

# What holds a stream for ever must not hold up the end.
cat > reads.c << 'END'
#include <neap/module.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int hold(neap_call_t *c, const char *a, const char *e)
{ flockfile(stdout); close(creat("holds", 0600)); for (;;) pause(); }
END
$CC -shared -fPIC -w -I"$NEAP_SOURCE_DIR/src/include" -o reads.so reads.c ||
	exit 1
# (The thread sanitizer flushes all streams itself.)
if [ "${NEAP_SANITIZE:-}" != thread ]; then
	ends "a stream that is held" 0 0.1 "call(cmod.load('./reads'), 'hold')
		wait_for_file('holds') os.exit(0)"
	said "C function 'hold' of module '.*reads.so' does not end"
fi

# SIGTERM while one hangs
NEAP_CANCEL_TIMEOUT=0.2 "$NEAP_BIN" -e "
	local fiber, m = require('fiber'), require('cmod').load('$module')
	local inside = m:load('count_inside')
	fiber.create(function()
		repeat fiber.sleep(0.001) until select(2, inside()) == 1
		io.stderr:write('ready\n')
	end)
	m:load('hang', {offload = true})()" > out 2>&1 &
pid=$!
while ! grep -q ready out; do sleep 0.05; done
kill -TERM $pid
wait $pid
code=$?
# The script was told, and ended well.
[ "$code" = 0 ] || fail "SIGTERM: exit code $code, wanted 0"
said "C function 'hang'"

# The queue
NEAP_OFFLOAD_THREADS=2 NEAP_OFFLOAD_QUEUE=3 timeout 60 "$NEAP_BIN" -e "
	local fiber = require('fiber')
	local m = require('cmod').load('$module')
	local gate = m:load('gate', {offload = true})
	local fibers, done = {}, 0
	local function start(i)
		fibers[i] = fiber.new(function()
			if gate() then done = done + 1 end
		end)
		fibers[i]:set_joinable(true)
	end
	for i = 1, 5 do start(i) end
	fiber.sleep(0)
	fiber.sleep(0)
	local ok, err = gate()
	print(ok, err.type, err)
	fibers[5]:cancel()
	fiber.sleep(0)
	start(6)
	fiber.sleep(0.01)
	m:load('open_gate')()
	for i = 1, 6 do fibers[i]:join() end
	print('done ' .. done)
	print(gate())" > out 2>&1 || fail "queue: exit code $?"
said "^nil	ClientError	cannot offload a call of 'gate': all 2 threads are \
at work and 3 calls wait for one (offload.threads, offload.queue)$"
said "^done 5$" # one was cancelled, and made room for the sixth
said "^true	table"
NEAP_OFFLOAD_THREADS=2 NEAP_OFFLOAD_QUEUE=3 timeout 60 "$NEAP_BIN" -e "
	local fiber = require('fiber')
	local m = require('cmod').load('$coio')
	local gate, entered = m:load('call_gate'), m:load('count_entered')
	local fibers, done = {}, 0
	for i = 1, 5 do
		fibers[i] = fiber.new(function()
			local ok, n = gate()
			if ok and n == 5 then done = done + 1 end
		end)
		fibers[i]:set_joinable(true)
	end
	repeat fiber.sleep(0.001) until select(2, entered()) == 2
	local ok, err = gate()
	print(ok, err.type, err)
	m:load('open_gate')()
	for i = 1, 5 do fibers[i]:join() end
	print('done ' .. done)
	print(gate())" > out 2>&1 || fail "queue of work: exit code $?"
said "^nil	ClientError	no thread for the work of 'call_gate': all 2 threads \
are at work and 3 calls wait for one (offload.threads, offload.queue)$"
said "^done 5$"
said "^true	5$"
for bad in 0 -1 1.5 1025 many 99999999999; do
	NEAP_OFFLOAD_THREADS=$bad "$NEAP_BIN" -e 0 > out 2>&1 &&
		fail "offload.threads = $bad: taken"
	said "NEAP_OFFLOAD_THREADS: '$bad' is not a whole number from 1 to 1024"
done

# Crashes
if [ -n "${NEAP_SANITIZE:-}" ]; then exit $failed; fi
ulimit -c 0
crash() {
	"$NEAP_BIN" -e "require('cmod').load('$calls')
		:load('$1', {offload = true})()" > out 2>&1
	code=$?
	[ "$code" = "$2" ] || fail "$1: exit code $code, wanted $2"
	said "$3"
}
file=$(realpath "$calls.so")
crash overflow 139 "^neap: SIGSEGV at address 0x[0-9a-f]* (stack overflow) \
in C function 'overflow' of module '$file'$"
crash null_write 139 "^neap: SIGSEGV at address 0x8 in C function \
'null_write' of module '$file'$"
"$NEAP_BIN" -e "require('cmod').load('$coio'):load('call_overflow')()" > out 2>&1
[ $? = 139 ] || fail "overflow in work on a thread"
said "^neap: SIGSEGV at address 0x[0-9a-f]*"
crash die 134 "^neap: SIGABRT in C function 'die' of module '$file'$"
exit $failed
