-- A module that is loaded often: the path is watched, and not looked at on each
-- load. Whatever is done to the file or the way to it, by this process or by
-- another, the next load sees; and the same where nothing can be watched.
--
-- test: timeout 180
local cmod = require('cmod')
local ffi = require('ffi')
local kit = require('cmod_kit')
local tap = require('tap')

-- Nothing is watched: by a limit, or on a file system that is not.
local bare = os.getenv('NEAP_TEST_UNWATCHED') or os.execute([[
    d=$PWD
    while stat -f -c %T "$d" | grep -qx 'ext2/ext3\|xfs\|tmpfs'; do
        [ "$d" != / ] || exit 0
        d=$(dirname "$d")
    done
    exit 1]]) ~= 0

ffi.cdef([[
    int getpid(void);
    char *realpath(const char *path, char *real);
    int truncate(const char *path, long size);
    int link(const char *from, const char *to);
    int renameat2(int a, const char *from, int b, const char *to, unsigned f);
]])
local here = ffi.string(ffi.C.realpath('.', ffi.new('char[4096]')))

local function sh(command)
    assert(os.execute(command) == 0, command)
end

local builds = {}
for n = 1, 2 do
    kit.build('b.so', ([[
        #include <neap/module.h>
        int version(neap_call_t *c, const char *a, const char *e)
        { static const char n = %d; return neap_return_mp(c, &n, &n + 1); }
    ]]):format(n))
    builds[n] = kit.read('b.so')
