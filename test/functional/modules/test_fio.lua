-- The module fio: names and answers of Tarantool's documentation, and nobody
-- else waits.
-- test: variants
local errno = require('errno')
local ffi = require('ffi')
local fiber = require('fiber')
local fio = require('fio')
local tap = require('tap')

local dir = fio.tempdir()
local function at(...) return fio.pathjoin(dir, ...) end
local function descriptors() return #fio.listdir('/proc/self/fd') end
local function put(path, text, mode)
    local fh = assert(fio.open(path, {'O_WRONLY', 'O_CREAT', 'O_TRUNC'}, mode))
    assert(fh:write(text))
    assert(fh:close())
end
local function get(path)
    local fh = assert(fio.open(path))
    local text = assert(fh:read())
    fh:close()
    return text
end
-- false or nil, an error with its number, and errno() the same.
local function refused(number, name, ok, err)
    local last = errno()
    tap.ok(not ok and type(err) == 'table' or type(err) == 'userdata', name)
    tap.is(err.errno, number, name .. ', the number')
    tap.is(last, number, name .. ', errno()')
    tap.is(err.type, 'SystemError', name .. ', the type')
end

-- Names.
for _, case in ipairs({
    {'a/b', 'a', 'b'}, {'/a/b', '/a/', '/b/'}, {'/', '/'}, {'/', '/', '/'},
    {'abc/d/e/f', 'abc', 'd///e///', '//f//'}, {'1/2', 1, 2}, {'a', '', 'a', ''}, {'.', '', ''}, {'/a', '/a', '/'},
}) do
    tap.is(fio.pathjoin(unpack(case, 2)), case[1], 'pathjoin ' .. case[1])
end
for path, want in pairs({
    ['/'] = {'', '/', '/'}, ['/a'] = {'a', '/', '/a'},
    ['/a/b/'] = {'', '/a', '/a/b'}, ['/a//b'] = {'b', '/a', '/a/b'},
    ['/a/./b/../../c/..'] = {'..', '/a/./b/../../c', '/'},
    ['/../x'] = {'x', '/..', '/x'},
}) do
    tap.same({fio.basename(path), fio.dirname(path), fio.abspath(path)}, want,
        path)
end
tap.is(fio.dirname('a'), '.', 'dirname of a name')
tap.is(fio.abspath('x'), fio.cwd() .. '/x', 'abspath of a name')
tap.is(fio.basename('/x/a.lua', '.lua'), 'a', 'without its suffix')
tap.is(fio.basename('axlua', '.lua'), 'axlua', 'a suffix is no pattern')

-- Wrong usage throws, whatever it is.
for _, name in ipairs({'basename', 'dirname', 'abspath', 'chdir', 'stat',
    'lstat', 'mkdir', 'rmdir', 'mktree', 'rmtree', 'readlink', 'unlink', 'glob',
    'listdir', 'open', 'chmod', 'chown', 'truncate', 'copyfile', 'copytree',
    'link', 'symlink', 'rename', 'utime'}) do
    for _, arg in ipairs({0, {}, true}) do
        local ok, err = pcall(fio[name], arg, arg)
        tap.ok(not ok and err.type == 'IllegalParams'
            and err.message:find('fio'), name .. ' of a ' .. type(arg))
    end
    tap.throws(function() fio[name]() end, 'fio', name .. ' of nothing')
end
for _, name in ipairs({'stat', 'unlink', 'open', 'glob', 'rmtree'}) do
    tap.throws(function() fio[name]('/tmp\0x') end, 'zero byte', name)
end
tap.throws(function() fio.pathjoin('a', nil, 'b') end, 'Usage', 'pathjoin')
tap.throws(function() fio.open('/tmp', {'O_NOPE'}) end, 'unknown flag: O_NOPE',
    'a wrong flag')
tap.throws(function() fio.open('/tmp', 0, {'S_NOPE'}) end, 'unknown mode',
    'a wrong mode')
tap.throws(function() fio.truncate('/none', -1) end, 'whole number', 'a size')
tap.throws(function() fio.truncate('/none', 0.5) end, 'whole number', 'half')
tap.throws(function() fio.truncate('/none', 0 / 0) end, 'whole number', 'nan')
tap.throws(function() fio.utime('/none', 1e300) end, 'no such time', 'a time')
tap.throws(function() fio.path.exists() end, 'Usage', 'path.exists')

