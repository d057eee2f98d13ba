#!/bin/sh
# Strangers who only connect, again and again, get nothing of what the process has: a few are
# told that there are too many, the others are closed at once, and it is said once in the log.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > server.yaml <<END
workers: 1
console: {address: 'unix:$TMPDIR/c', password: 'long enough', connections: 5}
listeners:
- {address: 'unix:$TMPDIR/s', rules: [{return: {body: served}}]}
END
cat > flood.lua <<'END'
local raw = require('raw')
local folder, told, closed = os.getenv('TMPDIR'), 0, 0
local many = {}
for i = 1, 400 do many[i] = raw.connect(folder .. '/c') end
for _, peer in ipairs(many) do
	local text = peer:read('many')
	told = told + (text:find('too many') and 1 or 0)
	closed = closed + (text == '' and 1 or 0)
	peer:close()
end
print(told > 0 and told <= 40, closed >= 300)
print(raw.request(folder .. '/s', '/').body)
END
real=$NEAP_BIN
printf '#!/bin/sh\nulimit -n 256\nexec "%s" "$@"\n' "$real" > limited
chmod +x limited
NEAP_BIN=$PWD/limited
serve "$TMPDIR/s" server.yaml
NEAP_BIN=$real
run "$NEAP_BIN" flood.lua
out_is 'true	true
served'
end_server
[ "$(grep -c 'far too many' server.err)" = 1 ] || fail "$(cat server.err)"
