#!/bin/sh
# Maps and a reload: they are those of the release whose scripts serve, from its folder,
# and a reload that fails changes none of them.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

release() { # NAME MAP-KIND-AND-FILE
	mkdir -p "$1"
	echo "k $1" > "$1/m.map"
	cat > "$1/server.yaml" <<END
workers: 2
load_per_thread: app.lua
listeners:
- address: 'unix:$PWD/s'
  rules: [{return: {body: "%[lua.release] %[str(k),map_str($2,none)]"}}]
END
	echo "core.register_fetches('release', function() return '$1' end)" \
		> "$1/app.lua"
}

# Another folder is there under the name of that which was.
switch_to() { # NAME
	ln -sfn "$1" current
	kill -s HUP "$server"
}

answers() { # BODY
	run neap -e "local r = require('http.client').get('http://localhost/',
		{ unix_socket = 's' }) print(r and r.body) os.exit(0)"
	[ "$out" = "$1
" ]
}

failures() { # COUNT
	[ "$(grep -c 'the reload has failed' server.err)" = "$1" ]
}

release one m.map
ln -s one current
line="server current/server.yaml"
"$NEAP_BIN" current/server.yaml > server.out 2> server.err &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually answers 'one one'

# The same file, changed.
echo 'k changed' > one/m.map
kill -s HUP "$server"
eventually answers 'one changed'

# One that listens at no place that there is: by then all of it is loaded.
release broken m.map
echo "- {address: 'unix:$PWD/nowhere/s'}" >> broken/server.yaml
switch_to broken
eventually failures 1
answers 'one changed' || fail 'a reload that failed has changed a map'

# A file of the same name, elsewhere.
release two m.map
switch_to two
eventually answers 'two two'
rm -r one

# One that only the new release has.
release three n.map
echo 'k other' > three/n.map
switch_to three
eventually answers 'three other'

# A file that is wrong leaves the map as it is; the others are read.
release four m.map
echo 'k newer' > four/m.map
switch_to four
eventually answers 'four newer'
grep -q "reload: .*'n.map'" server.err || fail 'nothing of the map that is gone'

code=0
kill -s TERM "$server"
wait "$server" || code=$?
trap - EXIT
[ "$code" = 0 ] || fail 'the end'
