#!/bin/sh
# A console whose output nobody reads, as in a terminal that was told to stop or a pipe into a
# pager, holds up nobody else: a server in the same process goes on. What is read later is
# whole and in order; a signal ends it all the same.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > app.lua <<END
local server = require('http.server').new('unix/', '$TMPDIR/s', {})
server:route({ path = '/' }, function() return { body = 'served\\n' } end)
server:start()
END
begin() {
	rm -f from to
	mkfifo from to
	line='neap -i app.lua, unread'
	"$NEAP_BIN" -i app.lua < to > from 2> err.txt &
	pid=$!
	exec 3> to 4< from # nobody reads from 4 yet
	eventually test -S "$TMPDIR/s"
}
trap 'kill -s KILL "$pid" 2> /dev/null || :' EXIT

# Twenty answers of 100 KB, of which a pipe takes less than one.
begin
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	echo "('$i.'):rep(33333)"
done >&3
for _ in 1 2 3; do
	run curl -s -S -m 30 --unix-socket "$TMPDIR/s" http://h/
	code_is 0
	out_is served
done
exec 3>&-
cat <&4 > read.txt
wait $pid || fail "code $?"
exec 4<&-
"$NEAP_BIN" -e "for i = 1, 20 do print('---\n- ' .. (i .. '.'):rep(33333) .. '\n...') end" > want.txt
cmp read.txt want.txt || fail 'the answers'

# Asked to end, it does not wait for a reader for ever.
begin
echo "('x'):rep(1e6)" >&3
sleep 0.3 # it is written by now, as far as it goes
kill -s TERM $pid
code=0
wait $pid || code=$?
[ $code = 143 ] || [ $code = 0 ] || fail "code $code: $(cat err.txt)"
exec 3>&- 4<&-
