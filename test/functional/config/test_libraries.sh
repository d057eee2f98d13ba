#!/bin/sh
# `libraries`: what scripts of every state get, and that the server's own Lua still
# has all of them.
#
# test: timeout 120, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > l.lua <<'END'
local names = {'bit', 'debug', 'ffi', 'io', 'jit', 'math', 'os', 'package',
	'string', 'table'}
local there = {}
for _, name in ipairs(names) do
	local ok, module = pcall(require, name)
	assert(name == 'ffi' or (ok and module or nil) == _G[name])
	assert(package == nil or package.loaded[name] == (ok and module or nil))
	there[#there + 1] = ok and name or nil
end
local line = ''
for _, name in ipairs(there) do line = line .. ' ' .. name end
print(line)
END
lists() {
	printf 'workers: 2\nload: l.lua\nload_per_thread: l.lua\n%s\n' "$1" > l.yaml
	run neap l.yaml
	code_is 0
	err_is ''
	out_is "$2" "$2" "$2"
}
all=' bit debug ffi io jit math os package string table'
lists '' "$all"
lists 'libraries: all' "$all"
lists 'libraries: [all, io]' "$all"
lists 'libraries: table' ' table'
lists 'libraries: [string, table, math, package]' ' math package string table'
lists 'libraries: []' ''

# The server's own Lua is whole, whatever is closed: a service, a client, files
# that scripts have no way to, offloaded functions.
cat > s.lua <<'END'
local fiber = require('fiber')
assert(io == nil and debug == nil and os == nil and package == nil)
assert(_G._G == _G and _G.io == nil and getfenv(1) == _G and getfenv(0) == _G)
assert(getfenv() == _G and getfenv(fiber.sleep) == _G)
assert(getfenv(function() end) == _G)
assert(loadstring('return _G')() == _G and loadstring('return io')() == nil)
assert(coroutine.wrap(function() return getfenv(0) end)() == _G)
local ok, err = pcall(require, 'io')
assert(not ok and err:find("'io' is closed: `libraries` of the configuration has "
	.. "no 'io'", 1, true), err)
for _, name in ipairs({'fio', 'popen', 'cmod', 'jit.util', 'ffi', 'os'}) do
	assert(not pcall(require, name), name)
end
ok, err = pcall(require, 'helper')
assert(not ok and tostring(err):find("module 'helper' not found", 1, true))
for _, name in ipairs({'json', 'msgpack', 'yaml', 'digest', 'uri', 'clock', 'errno',
		'log', 'shared', 'socket', 'http.server', 'http.client', 'console',
		'neap', 'http.websocket', 'tap', 'strict', 'utf8', 'uuid'}) do
	require(name)
end
require('neap.states').task(function()
	assert(getfenv(0) == _G and io == nil)
	local httpd = require('http.server').new('127.0.0.1', 0)
	httpd:route({path = '/'}, function(req)
		assert(io == nil and getfenv(0) == _G)
		return {status = 200, body = {a = 1}}
	end)
	httpd:start()
	local r = require('http.client').get('http://127.0.0.1:' .. httpd:port() .. '/')
	assert(r.status == 200 and r.body:find('"a"'), r.reason)
	httpd:stop()
	local n = fiber.new(function() return io == nil end)
	n:set_joinable(true)
	local _, closed = n:join()
	local off, off_os = fiber.offload(function() return io == nil, os == nil end)
	print(closed, off, off_os, require('digest').sha256_hex('x'):sub(1, 8))
	print(pcall(fiber.offload, function() return require('io') end) == false)
end)
END
echo 'return 1' > helper.lua
cat > s.yaml <<'END'
workers: 2
load: s.lua
load_per_thread: s.lua
libraries: [string, math]
END
run neap s.yaml
code_is 0
err_is ''
out_has 'true	true	true	2d711642
true
'
[ "$(printf '%s' "$out" | wc -l)" = 6 ] || fail 'six lines wanted'

# The console has what scripts have.
echo 'libraries: [string]' > c.yaml
run neap -e 'print(io, string ~= nil, pcall(require, "ffi") == false)' c.yaml
code_is 0
out_is 'nil	true	true'
