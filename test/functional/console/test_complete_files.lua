-- What completion offers behind require(': modules that files would make, and none of them
-- is loaded for it.
-- test: timeout 60
local console = require('console')
local fio = require('fio')
local raw = require('raw')
local tap = require('tap')

local top = os.getenv('TMPDIR')
local path = top .. '/c.sock'
local server = assert(console.listen(path, { audit = false }))

local function file(name, text)
    local f = assert(io.open(top .. '/' .. name, 'w'))
    f:write(text or 'loaded = true')
    f:close()
end
for _, name in ipairs({ 'lua', 'lua/pack', 'lua/pack/deep', 'lua/empty', 'lib', 'lib/nat',
    'pre', 'pre/x_two', 'many' }) do
    assert(fio.mkdir(top .. '/' .. name))
end
for _, name in ipairs({ 'lua/alone.lua', 'lua/broken.lua', 'lua/with.dot.lua', 'lua/other.txt',
    'lua/.hidden.lua', 'lua/pack/init.lua', 'lua/pack/inner.lua', 'lua/pack/deep/er.lua',
    'lib/native.so', 'lib/nat/ive.so', 'lib/script.lua', 'pre/x_one.lua', 'pre/y_one.lua',
    'pre/x_two/three.lua' }) do
    file(name)
end
assert(fio.symlink(top .. '/lua', top .. '/lua/pack/loop'))
assert(fio.symlink(top .. '/nowhere', top .. '/lua/dangling.lua'))
os.execute(('mkfifo %s/lua/pipe.lua %s/fifo'):format(top, top))

local c = assert(raw.connect(path))
c:send('\\frame T\n')
c:read('T ok\n')
local function offers(text)
    c:send('\\complete ' .. text .. '\nT\n')
    local answer = c:read('T ok\n')
    local list = {}
    for name in answer:match('^%d+\n(.*)T ok\n$'):gmatch('[^\n]+') do
        list[#list + 1] = name
    end
    return table.concat(list, ' '), list
end

local paths = { package.path, package.cpath }
package.path = table.concat({ top .. '/nosuch/?.lua', top .. '/fifo/?.lua', top .. '/lua/?.lua',
    top .. '/lua/?/init.lua', top .. '/pre/x_?.lua', 'no name', '?' .. ('/x'):rep(3000),
    top .. '/?/?/init.lua' }, ';')
package.cpath = top .. '/lib/?.so;' .. top .. '/lib/loadall.so'

tap.is(offers("require('al"), "alone'", 'a file')
tap.is(offers('require "br'), 'broken"', 'whatever it is')
tap.is(offers("require('with"), '', 'none that a name does not lead to')
tap.is(offers("require('other"), '', 'nor another file')
tap.is(offers("require('.hid"), '', 'nor a hidden one')
tap.is(offers("require('pipe"), '', 'nor a pipe')
tap.is(offers("require('dangl"), '', 'nor a link to nothing')
tap.is(offers("require('empty"), '', 'nor a folder')
tap.is(offers("require('na"), "nat.ive' native'", 'of C, also in folders')
tap.is(offers("require('script"), '', 'each with its own ending')
tap.is(offers("require('one"), "one'", 'behind something')
tap.is(offers("require('tw"), "two.three'", 'and in a folder there')
tap.is(offers("require('pack.inn"), "pack.inner'", 'a dotted one')
tap.is(offers("require('pack.deep."), "pack.deep.er'", 'two dots')
tap.is(offers("require('pack/inn"), "pack/inner'", 'or slashes')
local _, list = offers("require('pack")
local seen = {}
for _, name in ipairs(list) do
    seen[name] = true
end
tap.ok(seen["pack'"] and seen["pack.inner'"] and seen["pack.deep.er'"], 'with init.lua, and within')
tap.ok(#list < 100, 'a folder within itself has an end')
package.loaded.alonely = true
tap.is(offers("require('al"), "alone' alonely'", 'beside those that are loaded')
package.loaded.alonely = nil

for i = 1, 1500 do
    file(('many/m%04d.lua'):format(i), '')
end
package.path = top .. '/many/?.lua;' .. top .. '/lua/?.lua'
_, list = offers("require('m")
tap.ok(#list > 0 and #list <= 1000, 'not more than a screen or two')
package.path = 5
tap.is(offers("require('alo"), '', 'no path')
package.path = ''
tap.is(offers("require('alo"), '', 'an empty one')
tap.is(rawget(_G, 'loaded'), nil, 'nothing was loaded')

package.path, package.cpath = paths[1], paths[2]
c:close()
server:close()
os.execute(('cd %s && rm -r lua lib pre many fifo'):format(top))
tap.done()