end
assert(#builds[1] == #builds[2])

-- r/1/lib/m.so and r/2/lib/m.so are the two versions, both settled, and cur leads
-- to r/1.
local function build_tree()
    sh('rm -rf r; mkdir -p r/1/lib r/2/lib; ln -s 1 r/cur')
    for n = 1, 2 do
        local so = ('r/%d/lib/m.so'):format(n)
        kit.overwrite(so, builds[n])
        kit.set_time(so, 1000000000 + n)
    end
end

-- Whether an inotify watch of this process lies on what `path` leads to.
local function is_watched(path)
    local p = io.popen(([[
        ino=$(stat -Lc %%i %s)
        cat /proc/%d/fdinfo/* 2>/dev/null | grep inotify |
            grep -c " ino:$(printf %%x "$ino") "]]):format(path, ffi.C.getpid()))
    local count = tonumber(p:read('*l'))
    p:close()
    return count > 0
end

local function version(path)
    local ok, m = pcall(cmod.load, path)
    if not ok then return nil end
    local n = select(2, m:load('version')())
    m:unload()
    return n
end

local one, two = 'r/1/lib/m.so', 'r/2/lib/m.so'
local function exchange(a, b)
    assert(ffi.C.renameat2(-100, a, -100, b, 2) == 0)
end
-- name, by this process, by another one, the version then: nil for none
local changes = {
    { 'written in place', function()
        local f = assert(io.open(one, 'r+b'))
        f:write(builds[2])
        f:close()
    end, 'cat r/2/lib/m.so 1<>r/1/lib/m.so', 2 },
    { 'copied over', function() kit.overwrite(one, builds[2]) end,
        'cp r/2/lib/m.so r/1/lib/m.so', 2 },
    { 'truncated', function() assert(ffi.C.truncate(one, 100) == 0) end,
        'truncate -s 100 r/1/lib/m.so', nil },
    { 'replaced', function() kit.rename(two, one) end,
        'mv r/2/lib/m.so r/1/lib/m.so', 2 },
    { 'replaced by a hard link', function()
        assert(ffi.C.link(two, 'r/new') == 0)
        kit.rename('r/new', one)
    end, 'ln -f r/2/lib/m.so r/1/lib/m.so', 2 },
    { 'exchanged', function() exchange(one, two) end, nil, 2 },
    { 'deleted', function() os.remove(one) end, 'rm r/1/lib/m.so', nil },
    { 'made anew', function()
        os.remove(one)
        kit.overwrite(one, builds[2])
    end, 'rm r/1/lib/m.so; cp r/2/lib/m.so r/1/lib/m.so', 2 },
    { 'the folder renamed', function() kit.rename('r/1/lib', 'r/1/l') end,
        'mv r/1/lib r/1/l', nil },
    { 'a folder above renamed', function()
        kit.rename('r/1', 'r/old')
        kit.rename('r/2', 'r/1')
    end, 'mv r/1 r/old; mv r/2 r/1', 2 },
    { 'the first folder renamed', function() kit.rename('r', 'r2') end,
        'mv r r2', nil },
    { 'folders exchanged', function() exchange('r/1', 'r/2') end, nil, 2 },
    { 'the link turned', function()
        kit.symlink('2', 'r/new')
        kit.rename('r/new', 'r/cur')
    end, 'ln -s 2 r/new; mv -T r/new r/cur', 2 },
    { 'the link made anew', function()
        os.remove('r/cur')
        kit.symlink('2', 'r/cur')
    end, 'ln -sfn 2 r/cur', 2 },
    { 'all removed', nil, 'rm -r r', nil },
}

-- Loaded so often that it is watched, if it can be.
local function settle(path)
    local m = cmod.load(path)
    for _ = 1, 300 do cmod.load(path):unload() end
    return m
end

for _, change in ipairs(changes) do
    for by = 2, 3 do
        local what = change[by]
        if what ~= nil then
            local name = change[1] .. (by == 3 and ', by another' or '')
            sh('rm -rf r2')
            build_tree()
            local path = here .. '/r/cur/lib/m'
            local m = settle(path)
            tap.is(is_watched(one) and is_watched('r/1') and is_watched('/'),
                not bare, name .. ': watched before')
            if by == 2 then what() else sh(what) end
            tap.is(version(path), change[4], name)
            m:unload()
        end
    end
end

-- A touch alone: the same bytes, but loaded anew.
for by = 1, 2 do
    build_tree()
    local path = here .. '/r/cur/lib/m'
    local m = settle(path)
    if by == 1 then kit.set_time(one, 1100000000) else sh('touch ' .. one) end
    local m2 = cmod.load(path)
    tap.is(m.state .. ' ' .. m2.state, 'orphan cached', 'touched')
    m:unload()
    m2:unload()
end

-- One that is not there, and comes back.
build_tree()
local path = here .. '/r/cur/lib/m'
local m = settle(path)
kit.rename('r/1', 'r/away')
tap.is(version(path), nil, 'away')
kit.rename('r/away', 'r/1')
for _ = 1, 300 do cmod.load(path):unload() end
tap.is(version(path), 1, 'and back')
kit.chmod(one, 384)
tap.is(m.state, 'cached', 'a mode changes nothing')
cmod.load(path):unload()
tap.is(m.state, 'cached', 'nor does a load then')
m:unload()

-- What the watch holds is given back with the last module.
build_tree()
local fds = kit.open_fds()
m = settle(path)
tap.is(kit.open_fds(), fds + (bare and 1 or 4),
    'descriptors: of the copy, and of a watch')
m:unload()
collectgarbage()
tap.is(kit.live_count(), 0, 'no module is left')
tap.is(kit.open_fds(), fds, 'nor a descriptor')

-- The same again for a user who may not watch anything.
if not bare then
    local command = [[unshare -Ur sh -c 'echo 0 >/proc/sys/user/]] ..
        [[max_inotify_instances && ]]
    if os.execute(command .. "true' 2>/dev/null") == 0 then
        sh('mkdir -p bare')
        tap.is(os.execute(('cd bare && NEAP_TEST_UNWATCHED=1 %s exec "%s" ' ..
            '"%s/test/functional/cmod/test_watched_path.lua"\' >out 2>&1')
            :format(command, os.getenv('NEAP_BIN'),
                os.getenv('NEAP_SOURCE_DIR'))), 0, 'without watches')
        local text = kit.read('bare/out')
        tap.unlike(text, '\nnot ok', 'and all is well there')
        tap.like(text, '\n1%.%.%d', 'and all was looked at')
    else
        tap.skip('without watches', 'no user namespaces here')
    end
end

tap.done()
