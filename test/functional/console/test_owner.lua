-- Whose a console's socket is: mode, owner and group, by number and by name; and that
-- nobody else gets in before it is so, or when it cannot be.
-- test: timeout 60
local console = require('console')
local ffi = require('ffi')
local fio = require('fio')
local tap = require('tap')

ffi.cdef([[
    unsigned getuid(void);
    unsigned getgid(void);
    unsigned umask(unsigned mask);
]])
local uid, gid = ffi.C.getuid(), ffi.C.getgid()
local path = os.getenv('TMPDIR') .. '/owned.sock'

local function look()
    local s = assert(fio.lstat(path))
    return { bit.band(s.mode, 511), s.uid, s.gid }
end

local function serve(options)
    local server = assert(console.listen(path, options))
    local found = look()
    server:close()
    return found
end

for _, uri in ipairs({ path, 'unix/:' .. path, 'console://unix/:' .. path }) do
    local server = assert(console.listen(uri))
    tap.is(server.path, path, 'the same as ' .. uri:gsub('/.*/', '/'))
    server:close()
end

local before = ffi.C.umask(0)
tap.same(serve({}), { 384, uid, gid }, 'one alone may, whatever umask says')
tap.same(serve({ mode = 438 }), { 438, uid, gid }, 'all may, if it is said')
ffi.C.umask(511)
tap.same(serve({ mode = 432 }), { 432, uid, gid }, 'umask takes nothing away')
ffi.C.umask(before)
tap.same(serve({ owner = uid, group = gid }), { 384, uid, gid }, 'our own by number')
tap.same(serve({ owner = uid, mode = 416 }), { 416, uid, gid }, 'an owner alone, and a mode')

local function refused(name, options)
    local server, err = console.listen(path, options)
    tap.is(server, nil, name .. ' is refused')
    tap.ok(err ~= nil and tostring(err) ~= '', 'and it is told why: ' .. tostring(err))
    tap.is(fio.lstat(path), nil, 'nothing is left there')
end
refused('an owner there is not', { owner = 'nosuch-user-of-ours' })
refused('a group there is not', { group = 'nosuch-group-of-ours' })

if uid == 0 then
    tap.same(serve({ owner = 4711, group = 4712, mode = 432 }), { 432, 4711, 4712 },
        'others by number')
    tap.same(serve({ group = 4712 }), { 384, uid, 4712 }, 'a group alone')
    local f = io.open('/etc/passwd')
    local name, id = nil, nil
    for line in f and f:lines() or function() end do
        name, id = line:match('^([%a_][%w_-]*):[^:]*:(%d+):')
        if name ~= nil and name ~= 'root' then
            break
        end
    end
    if f ~= nil then
        f:close()
    end
    if name ~= nil and name ~= 'root' then
        tap.is(serve({ owner = name })[2], tonumber(id), 'another by name: ' .. name)
    else
        tap.skip('another by name', 'there are no other users here')
    end
else
    refused('to give it away', { owner = 0 })
    tap.skip('others by number', 'only root may give files away')
end
tap.done()
