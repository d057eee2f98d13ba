#!/bin/sh
# Errors of finalizers are logged, and do not fill the log.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > many.lua <<'EOF'
local ffi = require('ffi')
for i = 1, 1000 do
    ffi.gc(ffi.new('char[1]'), function() error('boom ' .. i) end)
end
collectgarbage()
print('fine')
EOF
run neap many.lua
code_is 0
out_is fine
err_has 'E> a finalizer failed: many.lua:3: boom '
err_has 'E> 999 more finalizers failed'
[ "$(echo "$err" | grep -c boom)" = 1 ] || fail 'one of a thousand is told'

run neap -e 'require("ffi").gc(require("ffi").new("int[1]"), function() error({}) end)' \
	-e 'collectgarbage()'
code_is 0
err_has 'a finalizer failed: (error object is a table value)'
