#!/bin/sh
# core.log and its kin: levels, what cannot be printed, what is too long, the place.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

cat > a.lua <<'END'
local core = require('neap.core_tools')
core.log(core.emerg, 'one emerg')
core.log(core.alert, 'one alert')
core.log(core.crit, 'one crit')
core.log(core.err, 'one err')
core.Alert('one Alert')
core.Warning('one Warning')
core.log(core.notice, 'one notice')
core.Info('one Info')
core.Debug('one Debug')
core.Info('a\nb\27[1mc\0d\127e\194\128f\255g\195\164h')
core.Info(('x'):rep(16384))
core.Info(('y'):rep(16385))
core.Info(('z'):rep(16380) .. '\226\130\172\226\130\172')
for _, f in ipairs({
    function() core.log(8, 'x') end, function() core.log(-1, 'x') end,
    function() core.log(1.5, 'x') end, function() core.log('err', 'x') end,
    function() core.log(3) end, function() core.log(3, 'x', 'y') end,
    function() core.log(3, {}) end, function() core.Info() end,
    function() core.Info('a', 'b') end, function() core.Debug(print) end,
}) do
    print(select(2, pcall(f)))
end
END
run neap --log-level debug a.lua
code_is 0
lines() { printf '%s\n' "$err" | grep -c "$1" || true; }
is() { [ "$(lines "$2")" = "$1" ] || fail "$1 lines of '$2' wanted"; }
is 1 ' F> one emerg'
is 1 ' C> one alert'
is 1 ' C> one crit'
is 1 ' E> one err'
is 1 ' C> one Alert'
is 1 ' W> one Warning'
is 1 ' I> one notice'
is 1 ' I> one Info'
is 1 ' D> one Debug'
is 1 ' I> a\.b\.\[1mc\.d\.e\.f\.gähx*$'
is 1 ' I> xxx'
[ "$(printf '%s\n' "$err" | grep -o 'x*$' | grep -c '^x\{16384\}$')" = 1 ] || fail 'x is whole'
is 1 ' I> y*\.\.\.$'
[ "$(printf '%s\n' "$err" | grep -o 'yy*\.\.\.$' | wc -c)" = 16385 ] || fail 'y is cut'
is 1 ' I> z*\.\.\.$'
[ "$(printf '%s\n' "$out" | grep -c 'bad argument #\|needs [12] argument')" = 10 ] ||
	fail '10 refusals wanted'

run neap --log-level error --log-format json a.lua
is 3 '"level":"crit"'
is 1 '"level":"error"'
is 0 '"level":"warn"'
is 5 '"file":"a.lua"'
is 1 '"line":5,"message":"one err"'
