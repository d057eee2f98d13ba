-- Every row of the error table of cmod: type, code and message.
local cmod = require('cmod')
local ffi = require('ffi')
local kit = require('cmod_kit')
local tap = require('tap')

ffi.cdef('int getuid(void); int geteuid(void); int seteuid(int uid);')

local ENOENT, EACCES, ENOTDIR, EISDIR = 2, 13, 20, 21
local ENAMETOOLONG, ELOOP = 36, 40
local ILLEGAL, NO_FUNCTION, SYSTEM, LOAD, NO_MODULE = 1, 51, 115, 138, 165

-- f(...) throws an error object that says so.
local function throws(name, want, f, ...)
    local ok, err = pcall(f, ...)
    if not tap.ok(not ok and type(err) == 'userdata', name .. ': thrown') then
        tap.diag(tostring(err))
        return
    end
    tap.is(err.type, want.type, name .. ': type')
    tap.is(err.code, want.code, name .. ': code')
    tap.is(err.errno, want.errno, name .. ': errno')
    tap.like(err.message, want.message, name .. ': message')
    tap.is(tostring(err), err.message, name .. ': text')
end

local function illegal(message)
    return { type = 'IllegalParams', code = ILLEGAL, message = message }
end

local function client(code, message)
    return { type = 'ClientError', code = code, message = message }
end

local function system(errno, message)
    return { type = 'SystemError', code = SYSTEM, errno = errno,
        message = message }
end

-- load
throws('load()', illegal('^cmod.load: the path: a string is wanted, not no value'),
    cmod.load)
throws('load(nil)', illegal('a string is wanted, not nil'), cmod.load, nil)
throws('load(5)', illegal('a string is wanted, not number'), cmod.load, 5)
throws('load({})', illegal('a string is wanted, not table'), cmod.load, {})
throws("load('')", illegal('^cmod.load: the path is empty'), cmod.load, '')
throws('load with a NUL', illegal("the path 'a\\0...' holds a NUL"), cmod.load,
    'a\0b')
throws('load with an option', illegal("no option 'prob'"), cmod.load, 'x',
    { prob = true })
throws('load with options that are none', illegal('options are a table'),
    cmod.load, 'x', 5)
throws('a missing path', client(NO_MODULE, "^no module './nope', tried:\n\t./nope.so$"),
    cmod.load, './nope')
throws('a missing name', client(NO_MODULE, "no module 'nope', tried:\n\tnope.so\n"),
    cmod.load, 'nope')
throws('a path below a file', client(NO_MODULE, 'no module'), cmod.load,
    kit.dir .. 'calls.so/x')
throws("a path with '.so'", client(NO_MODULE,
    "leave off the '.so', load%('./x/calls'%)"), cmod.load, './x/calls.so')
throws("a name with '.so'", client(NO_MODULE, "leave off"), cmod.load, 'calls.so')
for _, name in ipairs({ '.x', 'x.', 'a..b', '..' }) do
    throws('the name ' .. name, client(NO_MODULE, 'part of its name is empty'),
        cmod.load, name)
end
throws('a path of 5,000 bytes', system(ENAMETOOLONG, 'File name too long'),
    cmod.load, './' .. ('x'):rep(5000))
throws('a name of 300 bytes', system(ENAMETOOLONG, 'File name too long'),
    cmod.load, './' .. ('x'):rep(300))

kit.mkdir('folder.so')
throws('a folder', system(EISDIR, "module './folder': ./folder.so: Is a directory"),
    cmod.load, './folder')
throws('a folder by name', system(EISDIR, "module 'folder': .*folder.so"),
    cmod.load, 'folder')
kit.symlink('nowhere', 'dangling.so')
throws('a dangling link', system(ENOENT,
    './dangling.so is a link to nowhere: No such file'), cmod.load, './dangling')
throws('a dangling link by name', system(ENOENT, 'is a link to nowhere'),
    cmod.load, 'dangling')
kit.symlink('loop.so', 'loop.so')
throws('a link to itself', system(ELOOP, 'Too many levels'), cmod.load, './loop')
kit.symlink('round', 'round')
throws('a loop of folders', system(ELOOP,
    "module './round/m': ./round/m.so: Too many levels"), cmod.load, './round/m')
kit.symlink(kit.dir .. 'calls.so/below', 'below.so')
throws('a link to below a file', system(ENOTDIR, './below.so: Not a directory'),
    cmod.load, './below')
assert(os.execute('mkfifo fifo.so') == 0)
throws('a FIFO', client(LOAD, "'/.*/fifo.so': not a regular file"), cmod.load,
    './fifo')
kit.overwrite('empty.so', '')
throws('an empty file', client(LOAD, 'the file is empty'), cmod.load, './empty')
kit.overwrite('text.so', '#!/bin/sh\necho hello\n' .. (' '):rep(100))
throws('a script', client(LOAD, 'not a sound shared library: e_ident: not an ELF'),
    cmod.load, './text')
kit.overwrite('short.so', '\127ELF')
throws('four bytes', client(LOAD, 'ends inside the ELF header'), cmod.load,
    './short')

