#!/bin/sh
# A request whose fiber a limit has ended has its line in the log all the same, and nothing
# of it is kept.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

# The thread sanitizer keeps the signal back by which a limit ends what computes.
if [ "${NEAP_SANITIZE:-}" = thread ]; then exit 77; fi

long='%[query,be2dec(x,1),length]'
for _ in 1 2 3 4 5 6 7; do long="$long$long"; done
cat > server.yaml <<END
workers: 1
limits: {service: {burst: 10ms, total: 10ms}}
listeners:
- address: 'unix:$TMPDIR/s'
  log_format: 'LINE %ST %HP'
  rules:
  - {return: {body: "$long"}, if: path == /long}
  - {return: {body: 'ok'}}
END
cat > ask.lua <<'END'
local raw = require('raw')
local query = ('q'):rep(7000)
for _ = 1, 30 do
	raw.request(os.getenv('TMPDIR') .. '/s', '/long?' .. query)
end
raw.request(os.getenv('TMPDIR') .. '/s', '/short')
END
serve "$TMPDIR/s" server.yaml
"$NEAP_BIN" ask.lua
ended() { [ "$(grep -c 'LINE 500 /long' server.err)" = 30 ]; }
eventually ended
grep -q 'LINE 200 /short' server.err || fail "a line for /short"
end_server
