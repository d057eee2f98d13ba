-- C modules made on the spot, and files changed as editors, linkers and package
-- managers change them. Paths are relative to the test's own folder.
local ffi = require('ffi')

ffi.cdef([[
    int chdir(const char *path);
    int chmod(const char *path, unsigned mode);
    int rename(const char *from, const char *to);
    int symlink(const char *target, const char *path);
    int mkdir(const char *path, unsigned mode);
    void *opendir(const char *path);
    void *readdir(void *dir);
    int closedir(void *dir);
    int utimensat(int dir, const char *path, const void *times, int flags);
]])

local kit = {}

-- What the server opens when it first waits for a descriptor, and keeps, is no leak.
do
    local child = assert(require('popen').new({ '/bin/sleep', '100' }))
    child:wait(0.001)
    child:close()
end

local root = os.getenv('NEAP_SOURCE_DIR') or '.'
local cc = os.getenv('CC') or 'cc'

--- Where the modules of test/cmod were built.
kit.dir = (os.getenv('NEAP_TEST_CMOD_DIR') or 'build/test/cmod') .. '/'

local function check(rc, what)
    if rc ~= 0 then
        error(what .. ': errno ' .. ffi.errno(), 3)
    end
end

function kit.chdir(path) check(ffi.C.chdir(path), path) end
function kit.chmod(path, mode) check(ffi.C.chmod(path, mode), path) end
function kit.rename(from, to) check(ffi.C.rename(from, to), from) end
function kit.symlink(target, path) check(ffi.C.symlink(target, path), path) end
function kit.mkdir(path) check(ffi.C.mkdir(path, 493), path) end

--- Sets the time of last change, in seconds since 1970.
function kit.set_time(path, seconds)
    local times = ffi.new('long[4]', seconds, 0, seconds, 0)
    check(ffi.C.utimensat(-100, path, times, 0), path)
end

function kit.read(path)
    local f = assert(io.open(path, 'rb'))
    local data = f:read('*a')
    f:close()
    return data
end

--- Writes into the file as it is: the inode stays.
function kit.overwrite(path, data)
    local f = assert(io.open(path, 'wb'))
    assert(f:write(data))
    assert(f:close())
end

--- Puts a new file in its place.
function kit.replace(path, data)
    kit.overwrite(path .. '.new', data)
    kit.rename(path .. '.new', path)
end

--- Compiles C text to `so`, with flags before it and libraries behind.
function kit.build(so, source, flags, libraries)
    kit.overwrite(so .. '.c', source)
    local command = ('%s -shared -fPIC -w -I%s/src/include %s -o %s %s.c %s')
        :format(cc, root, flags or '', so, so, libraries or '')
    assert(os.execute(command) == 0, command)
    os.remove(so .. '.c')
end

--- Instances alive once what nobody holds has been collected.
function kit.live_count()
    collectgarbage()
    collectgarbage()
    return #require('cmod').list()
end

--- Open descriptors of this process, but for the one that looks.
function kit.open_fds()
    collectgarbage()
    collectgarbage()
    local dir, count = ffi.C.opendir('/proc/self/fd'), 0
    assert(dir ~= nil)
    while ffi.C.readdir(dir) ~= nil do
        count = count + 1
    end
    ffi.C.closedir(dir)
    return count - 3 -- ".", ".." and the folder itself
end

--- Calls @f where no wait can be: below a C function, table.sort(), that asks a
-- metamethod.
function kit.where_no_wait(f)
    local mt = { __lt = function() f() return false end }
    table.sort({ setmetatable({}, mt), setmetatable({}, mt) })
end

return kit
