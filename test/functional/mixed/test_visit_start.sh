#!/bin/sh
# Rules that make the way to the shared state together are compiled there when it starts: what
# they read is read then, as in the workers, and what is wrong with one is told with its place
# by the start, by `neap check` and by a reload, which leaves the server as it was.
#
# test: timeout 60, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > shared.lua <<'END'
local what = ...
local ffi = require('ffi')
ffi.cdef('int setenv(const char *, const char *, int);')
if what == 'broken' then
	function string.match() error('this state has lost its way', 0) end
end
core.register_action('late', { 'http-req' }, function(txn)
	ffi.C.setenv('SEASON', 'autumn', 1)
	txn:set_var('txn.late', 'late')
end)
core.register_action('note', { 'http-req' }, function() end)
END
configuration() { # ARGUMENT
	cat > server.yaml <<END
workers: 2
load: {file: shared.lua, args: ['$1']}
console:
- {address: 'unix:admin', language: admin, level: admin}
listeners:
- address: unix:web
  rules:
  - {action: lua.late}
  - {set-var: {txn.season: 'env(SEASON)'}}
  - set-var: {txn.listed: 'str(yes)'}
    if: '{ path -m beg -f list }'
  - {action: lua.note}
  - {return: {body: '%[var(txn.late)] %[var(txn.season)] %[var(txn.listed)]'}}
END
}
get() { # ANSWER
	run curl -s -m 20 --unix-socket web http://h/path
	[ "$out" = "$1" ] || fail "'$1' is wanted: $out"
}

configuration good
echo /pa > list
SEASON=spring serve web server.yaml
rm list
get 'late spring yes'
get 'late spring yes'

echo /pa > list
configuration broken
run neap check server.yaml
code_is 1
err_has 'server.yaml:9:15: in the shared state: this state has lost its way'
err_has 'server.yaml:10:14: in the shared state: this state has lost its way'
run neap reload server.yaml
code_is 1
err_has 'server.yaml:9:15: in the shared state: this state has lost its way'
get 'late spring yes'
configuration good
run neap reload server.yaml
code_is 0
get 'late autumn yes'
end_server

configuration broken
run neap server.yaml
code_is 1
err_has 'server.yaml:9:15: in the shared state: this state has lost its way'
