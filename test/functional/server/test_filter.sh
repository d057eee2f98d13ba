#!/bin/sh
# Filters of bodies: of the shared state and of the workers' own, what they may do to
# requests and answers, what happens when they fail, and what the start refuses.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS
# The thread sanitizer delivers signals late: what loops is not made to give way.
case ${NEAP_SANITIZE:-} in *thread*) exit 77 ;; esac
here=$NEAP_SOURCE_DIR/test/functional/server/filter

mkdir -p public
echo 'a small file' > public/file.txt
for i in $(seq 5000); do
	echo "Line number $i of a body that is large enough"
done > public/large.txt

# The rules of filters of one kind of state.
rules() { # KIND
	cat <<END
      - {filter: lua.$1.up, if: path begins /$1/up/}
      - {filter: lua.$1.hold, if: path begins /$1/hold/}
      - {filter: lua.$1.wait, if: path begins /$1/wait/}
      - {filter: lua.$1.once, if: path begins /$1/once/}
      - {filter: lua.$1.heads, if: path begins /$1/heads/}
      - {filter: lua.$1.api, if: path begins /$1/api/}
      - {filter: lua.$1.live, if: path begins /$1/live/}
      - {filter: lua.$1.maybe, args: ['%[url_param(a)]'], if: path begins /$1/maybe/}
      - {filter: lua.$1.length, args: ['$(wc -c < public/large.txt)'], if: path begins /$1/exact/}
      - {filter: lua.$1.length, args: ['5'], if: path begins /$1/wrong/}
      - filter: lua.$1.fail
        args: ['%[path,field(4,/)] %[path,field(5,/)]', '%[path,field(6,/)]']
        if: path begins /$1/closed/
      - filter: lua.$1.fail
        args: ['%[path,field(4,/)] %[path,field(5,/)]', '%[path,field(6,/)]']
        on_error: continue
        if: path begins /$1/open/
      - {filter: lua.$1.up, if: path begins /$1/closed/ or path begins /$1/open/}
      - {use-service: lua.$1.live, if: path == /live/$1}
      - {use-service: lua.$1.echo, if: path begins /$1/ and path ends /echo}
      - {use-service: lua.$1.lines, if: path begins /$1/ and path ends /lines}
      - {use-service: lua.$1.pieces, if: path begins /$1/ and path ends /pieces}
      - {use-service: lua.$1.head, if: path begins /$1/ and path ends /head}
      - {use-service: lua.$1.nothing, if: path begins /$1/ and path ends /nothing}
END
}
cat > server.yaml <<END
workers: 1
load: {file: $here/filters.lua, args: [s]}
load_per_thread: {file: $here/filters.lua, args: [p]}
limits:
  filter: {total: 200ms, burst: 100ms}
listeners:
  - address: 'unix:$TMPDIR/s'
    options: {max_body_size: 64M}
    static: {/p/up: ./public, /s/up: ./public}
    rules:
      - {filter: lua.s.rot, if: path begins /both/}
      - {action: lua.p.touch, if: path begins /both/}
      - {filter: lua.p.up, if: path begins /both/}
      - {action: lua.s.touch, if: path begins /both/}
$(rules p)
$(rules s)
      - {return: {body: returned}, if: path ends /return}
      - {use-service: lua.p.flood, if: path ends /flood}
      - {use-service: lua.p.sent, if: path == /sent}
      - {use-service: lua.p.echo, if: path ends /echo}
      - {use-service: lua.s.pieces, if: path ends /pieces}
    response_rules:
      - {filter: lua.p.up, if: path begins /response/}
END
line='server server.yaml'
"$NEAP_BIN" server.yaml > out 2> err &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
eventually test -S "$TMPDIR/s"
code=0
"$NEAP_BIN" "$here/ask.lua" "$TMPDIR/s" || code=$?
kill -s TERM "$server"
ended=0
wait "$server" || ended=$?
trap - EXIT
[ "$code" = 0 ] || { tail -30 err; fail "the client has ended by $code"; }
code=$ended
code_is 0
grep -q "filter 'p.fail' in worker 1: .*filters.lua:[0-9]*: failed on purpose" err || fail 'no error told of worker 1'
grep -q "filter 's.fail' in the shared state: .*filters.lua:[0-9]*: failed on purpose" err || fail 'none of the shared state'
grep "service .*has failed: the request ends here" err && fail 'told twice'

# What cannot be is refused before anything listens.
cat > app.lua <<'END'
core.register_filter('odd', { new = function() return {} end }, function(class, args)
	if args[1] == 'bad' then error('no such argument') end
	class.new = nil
	return { new = 5 }
end)
END
refused() { # RULE, MESSAGE
	for kind in load load_per_thread; do
		cat > server.yaml <<END
workers: 2
$kind: app.lua
listeners:
  - address: 'unix:$TMPDIR/s'
    rules:
      - $1
END
		run neap server.yaml
		code_is 1
		err_has "$2"
		run neap check server.yaml
		code_is 1
		err_has "$2"
	done
}
refused 'filter: lua.none' "server.yaml:6:17: filter: no script has registered filter 'none'"
refused '{filter: lua.odd, args: [bad]}' 'no such argument'
refused 'filter: lua.odd' 'not a class that has new()'
