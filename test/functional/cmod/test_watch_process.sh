#!/bin/sh
# cmod.watch and the process: what keeps it alive, what it logs, and what it
# does when the kernel has no watches left.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

good=$NEAP_TEST_CMOD_DIR/bench.so
put() {
	cp "$1" m.new && mv m.new m.so
}
put "$good"

# A script that only watches goes on until it is told to end.
cat > watch.lua <<'END2'
require('cmod').watch('./m', function(m)
    print('told of ' .. m.path)
    io.stdout:flush()
end)
collectgarbage()
print('watching')
io.stdout:flush()
END2
"$NEAP_BIN" watch.lua > out.txt 2> err.txt &
pid=$!
eventually has_line out.txt watching
put "$good"
eventually has_line out.txt 'told of ./m'
# A bad build is logged once, however often it is looked at.
head -c 3000 "$good" > m.so
eventually has_line err.txt 'a good build is waited for'
rm m.so
eventually has_line err.txt 'No such file or directory'
sleep 0.5
[ "$(grep -c 'a good build is waited for' err.txt)" = 2 ] ||
	fail "two lines wanted: $(cat err.txt)"
put "$good"
eventually sh -c '[ "$(grep -c "told of" out.txt)" = 2 ]'
kill -s TERM $pid
code=0
wait $pid || code=$?
line='watch.lua, SIGTERM'
code_is 0

# Stopped, it keeps nothing alive.
run neap -e 'local w = require("cmod").watch("./m", print) w:stop()'
code_is 0
err_is ''

# os.exit() while a function runs, and with a build that is pending.
cat > busy.lua <<'END2'
local cmod, fiber = require('cmod'), require('fiber')
local calls = 0
cmod.watch('./m', function()
    calls = calls + 1
    fiber.sleep(1000)
end)
local function put()
    os.execute('cp "$NEAP_TEST_CMOD_DIR/bench.so" m.new && mv m.new m.so')
end
put()
while calls == 0 do fiber.sleep(0.01) end
put()
fiber.sleep(0.5)
os.exit(7)
END2
run neap busy.lua
code_is 7
err_is ''

# No descriptor is left to ask the kernel with: stat has to do. What was loaded
# is known without reading the file.
cat > limit.lua <<'END2'
local cmod, fiber, ffi = require('cmod'), require('fiber'), require('ffi')
ffi.cdef([[
    struct limit { unsigned long soft, hard; };
    int getrlimit(int what, struct limit *l);
    int setrlimit(int what, const struct limit *l);
    int dup(int fd);
    int close(int fd);
]])
local m = cmod.load('./m')
local limit = ffi.new('struct limit')
ffi.C.getrlimit(7, limit)
ffi.C.setrlimit(7, ffi.new('struct limit', 64, limit.hard))
local taken = {}
repeat
    taken[#taken + 1] = ffi.C.dup(2)
until taken[#taken] < 0
local came, watches = fiber.channel(10), {}
for i = 1, 3 do
    watches[i] = cmod.watch('./m', function() came:put(i) end)
end
for i = 1, #taken - 1 do
    ffi.C.close(taken[i])
end
os.execute('cp "$NEAP_TEST_CMOD_DIR/bench.so" m.new && mv m.new m.so')
for _ = 1, 3 do
    print(came:get(20) ~= nil)
end
for i = 1, 3 do
    watches[i]:stop()
end
END2
run neap limit.lua
code_is 0
out_is true true true
err_counts 'the kernel cannot tell of changes' 1
err_has 'fs.inotify.max_user_watches'
err_is_one_line