-- What is not there.
refused(2, 'stat', fio.stat('/none/x'))
refused(2, 'lstat', fio.lstat('/none/x'))
refused(2, 'open', fio.open('/none/x'))
refused(2, 'unlink', fio.unlink('/none/x'))
refused(2, 'rename', fio.rename('/none/x', '/none/y'))
refused(2, 'chdir', fio.chdir('/none/x'))
refused(2, 'readlink', fio.readlink('/none/x'))
refused(2, 'listdir', fio.listdir('/none/x'))
refused(2, 'link', fio.link('/none/x', '/none/y'))
refused(36, 'a name too long', fio.mkdir(('x'):rep(100000)))
refused(22, 'nobody', fio.chown(dir, 'no such user', 0))
tap.like(select(2, fio.stat('/none/x')), '^fio.stat%(/none/x%): No such file',
    'the message names it')

-- One call each.
fio.umask(18)
tap.is(fio.umask(), 18, 'umask tells')
tap.is(fio.umask(63), 18, 'umask gives the old one')
tap.is(fio.mkdir(at('m')), true, 'mkdir')
tap.is(fio.stat(at('m')).mode % 512, 448, 'less the mask')
fio.umask(18)
tap.is(fio.mkdir(at('m2'), {'S_IRWXU', 'S_IRGRP'}), true, 'a mode by names')
tap.is(fio.stat(at('m2')).mode % 512, 448 + 32, 'it is that')
tap.is(fio.rmdir(at('m2')), true, 'rmdir')
put(at('f'), 'hello')
local st = fio.stat(at('f'))
tap.ok(st.size == 5 and st:is_reg() and not st:is_dir() and st.nlink == 1,
    'stat')
tap.ok(math.abs(st.mtime - os.time()) < 60, 'a time')
tap.is(fio.symlink('f', at('l')), true, 'symlink')
tap.is(fio.readlink(at('l')), 'f', 'readlink')
tap.ok(fio.lstat(at('l')):is_link() and fio.stat(at('l')):is_reg(), 'lstat')
tap.is(fio.link(at('f'), at('h')), true, 'link')
tap.is(fio.stat(at('h')).inode, st.inode, 'the same file')
tap.is(fio.rename(at('h'), at('h2')), true, 'rename')
tap.is(fio.unlink(at('h2')), true, 'unlink')
tap.is(fio.chmod(at('f'), 416), true, 'chmod')
tap.is(fio.stat(at('f')).mode % 512, 416, 'it is that')
tap.is(fio.chown(at('f'), fio.stat(dir).uid, fio.stat(dir).gid), true, 'chown')
tap.is(fio.truncate(at('f'), 2), true, 'truncate')
tap.is(get(at('f')), 'he', 'it is shorter')
tap.is(fio.utime(at('f'), 1.5, -2.25), true, 'utime')
st = fio.stat(at('f'))
tap.ok(st.atime == 1.5 and st.mtime == -2.25, 'with fractions')
tap.is(fio.sync(), true, 'sync')
fio.symlink('nowhere', at('broken'))
for name, want in pairs({
    exists = {true, true, true, false, false},
    lexists = {true, true, true, true, false},
    is_file = {true, false, true, false, false},
    is_dir = {false, true, false, false, false},
    is_link = {false, false, true, true, false},
}) do
    local got = {}
    for i, what in ipairs({'f', 'm', 'l', 'broken', 'none'}) do
        got[i] = fio.path[name](at(what))
    end
    tap.same(got, want, 'path.' .. name)
end
local cwd = fio.cwd()
tap.ok(fio.chdir(dir) and fio.path.exists('f') and fio.chdir(cwd), 'chdir')
local names = fio.listdir(dir)
table.sort(names)
tap.is(table.concat(names, ' '), 'broken f l m', 'listdir')
tap.same(fio.glob(at('[fl]')), {at('f'), at('l')}, 'glob')
tap.same(fio.glob(at('none*')), {}, 'glob of nothing')

