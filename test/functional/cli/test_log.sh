#!/bin/sh
# Where the log goes, in which form, and what happens when it cannot.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

log_twice='local f = require("fiber") f.create(error, "one") f.create(error, "two")'

run neap --log-file app.log -e "$log_twice"
code_is 0
err_is ''
[ "$(grep -c 'E> one' app.log)" = 1 ] || fail 'a line in the file'
run neap --log-file app.log -e "$log_twice"
[ "$(grep -c 'E> two' app.log)" = 2 ] || fail 'appended'

# JSON: each line an object; newlines of a traceback are inside it.
run env NEAP_LOG_FORMAT=json "$NEAP_BIN" -e "$log_twice"
code_is 0
[ "$(printf '%s\n' "$err" | wc -l)" = 2 ] || fail 'two lines'
printf '%s\n' "$err" > log.json
run neap -e 'local json = require("json")
	for line in io.lines("log.json") do
		local o = json.decode(line)
		assert(o.level == "error" and o.pid > 0 and o.time and o.fiber)
		print(o.message:match("^%w+"))
	end'
out_is one two
# The main script's failure too, once.
run neap --log-format json -e 'error("boom")'
code_is 1
err_is_one_line
err_has '"message":"(command line):1: boom\nstack traceback:'

run neap --log-file nosuch/folder/x.log -e 'print(1)'
code_is 1
err_is "neap: log file 'nosuch/folder/x.log': No such file or directory"
out_is
run neap --log-file . -e 'print(1)'
code_is 1
err_has "log file '.': Is a directory"

# A full disk: lines are lost, the program is not; standard error hears of it,
# once.
run neap --log-file /dev/full -e "$log_twice print('on')"
code_is 0
out_is on
err_has "cannot write the log '/dev/full': No space left on device"
err_is_one_line
run sh -c '"$NEAP_BIN" -e "require(\"fiber\").create(error, \"x\") print(\"on\")" 2> /dev/full'
code_is 0
out_is on

# A limit of file sizes: the same, rather than the end of the process. The shell
# counts in blocks of 512 bytes or of 1024.
cat > many.lua <<'END'
local log = require('log')
for i = 1, 200 do log.info('line %d', i) end
print('on')
END
run sh -c 'ulimit -f 4; exec "$NEAP_BIN" --log-file limited.log many.lua'
code_is 0
out_is on
err_has "cannot write the log 'limited.log': File too large"
err_is_one_line
run sh -c 'ulimit -f 1; exec "$NEAP_BIN" -e "for i = 1, 2000 do print(i) end" > limited.out'
code_is 1
err_has 'neap: standard output: '
err_is_one_line

# Rotation: SIGUSR1, and SIGHUP when there is a file, open it anew.
cat > rotate.lua <<'END'
local fiber = require('fiber')
local function exists(name)
    local f = io.open(name)
    return f ~= nil and f:close()
end
fiber.create(error, 'before')
io.open('ready', 'w'):close()
while not exists('rotated') do fiber.sleep(0.01) end
fiber.create(error, 'after')
END
for signal in USR1 HUP; do
	rm -f ready rotated r.log r.log.1
	"$NEAP_BIN" --log-file r.log rotate.lua &
	pid=$!
	eventually test -e ready
	mv r.log r.log.1
	kill -s $signal $pid
	eventually test -e r.log
	touch rotated
	wait $pid || fail "rotation by $signal"
	grep -q 'E> before' r.log.1 || fail 'the old file'
	grep -q 'E> after' r.log || fail 'the new file'
	grep -q 'E> after' r.log.1 && fail 'the old file is written no more'
done
exit 0
