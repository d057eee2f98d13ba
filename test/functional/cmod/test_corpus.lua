-- Broken libraries, made on the spot from good ones, all loaded by cmod.load in
-- this one process, which must survive them: each is refused with a ClientError
-- that names the file, or it is as good as its original.
--
-- Damage never touches code here, nor what initialisers are made of: what such a
-- library does when it runs cannot be told from outside (unit/cmod/test_corpus
-- counts them, in processes of their own).
--
-- test: timeout 240, soak 1800
local bit = require('bit')
local cmod = require('cmod')
local ffi = require('ffi')
local kit = require('cmod_kit')
local tap = require('tap')

local source = [[
    #include <neap/module.h>
    #include <math.h>
    #include <stdio.h>
    #include <stdlib.h>
    __thread int tls_a = 3; __thread int tls_b;
    int data_sym = 5; char bss_big[9000];
    const char *names[] = { "a", "b", "c" };
    int (*table[])(const char *, ...) = { printf, printf };
    __attribute__((constructor)) static void up(void) { bss_big[1] = 1; }
    __attribute__((destructor)) static void down(void) { bss_big[1] = 0; }
    NEAP_EXPORT int answer(neap_call_t *c, const char *a, const char *e)
    { char n = 42; return neap_return_mp(c, &n, &n + 1); }
    NEAP_EXPORT int many(int n) { switch (n) { case 1: return puts("1");
      case 2: return getenv("x") != 0; case 3: return (int)sin(tls_b + n);
      default: return table[0](names[tls_a]); } }
]]
local cxx_source = [[
    #include <neap/module.h>
    #include <string>
    #include <vector>
    static std::vector<std::string> words{"a", "b"};
    thread_local std::string mine = "mine";
    struct base { virtual ~base() {} virtual int f() { return 1; } };
    struct derived : base { int f() override { return 42; } };
    extern "C" NEAP_EXPORT int answer(neap_call_t *c, const char *a, const char *e)
    { try { if (a > e) throw std::string("x"); } catch (std::string &) { return 1; }
      base *p = new derived; char n = p->f(); delete p;
      return neap_return_mp(c, &n, &n + 1); }
]]

local flags = {
    { 'plain', '-O1' },
    { 'now, relro', '-O2 -Wl,-z,now,-z,relro' },
    { 'sysv hash', '-O1 -Wl,--hash-style=sysv' },
    { 'versions', '-O1 -Wl,--version-script=lib.map' },
    { 'packed', '-O1 -Wl,-z,pack-relative-relocs' },
    { 'C++', '-O1 -x c++', cxx_source, '-x none -static-libgcc -lstdc++' },
}
kit.overwrite('lib.map', 'V1 { global: answer; local: nothing*; };\n' ..
    'V2 { global: many; } V1;\n')

local function number(data, at, size) -- at counts from 0
    local n = 0
    for i = size, 1, -1 do n = n * 256 + data:byte(at + i) end
    return n
end