-- Open files.
local fh = fio.open(at('o'), {'O_RDWR', 'O_CREAT', 'O_EXCL'}, tonumber('640', 8))
tap.is(fio.stat(at('o')).mode % 512, 416, 'the mode')
tap.ok(fh.fh > 2 and tostring(fh) == 'fh: ' .. fh.fh, 'its number')
refused(17, 'O_EXCL', fio.open(at('o'), {'O_RDWR', 'O_CREAT', 'O_EXCL'}))
tap.is(fh:write('hello world'), true, 'write')
tap.is(fh:pwrite('HE', 0), true, 'pwrite')
tap.is(fh:read(), '', 'read at the end')
tap.is(fh:seek(0), 0, 'seek')
tap.is(fh:read(5), 'HEllo', 'some bytes')
tap.is(fh:read(), ' world', 'the rest')
tap.is(fh:pread(5, 6), 'world', 'pread')
tap.is(fh:pread(50, 6), 'world', 'pread beyond the end')
tap.is(fh:seek(-5, 'SEEK_END'), 6, 'seek from the end')
tap.is(fh:seek(1, fio.c.seek.SEEK_CUR), 7, 'seek from here')
refused(22, 'seek before', fh:seek(-1))
local buffer = ffi.new('char[8]')
tap.is(fh:read(buffer, 3), 3, 'into a buffer')
tap.is(ffi.string(buffer, 3), 'orl', 'it is there')
tap.is(fh:pread(buffer, 8, 9), 2, 'pread into it')
tap.is(fh:pwrite(buffer, 2, 0), true, 'pwrite of it')
fh:seek(0, 'SEEK_END')
tap.is(fh:write(buffer, 1), true, 'write of it')
tap.is(get(at('o')), 'ldllo worldl', 'all in its place')
tap.ok(fh:stat().size == 12 and fh:stat():is_reg(), 'stat of it')
tap.is(fh:truncate(3), true, 'truncate of it')
tap.is(fh:fsync(), true, 'fsync')
tap.is(fh:fdatasync(), true, 'fdatasync')
for name, args in pairs({read = {'x'}, write = {}, seek = {}, pread = {1},
    pwrite = {'x'}, truncate = {-1}}) do
    tap.throws(function() fh[name](fh, unpack(args)) end, 'fh:', 'wrong ' .. name)
    tap.throws(function() fh[name]({}, 1, 1) end, 'file of fio', 'no file')