local good = kit.read(kit.dir .. 'calls.so')
kit.overwrite('half.so', good:sub(1, #good / 2))
throws('half a library', client(LOAD, 'truncated'), cmod.load, './half')
kit.overwrite('zeros.so', good:sub(1, 4096) .. ('\0'):rep(#good - 4096))
throws('a half-written library', client(LOAD, 'not a sound shared library'),
    cmod.load, './zeros')
kit.overwrite('class.so', good:sub(1, 4) .. '\1' .. good:sub(6))
throws('a 32-bit library', client(LOAD, 'EI_CLASS: 32%-bit'), cmod.load, './class')
kit.overwrite('machine.so', good:sub(1, 18) .. '\40\0' .. good:sub(21))
throws("another machine's library", client(LOAD, 'e_machine: 40'), cmod.load,
    './machine')
kit.build('undefined.so', 'int nowhere(void); int f(void) {return nowhere();}')
throws('a missing symbol', client(LOAD, 'undefined.so\': undefined symbol: nowhere'),
    cmod.load, './undefined')
kit.overwrite('program.c', 'int main(void) { return 0; }')
assert(os.execute((os.getenv('CC') or 'cc') ..
    ' -fPIE -pie -o program.so program.c') == 0)
throws('a program', client(LOAD, 'DT_FLAGS_1: a program'), cmod.load, './program')

kit.overwrite('secret.so', good)
kit.chmod('secret.so', 0)
if ffi.C.geteuid() == 0 then
    assert(os.execute('chmod 755 .') == 0)
    ffi.C.seteuid(65534)
    local cwd = io.open('secret.so', 'rb')
    throws('an unreadable file', system(EACCES, 'Permission denied'), cmod.load,
        './secret')
    ffi.C.seteuid(0)
    tap.ok(cwd == nil, 'it is unreadable indeed')
else
    throws('an unreadable file', system(EACCES, "cannot open .*secret.so"),
        cmod.load, './secret')
end

-- cannot be stat'ed: by a user who may not look into the folder
kit.mkdir('closed')
kit.overwrite('closed/m.so', good)
kit.symlink('closed/m.so', 'into.so')
kit.chmod('closed', 0)
if ffi.C.geteuid() == 0 then
    ffi.C.seteuid(65534)
end
throws('a closed folder', system(EACCES,
    "module './closed/m': ./closed/m.so: Permission denied"), cmod.load,
    './closed/m')
throws('a closed folder by name', system(EACCES, 'closed/m.so: Permission denied'),
    cmod.load, 'closed.m')
throws('a link into it', system(EACCES, './into.so: Permission denied'),
    cmod.load, './into')
ffi.C.seteuid(ffi.C.getuid())
kit.chmod('closed', 493)

-- There it is, but its real path is longer than any may be.
for _ = 1, 20 do
    kit.mkdir(('d'):rep(250))
    kit.chdir(('d'):rep(250))
end
kit.overwrite('m.so', good)
throws('a file far down', system(ENAMETOOLONG, './m.so: File name too long'),
    cmod.load, './m')
os.remove('m.so')
for _ = 1, 20 do
    kit.chdir('..')
end
tap.is(os.execute('rm -r ' .. ('d'):rep(250)), 0, 'back again')

-- module:load
local m = cmod.load(kit.dir .. 'calls')
throws('m:load()', illegal("the function's name: a string is wanted"), m.load, m)
throws('m:load(5)', illegal('a string is wanted, not number'), m.load, m, 5)
throws("m:load('')", illegal("the function's name is empty"), m.load, m, '')
throws('m:load with a NUL', illegal("name 'echo\\0...' holds a NUL"), m.load, m,
    'echo\0x')
throws('m:load with 257 bytes', illegal('257 bytes, at most 256'), m.load, m,
    ('x'):rep(257))
throws('m:load with 256 bytes', client(NO_FUNCTION, "no function 'xxx"), m.load,
    m, ('x'):rep(256))
throws('m:load of nothing', client(NO_FUNCTION,
    "^no function 'nope' in module '.*calls'$"), m.load, m, 'nope')
throws('m:load of data', client(NO_FUNCTION, 'the symbol is data'), m.load, m,
    'data_symbol')
throws('m:load of thread-local data', client(NO_FUNCTION, 'the symbol is data'),
    m.load, m, 'thread_symbol')
tap.ok(m:load('by_resolver')(), 'a function that a resolver chooses')
throws("m:load of another's", client(NO_FUNCTION, "another library's"), m.load,
    m, 'malloc')
throws('m:load with an option', illegal("no option 'offloaded'"), m.load, m,
    'echo', { offloaded = true })
throws('m.load of a table', illegal('a module is wanted, not table'), m.load, {},
    'echo')
throws('m[1]', illegal("a field's name is wanted, not number"), function()
    return m[1]
end)
throws('m[nil]', illegal('not nil'), function() return m[nil] end)

-- functions
local f = m:load('echo')
throws('f[true]', illegal("a field's name is wanted, not boolean"), function()
    return f[true]
end)
throws('f.unload of a module', illegal('^a function is wanted, not userdata'),
    f.unload, m)
throws('f.unload()', illegal('wanted'), f.unload)
tap.is(f:unload(), true, 'f:unload()')
throws('f:unload() again', illegal("function '.*calls.echo' is unloaded"),
    f.unload, f)
throws('f() after it', illegal("function '.*calls.echo' is unloaded"), f, 1)

-- unloaded modules
tap.is(m:unload(), true, 'm:unload()')
throws('m:unload() again', illegal("module '.*calls' is unloaded"), m.unload, m)
throws('m:load() after it', illegal("module '.*calls' is unloaded"), m.load, m,
    'echo')
throws('m.unload()', illegal('a module is wanted'), m.unload)
throws("m.unload('x')", illegal('a module is wanted, not string'), m.unload, 'x')

-- live
throws('live()', illegal('cmod.live: the path'), cmod.live)
throws("live('x')", illegal("cmod.live: the function's name"), cmod.live, 'x')
throws('live of nothing', client(NO_MODULE, 'no module'), cmod.live, './nope',
    'f')
throws('live without the function', client(NO_FUNCTION, 'no function'),
    cmod.live, kit.dir .. 'calls', 'nope')

f, m = nil, nil
tap.is(kit.live_count(), 0, 'no module is left')
tap.done()
