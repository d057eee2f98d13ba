#!/bin/sh
# `neap check` and `neap config show`: what is wrong, each line exact, exit codes,
# where values come from; that a check opens and writes nothing.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

file() {
	cat > "$1"
}

# A good one: its scripts' bodies run, nothing else.
file a.lua <<'END'
local states = require('neap.states')
print('a', ...)
states.register('action', 'a', function() end)
states.init(function() print('init') end)
states.task(function() print('task') end)
END
file b.lua <<'END'
print('b', select('#', ...))
END
file server.yaml <<'END'
workers: 1
load: {file: a.lua, args: [x, 'y z']}
load_per_thread: b.lua
log: {file: server.log}
END
run neap check server.yaml
code_is 0
out_is 'a	x	y z' 'b	0' 'server.yaml: OK'
err_is ''
[ ! -e server.log ] || fail 'no log file wanted'

# What the configuration has wrong.
file wrong.yaml <<'END'
wokers: 2
workers: many
drain_timeout: 5
END
run neap check wrong.yaml
code_is 1
out_is
err_is "wrong.yaml:1:1: wokers: there is no such key; the nearest is 'workers'
wrong.yaml:2:10: workers: expected a whole number from 1 to 256, got 'many'
wrong.yaml:3:16: drain_timeout: expected a duration such as 500ms, 2s or 1m, got '5'"
run neap wrong.yaml
code_is 1
out_is
err_has 'wrong.yaml:2:10: workers: '
mkdir -p sub
cp wrong.yaml sub/w.yml
run neap "$PWD/sub/w.yml"
code_is 1
err_has "$PWD/sub/w.yml:2:10: workers: "
run neap --workers 3 config show wrong.yaml
code_is 1
out_is

# What its scripts have wrong.
echo 'load: s.lua' > s.yaml
run neap check s.yaml
code_is 1
err_has "s.lua': No such file or directory"
echo 'x = = 1' > s.lua
run neap check s.yaml
code_is 1
err_has 's.lua:1: unexpected symbol'
echo 'error("broken")' > s.lua
run neap check s.yaml
code_is 1
err_has 's.lua:1: broken'
err_has_not 'OK'
printf 'workers: 2\nload_per_thread: s.lua\n' > s.yaml
cat > s.lua <<'END'
local states = require('neap.states')
if states.id == 2 then states.register('fetch', 'f', print) end
END
run neap check s.yaml
code_is 1
err_has "fetch 'f' is registered in not every worker: it is missing in 1"

echo 'os.exit(0)' > s.lua
run neap check s.yaml
code_is 1
out_is
err_is 's.yaml: os.exit() in a script has ended the check'

# Files that are none.
run neap check nosuch.yaml
code_is 1
err_is 'neap: nosuch.yaml: No such file or directory'
run neap check .
code_is 1
err_has 'Is a directory'
head -c 5000 "$NEAP_BIN" > binary
run neap check binary
code_is 1
err_is 'binary:1:1: control characters are not allowed'
: > empty.yaml
run neap empty.yaml
code_is 1
err_is 'empty.yaml:1:1: expected a map of settings, got an empty file'
head -c 30 server.yaml > half.yaml
run neap check half.yaml
code_is 1
err_has "half.yaml:3:1: did not find expected"
awk 'BEGIN { for (i = 0; i < 600000; i++) print "- 1234" }' > huge.yaml
run neap check huge.yaml
code_is 1
err_has 'huge.yaml: 4194304 bytes are the most it can have'
awk 'BEGIN { for (i = 0; i < 100000; i++) printf "["; print "" }' > deep.yaml
run neap check deep.yaml
code_is 1
err_is 'deep.yaml:1:33: nested too deep'

# The command line.
for words in 'check' 'check a b' 'check --json server.yaml' 'config' \
	'config show' 'config list server.yaml' 'server.yaml more'; do
	# shellcheck disable=SC2086
	run neap $words
	code_is 2
	out_is
done
echo 'print("a script", ...)' > check
run neap ./check x
code_is 0
out_is 'a script	x'
rm check
run neap --workers 2 check server.yaml
code_is 0

# Origins.
file show.yaml <<'END'
workers: 2
cancel_timeout: 7s
log:
  level: ${LEVEL:-error}
console: {address: 'unix:c', password: hunter2hunter2}
listeners:
- address: [':80', ':81']
END
run env NEAP_CANCEL_TIMEOUT=5 PORT=8000 "$NEAP_BIN" --workers 9 config show \
	show.yaml
code_is 0
err_is ''
out_has 'workers: 9  # flag --workers
'
out_has 'cancel_timeout: 5  # environment NEAP_CANCEL_TIMEOUT
'
out_has 'log.level: "error"  # show.yaml:4:10 ${LEVEL}
'
out_has 'drain_timeout: 30  # default
'
out_has "console[0].address: \"unix:$PWD/c\"  # show.yaml:5:20
"
out_has 'console[0].password: "(secret)"  # show.yaml:5:40
'
out_has 'listeners[0].address[0]: ":8000"  # environment PORT
'
out_has 'listeners[0].address[1]: ":81"  # show.yaml:7:20
'
case $out in *hunter*) fail 'no secrets wanted' ;; esac
run neap config show --json show.yaml
code_is 0
printf '%s' "$out" > show.json
run neap -e '
	local rows = {}
	for _, row in ipairs(require("json").decode(io.open("show.json"):read("*a"))) do
		rows[row.key] = row
	end
	local r = rows.workers
	print(r.value, r.origin, r.line, r.column)
	r = rows["limits.action.total"]
	print(r.value, r.origin, r.line)
	r = rows["log.level"]
	print(r.value, r.origin, r.variable)'
code_is 0
out_is '2	file	1	10' '4	default	nil' 'error	file	LEVEL'

# What may stand there, for programs.
run neap config schema
code_is 0
printf '%s' "$out" > schema.json
run neap -e '
	local rows = {}
	for _, row in ipairs(require("json").decode(io.open("schema.json"):read("*a"))) do
		assert(row.help and row.type and rows[row.key] == nil, row.key)
		rows[row.key] = row
	end
	local r = rows.workers
	print(r.type, r.default, r.min, r.max, r.variable, r.flag)
	print(rows["load[].file"].required, rows["listeners[].rules[].deny"].brief)
	print(rows["listeners[].tls"].same_as, rows["listeners[].protocol"].choices[2])'
code_is 0
out_is 'number	1	1	256	NEAP_WORKERS	--workers' 'true	status' \
	'console[].tls	tcp'
run neap config schema server.yaml
code_is 2

# Problems of variables name them.
run env NEAP_LISTEN=nowhere "$NEAP_BIN" check show.yaml
code_is 1
err_is "NEAP_LISTEN: listeners[0].address[0]: expected HOST:PORT, :PORT, [ADDRESS]:PORT, unix:PATH or fd:NAME, got 'nowhere'"
run env LEVEL=loud "$NEAP_BIN" check show.yaml
code_is 1
err_has "show.yaml:4:10: log.level: expected one of fatal, "
err_has "got 'loud'"
