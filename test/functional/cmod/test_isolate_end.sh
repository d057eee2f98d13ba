#!/bin/sh
# Helper processes and the end of the server, by itself, by signals, with a
# function that never returns: none is left, nothing hangs. And a system that
# has no processes, descriptors or memory to give.
#
# test: timeout 180
set -u

failed=0
module=$NEAP_TEST_CMOD_DIR/isolated

fail() {
	echo "$1"
	cat out
	failed=1
}

prelude="
	local cmod, fiber = require('cmod'), require('fiber')
	local m = cmod.load('$module')
	local function isolated(name, options)
		options = options or {}
		options.isolate = 'process'
		return m:load(name, options)
	end
	local function note(f)
		local _, pid = f()
		local file = io.open('pids', 'a')
		file:write(string.format('%d', tonumber(pid)), ' ')
		file:close()
	end
	local function call(name, ...)
		local f = isolated(name)
		return fiber.create(function(...) f(...) end, ...)
	end"

# Not there, or dead and unwept by its new parent.
is_gone() {
	state=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2> /dev/null) || return 0
	[ -z "$state" ] || [ "$state" = Z ]
}

# Those in the file `pids`, and all whose parent was $1.
all_gone() {
	for pid in $(cat pids 2> /dev/null); do
		tries=0
		until is_gone "$pid"; do
			tries=$((tries + 1))
			if [ $tries -gt 1200 ]; then
				fail "$1: helper $pid is still there"
				kill -9 "$pid"
				return
			fi
			sleep 0.05
		done
	done
}

# ends NAME EXIT-CODE LUA
ends() {
	rm -f pids
	NEAP_CHECK_LEAKS=1 NEAP_CANCEL_TIMEOUT=1 timeout 60 "$NEAP_BIN" \
		-e "$prelude $3" > out 2>&1
	code=$?
	[ "$code" = "$2" ] || fail "$1: exit code $code, wanted $2"
	all_gone "$1"
}

ends "an idle helper" 0 "note(isolated('pid'))"
ends "eight of them" 0 "for i = 1, 8 do note(isolated('pid')) end"
ends "handles that are kept" 0 "f = isolated('pid') note(f)"
ends "one that is unloaded" 0 "local f = isolated('pid') note(f) f:unload()"
ends "os.exit()" 5 "f = isolated('pid') note(f) os.exit(5)"
ends "os.exit() with calls that never return" 0 "
	note(isolated('pid')) call('loops') call('sleeps') call('stops_itself')
	fiber.sleep(0.2) os.exit(0)"
ends "and with calls in the queue" 0 "
	f = isolated('loops')
	for i = 1, 100 do fiber.create(function() f() end) end
	fiber.sleep(0.2) os.exit(0)"
ends "an error" 1 "f = isolated('pid') note(f) error('x', 0)"
ends "children left behind" 0 "note(isolated('breeds'))"
ends "the end waits for a call" 0 "
	local f = isolated('nap')
	fiber.create(function() f(30) io.open('done', 'w'):close() end)"
[ -e done ] || fail "the call did not end"

# Whoever starts the server may ignore the ends of children, and it inherits
# that: the program executes itself anew so.
ends "in a world that ignores children" 0 "
	local ffi = require('ffi')
	ffi.cdef('void *signal(int, void *); int execv(const char *, char **);')
	local words = {'neap', '-e', [[$prelude
		note(isolated('pid'))
		cmod.load('$module', {probe = true})
		local ok, err = isolated('aborts')()
		assert(not ok and tostring(err):find('SIGABRT'), err)
		assert(os.execute('exit 3') == 3 * 256)]]}
	local argv = ffi.new('char *[4]')
	for i, word in ipairs(words) do
		argv[i - 1] = ffi.cast('char *', word)
	end
	ffi.C.signal(17, ffi.cast('void *', 1))
	ffi.C.execv('$NEAP_BIN', argv)
	error('execv')"

# An end function that never returns is not waited for.
cat > hangs.c << 'END'
#include <neap/module.h>
#include <stdlib.h>
#include <unistd.h>
static void fini(void)
{ while (atoi(getenv("SERVER")) != getpid()) sleep(1000); }
NEAP_MODULE("hangs", "1", 0, fini);
NEAP_EXPORT int f(neap_call_t *c, const char *a, const char *e)
{ return 0; }
END
$CC -shared -fPIC -w -I"$NEAP_SOURCE_DIR/src/include" -o hangs.so hangs.c || exit 1
ends "an end function that hangs" 0 "
	local ffi = require('ffi')
	ffi.cdef('int getpid(void); int setenv(const char *, const char *, int);')
	ffi.C.setenv('SERVER', tostring(ffi.C.getpid()), 1)
	f = cmod.load('./hangs'):load('f', {isolate = 'process'})
	assert(f())"

