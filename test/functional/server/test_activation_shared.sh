#!/bin/sh
# A service manager gives several sockets of one address, over which the system spreads who
# comes: all of them are served, whatever they are named, with fewer workers than there are,
# through a reload, an upgrade and the next start.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"
activate=$NEAP_BINARY_DIR/test/lib/activate

configuration() { # VERSION, ADDRESSES, WORKERS
	cat > server.yaml <<END
workers: $3
console: {address: 'unix:admin', language: admin, level: admin}
listeners:
- {name: web, address: [$2], rules: [{return: {body: '$1'}}]}
END
}
# Of so many who come, each on a connection of its own, all are answered.
all_answer() { # VERSION
	cat > ask.lua <<END
local client = require('http.client')
for i = 1, 30 do
	local r, err = client.get('http://127.0.0.1:$port/', { timeout = 10,
		headers = { connection = 'close' } })
	if not r or r.body ~= '$1' then
		print(i, r and r.body or err)
		os.exit(1)
	end
end
os.exit(0)
END
	run neap ask.lua
	code_is 0
}
begin() { # TIMES
	rm -f pid admin
	"$activate" "$1" "shared:a=$port" "shared:b=$port" "shared:b=$port" -- \
		/bin/sh start.sh server.yaml > ports 2> server.err &
	manager=$!
	trap 'kill -s KILL $manager $(cat pid) 2> /dev/null || true' EXIT
	eventually [ -S admin ]
}
cat > start.sh <<'END'
echo $$ > pid
exec "$NEAP_BIN" "$@"
END

port=$(free_port)
configuration 1 "'127.0.0.1:$port'" 2
begin 2
all_answer 1
configuration 2 "'fd:a', 'fd:b'" 1
run neap reload admin
code_is 0
all_answer 2
configuration 3 "'fd:b', '127.0.0.1:$port'" 4
run neap reload admin
code_is 0
all_answer 3
if grep 'is used by no listener' server.err; then fail 'one is not used'; fi

# The next start.
first=$(cat pid)
kill -s TERM "$first"
eventually sh -c "[ -s pid ] && [ \$(cat pid) != $first ]"
eventually [ -S admin ]
all_answer 3

# Another process: activate is not its parent, and waits for the one before.
configuration 4 "'fd:a'" 2
run neap upgrade admin
code_is 0
new=${out#process }
new=${new%% *}
trap 'kill -s KILL $manager $(cat pid) $new 2> /dev/null || true' EXIT
wait $manager || true
all_answer 4
kill -s TERM "$new"
eventually sh -c "! kill -s 0 $new 2> /dev/null ||
	[ \"\$(awk '{ print \$3 }' /proc/$new/stat)\" = Z ]"
trap - EXIT

# Two listeners of one address cannot be told apart.
cat > server.yaml <<END
listeners:
- {address: 'fd:a', rules: [{return: 200}]}
- {address: 'fd:b', protocol: tcp}
END
code=0
"$activate" 1 "shared:a=$port" "shared:b=$port" -- "$NEAP_BIN" server.yaml \
	> out 2> server.err || code=$?
code_is 1
has_line server.err 'in use' || fail "not told: $(cat server.err)"
if grep -q leak server.err; then fail "$(cat server.err)"; fi