end
tap.throws(function() fh:seek(0, 'SEEK_X') end, 'unknown whence', 'a wrong one')
tap.throws(function() fh:read(-1) end, 'whole number', 'less than nothing')
tap.is(fh:close(), true, 'close')
tap.is(fh.fh, -1, 'it is closed')
refused(9, 'read of a closed one', fh:read())
refused(9, 'write of a closed one', fh:write('x'))
refused(9, 'close of a closed one', fh:close())
local full = fio.open('/dev/full', {'O_WRONLY'})
refused(28, 'a full disk', full:write('x'))
full:close()
refused(21, 'read of a folder', fio.open(dir):read())
tap.is(#fio.open('/dev/zero'):read(5000000), 5000000, 'much')

-- Trees.
tap.is(fio.mktree(at('t/a/b')), true, 'mktree')
tap.is(fio.mktree(at('t/a/b')), true, 'once more')
local ok, text = fio.mktree(at('f/x'))
tap.ok(ok == false and text:match('Not a directory'), 'through a file')
put(at('t/a/f'), 'file', 448)
fio.symlink('../f', at('t/a/l'))
fio.symlink('/', at('t/a/root'))
tap.is(fio.copytree(at('t'), at('u/v')), true, 'copytree')
tap.ok(get(at('u/v/a/f')) == 'file' and fio.readlink(at('u/v/a/l')) == '../f'
    and fio.path.is_dir(at('u/v/a/b')), 'all is there')
tap.is(fio.stat(at('u/v/a/f')).mode % 512, 448, 'with its mode')
ok, text = fio.copytree(at('t'), at('t/a/copy'))
tap.ok(ok == false and text:match('inside what is copied'), 'into itself')
ok, text = fio.copytree('/none', at('w'))
tap.ok(ok == false and text:match('No such'), 'of nothing')
os.execute('mkfifo ' .. at('t/fifo'))
ok, text = fio.copytree(at('t'), at('u2'))
tap.ok(ok == false and text:match('fifo'), 'of what is no file')
tap.is(fio.copyfile(at('t/a/f'), at('u')), true, 'copyfile into a folder')
tap.is(get(at('u/f')), 'file', 'under its name')
tap.is(fio.copyfile('/proc/self/status', at('status')), true, 'without a size')
tap.like(get(at('status')), 'VmRSS', 'it is there')
ok, text = fio.copyfile(at('t/a/f'), at('t/a/f'))
tap.ok(ok == false and text:match('failed to copy'), 'onto itself')
tap.is(get(at('t/a/f')), 'file', 'nothing is lost')
ok, text = fio.copyfile(at('none'), at('u'))
tap.ok(ok == false and text:match('failed to copy'), 'of nothing')
tap.is(fio.rmtree(at('u')), true, 'rmtree')
tap.is(fio.path.exists(at('t/a/f')), true, 'links are not followed')
ok, text = fio.rmtree(at('u'))
tap.ok(ok == false and text:match('No such'), 'rmtree of nothing')
ok, text = fio.rmtree(at('f'))
tap.ok(ok == false and text:match('Not a directory'), 'rmtree of a file')
tap.is(fio.mktree(at(('d/'):rep(250))), true, 'a deep one')
tap.is(fio.rmtree(at('d')), true, 'and gone')

-- Nobody else waits; a cancel and a deadline reach the waits; nothing is left.
os.execute('mkfifo ' .. at('fifo'))
local keep = fio.open(at('fifo'), {'O_RDWR'})
collectgarbage() collectgarbage()
fiber.sleep(0.05)
local before = descriptors()
local function ended(f, ...)
    local victim = fiber.new(function(...) return pcall(f, ...) end, ...)
    victim:set_joinable(true)
    fiber.sleep(0.02)
    victim:cancel()
    local _, done, why = victim:join()
    return not done and tostring(why) == 'fiber is cancelled'
end
tap.ok(ended(function() keep:read(1) end), 'a read is cancelled')
tap.ok(ended(function() keep:write(('x'):rep(1000000)) end), 'and a write')
os.execute('mkfifo ' .. at('fifo2'))
tap.ok(ended(function() fio.open(at('fifo2')) end), 'and an open')
-- The thread goes on until somebody opens the other end; then nothing stays.
fio.open(at('fifo2'), {'O_RDWR'}):close()
local done, why = pcall(fiber.deadline, 0.02, function()
    while true do keep:read(100000) end
end)
tap.ok(not done and why.type == 'TimedOut', 'a deadline')
local readers = {}
for i = 1, 3 do
    readers[i] = fiber.new(function() return keep:read(1) end)
    readers[i]:set_joinable(true)
end
fiber.sleep(0.01)
tap.is(keep:write('abc'), true, 'three readers')
local got = {}
for i = 1, 3 do got[i] = select(2, readers[i]:join()) end
table.sort(got)
tap.is(table.concat(got), 'abc', 'each has its byte')
-- Closed under a reader: it reads on, and the descriptor is not another's.
local last = fiber.new(function() return keep:read(1) end)
last:set_joinable(true)
fiber.sleep(0.01)
local other = fio.open(at('fifo'), {'O_RDWR'})
tap.is(keep:close(), true, 'closed under a reader')
other:write('z')
tap.is(select(2, last:join()), 'z', 'who has what came')
other:close()
-- Many at once, and the same file.
local many = fio.open(at('many'), {'O_RDWR', 'O_CREAT'})
local writers = {}
for i = 1, 50 do
    writers[i] = fiber.new(function()
        assert(many:pwrite(('%c'):format(64 + i):rep(1000), (i - 1) * 1000))
    end)
    writers[i]:set_joinable(true)
end
for i = 1, 50 do writers[i]:join() end
local good = true
for i = 1, 50 do
    good = good and many:pread(1000, (i - 1) * 1000)
        == ('%c'):format(64 + i):rep(1000)
end
tap.ok(good, 'fifty writers')
many:close()
-- Collected handles are closed.
for _ = 1, 50 do fio.open(at('f')) end
local latest = fiber.clock() + 60
repeat
    collectgarbage() fiber.sleep(0.01)
until descriptors() < before or fiber.clock() > latest
tap.ok(descriptors() < before, 'collected, and nothing is left open')
tap.is(fio.rmtree(dir), true, 'all is gone')
tap.done()