# Signals, while one helper is idle, one at work and one in an endless loop.
busy="$prelude
	f = isolated('pid') note(f)
	local g = isolated('nap')
	fiber.create(function() while g(50) do end end)
	call('loops')
	call('breeds')
	fiber.sleep(0.3)
	io.open('ready', 'w'):close()
	fiber.sleep(1000)"

children_of() {
	cat /proc/"$1"/task/*/children 2> /dev/null
}

# Into the file `pids`, with their children.
helpers_of() {
	for helper in $(children_of "$1"); do
		echo "$helper" $(children_of "$helper")
	done > pids
}

# signalled NAME SIGNAL EXIT-CODE
signalled() {
	rm -f pids ready
	NEAP_CANCEL_TIMEOUT=1 timeout 60 "$NEAP_BIN" -e "$busy" > out 2>&1 &
	guard=$!
	tries=0
	until [ -e ready ]; do
		tries=$((tries + 1))
		if [ $tries -gt 600 ]; then fail "$1: never ready"; return; fi
		sleep 0.05
	done
	server=$(children_of $guard | tr -d ' ')
	# Four helpers, and the four children of one.
	tries=0
	until helpers_of "$server" && [ "$(wc -w < pids)" -ge 8 ]; do
		tries=$((tries + 1))
		if [ $tries -gt 1200 ]; then fail "$1: helpers wanted: $(cat pids)"; break; fi
		sleep 0.05
	done
	kill "-$2" "$server"
	wait $guard
	code=$?
	[ "$code" = "$3" ] || fail "$1: exit code $code, wanted $3"
	all_gone "$1"
}

signalled "SIGTERM" TERM 143
signalled "SIGKILL" KILL 137

# Typed by hand it does nothing.
"$NEAP_BIN" --cmod-helper < /dev/null > out 2>&1
[ $? = 2 ] || fail "a helper started by hand"
grep -q 'is for the program itself' out || fail "and what it says"

# What the system refuses is nil, err; afterwards all is well.
cat > lacks.lua << END
$prelude
local ffi = require('ffi')
ffi.cdef([[
	struct lim { unsigned long cur, max; };
	int setrlimit(int what, const struct lim *l);
	int getrlimit(int what, struct lim *l);
	int setuid(int uid);
	int dup(int fd);
	int close(int fd);
]])
local C = ffi.C
local f, g = isolated('pid'), isolated('exits')
assert(f())
local fds = {}
repeat
	local fd = C.dup(2)
	fds[#fds + 1] = fd >= 0 and fd or nil
until fd < 0
local function refused(h, pattern, ...)
	local ok, err = h(...)
	if ok ~= nil or not tostring(err):find(pattern) then
		print('NOT REFUSED', ok, err)
		return
	end
	assert(err.type == 'SystemError', err.type)
	assert(err.errno ~= nil)
end
assert(f(), 'a helper that is there needs no descriptors')
for i = 1, 3 do
	refused(isolated('pid'), 'Too many open files')
	C.close(table.remove(fds))
end
local ok, err = pcall(cmod.load, './hangs', {probe = true})
assert(not ok)
for _, fd in ipairs(fds) do C.close(fd) end
assert(isolated('pid')(), 'descriptors again')
-- Processes: root has as many as it likes.
local none, old = ffi.new('struct lim'), ffi.new('struct lim')
C.getrlimit(6, old)
none.cur, none.max = 1, old.max
if C.setuid(65534) == 0 and C.setrlimit(6, none) == 0 then
	local ok, err = isolated('pid')()
	if ok == nil then
		assert(err.type == 'SystemError', tostring(err))
		assert(tostring(err):find('cannot start a helper process for function'))
		local late = isolated('pid')
		late()
		C.setrlimit(6, old)
		late()
		local ok, again
		for _ = 1, 100 do
			ok, again = late()
			if ok then break end
			fiber.sleep(0.1)
		end
		assert(ok, again)
		print('without processes, too')
	end
end
print('well')
END
(ulimit -n 64; NEAP_CHECK_LEAKS=1 timeout 60 "$NEAP_BIN" lacks.lua > out 2>&1) ||
	fail "a lack of descriptors and processes"
grep -q '^well$' out || fail "a lack of descriptors and processes"
grep -q 'without processes, too' out || fail "a lack of processes"
grep -q 'NOT REFUSED' out && fail "what should have been refused"

exit $failed