-- Where headers, segments and sections of a library begin and end.
local function parse(data)
    local lib = { data = data, size = #data, edges = {}, tables = {}, code = {} }
    local phoff, shoff = number(data, 32, 8), number(data, 40, 8)
    local phnum, shnum = number(data, 56, 2), number(data, 60, 2)
    lib.phoff, lib.phsize = phoff, phnum * 56
    lib.shoff, lib.shsize = shoff, shnum * 64
    for i = 0, phnum - 1 do
        local p = phoff + i * 56
        local offset, size = number(data, p + 8, 8), number(data, p + 32, 8)
        for _, edge in ipairs({ p, p + 28, offset, offset + 1, offset + size - 1,
                offset + size }) do
            if edge < #data then lib.edges[#lib.edges + 1] = edge end
        end
    end
    local arrays, relocations = {}, {}
    local function hold(at, size) lib.code[#lib.code + 1] = { at, at + size } end
    for i = 1, shnum - 1 do
        local s = shoff + i * 64
        local kind, sflags = number(data, s + 4, 4), number(data, s + 8, 8)
        local at, size = number(data, s + 24, 8), number(data, s + 32, 8)
        local allocated, executable = sflags % 4 >= 2, sflags % 8 >= 4
        if kind ~= 8 and allocated and size > 0 then
            if kind == 14 or kind == 15 then
                arrays[#arrays + 1] = { number(data, s + 16, 8), size }
            elseif kind == 4 then
                relocations[#relocations + 1] = { at, size }
            elseif kind == 6 then -- DT_INIT and DT_FINI
                for d = at, at + size - 16, 16 do
                    local tag = number(data, d, 8)
                    if tag == 12 or tag == 13 then hold(d + 8, 8) end
                end
            elseif kind == 11 then -- values of symbols
                for symbol = at, at + size - 24, 24 do hold(symbol + 8, 8) end
            end
            if executable or kind == 14 or kind == 15 then
                hold(at, size)
            elseif kind ~= 1 then
                lib.tables[#lib.tables + 1] = { at, size }
            end
        end
    end
    -- Which symbol a relocation names, and where entries of the arrays point.
    for _, table in ipairs(relocations) do
        for r = table[1], table[1] + table[2] - 24, 24 do
            local place = number(data, r, 8)
            hold(r + 12, 4)
            for _, array in ipairs(arrays) do
                if place >= array[1] and place < array[1] + array[2] then
                    hold(r + 16, 8)
                end
            end
        end
    end
    return lib
end

-- Numbers by chance, the same each time.
local state = ffi.new('uint64_t[1]')
local function chance(n)
    local s = state[0]
    s = bit.bxor(s, bit.lshift(s, 13))
    s = bit.bxor(s, bit.rshift(s, 7))
    s = bit.bxor(s, bit.lshift(s, 17))
    state[0] = s
    return tonumber(bit.rshift(s, 16) % n)
end

local function put(data, at, bytes)
    return data:sub(1, at) .. bytes .. data:sub(at + #bytes + 1)
end

local function other_byte(data, at)
    return put(data, at, string.char((data:byte(at + 1) + 1 + chance(255)) % 256))
end

local function rubbish(n)
    local bytes = {}
    for i = 1, n do bytes[i] = string.char(chance(256)) end
    return table.concat(bytes)
end

local function unit() return chance(2) == 0 and 512 or 4096 end

local function piece(lib)
    local size = unit()
    return chance(math.floor(lib.size / size)) * size, size
end

local function in_table(lib)
    local t = lib.tables[1 + chance(#lib.tables)]
    return t[1], t[2]
end

local ways = {
    { 'cut at an edge', 60, function(lib, i)
        return lib.data:sub(1, lib.edges[i] or lib.size - 1)
    end },
    { 'cut anywhere', 100, function(lib)
        return lib.data:sub(1, 1 + chance(lib.size - 1))
    end },
    { 'identity', 8, function(lib, i)
        i = (i - 1) % 8 + 1
        local at = ({ 0, 4, 5, 6, 7, 16, 18, 20 })[i]
        local byte = ({ 'E', '\1', '\2', '\0', '\9', '\2', '\40', '\0' })[i]
        return put(lib.data, at, byte)
    end },
    { 'ELF header', 60, function(lib) return other_byte(lib.data, chance(64)) end },
    { 'program headers', 60, function(lib)
        return other_byte(lib.data, lib.phoff + chance(lib.phsize))
    end },
    { 'section headers', 60, function(lib)
        return other_byte(lib.data, lib.shoff + chance(lib.shsize))
    end },
    { 'a byte of a table', 160, function(lib)
        local at, size = in_table(lib)
        return other_byte(lib.data, at + chance(size))
    end },
    { 'rubbish in a table', 120, function(lib)
        local at, size = in_table(lib)
        local n = math.min(size, 8 + chance(57))
        return put(lib.data, at + chance(size - n + 1), rubbish(n))
    end },
    { 'zeroed rest', 60, function(lib)
        local at = piece(lib)
        return lib.data:sub(1, at) .. ('\0'):rep(lib.size - at)
    end },
    { 'zeroed piece', 60, function(lib)
        local at, size = piece(lib)
        return put(lib.data, at, ('\0'):rep(size))
    end },
    { 'swapped pieces', 60, function(lib)
        local size = unit()
        local a = chance(math.floor(lib.size / size)) * size
        local b = chance(math.floor(lib.size / size)) * size
        return put(put(lib.data, a, lib.data:sub(b + 1, b + size)), b,
            lib.data:sub(a + 1, a + size))
    end },
}

local function hits_code(lib, data)
    for _, range in ipairs(lib.code) do
        if data:sub(range[1] + 1, range[2]) ~= lib.data:sub(range[1] + 1, range[2])
            and #data >= range[1] then
            return true
        end
    end
    return false
end

-- Twenty times as many in a soak; but of C++, which runs much more when it is loaded
-- and closed, no more: of ten thousand one gets past the check and corrupts the
-- heap. unit/cmod/test_corpus counts those, at full size.
local function rounds(is_cxx)
    return is_cxx and 1 or tap.soak(20, 1)
end

local fds = kit.open_fds()
local files, refused, wrong, passed = 0, 0, {}, 0

local function try(data, what)
    files = files + 1
    kit.overwrite('bad.so', data)
    local ok, m = pcall(cmod.load, './bad')
    if ok then
        passed = passed + 1
        -- What is damaged may be the very function's symbol.
        local found, f = pcall(m.load, m, 'answer')
        if not found and f.type ~= 'ClientError' then
            wrong[#wrong + 1] = what .. ': ' .. tostring(f)
        elseif found and select(2, f()) ~= 42 then
            wrong[#wrong + 1] = what .. ': answers something else'
        end
        if found then f:unload() end
        m:unload()
    elseif m.type == 'ClientError' and m.code == 138 and
        tostring(m):find("^cannot load '/.*/bad.so': .") then
        refused = refused + 1
    else
        wrong[#wrong + 1] = what .. ': ' .. tostring(m)
    end
end

for _, f in ipairs(flags) do
    kit.build('good.so', f[3] or source, f[2], f[4] or '-lm')
    local lib = parse(kit.read('good.so'))
    state[0] = 20 -- the same files in both sizes
    local m = cmod.load('./good')
    tap.is(select(2, m:load('answer')()), 42, f[1] .. ': the good one')
    m:unload()
    m = nil
    local before, passed_before = files, passed
    for _, way in ipairs(ways) do
        for i = 1, way[2] * rounds(f[3] ~= nil) do
            local data = way[3](lib, i)
            if not hits_code(lib, data) then
                -- Told before, for a crash.
                kit.overwrite('last', f[1] .. ', ' .. way[1] .. ', ' .. i)
                try(data, f[1] .. ', ' .. way[1] .. ', ' .. i)
            end
        end
    end
    tap.ok(files - before > 300, ('%s: %d damaged files, %d of them as good as ' ..
        'the good one'):format(f[1], files - before, passed - passed_before))
end
tap.is(table.concat(wrong, '\n'), '', 'each is refused as it should, or works')
tap.ok(refused > files / 2, ('%d of %d refused'):format(refused, files))
-- (The one in C++ makes an object of the thread, which keeps it mapped.)
local left = kit.live_count()
for _, m in ipairs(cmod.list()) do
    if m.state == 'unloaded' then left = left - 1 end
end
tap.is(left, 0, 'no module is left')
tap.is(kit.open_fds(), fds, 'nor a descriptor')
tap.done()
