-- The module `digest`: hashes, check sums, base64 and AES.
--
-- Names, arguments and return values are those of Tarantool's public
-- documentation, but for `md4`, which OpenSSL 3 has no more, and `xxhash`, which are
-- left out. More than 64 KiB, and `pbkdf2`, are worked on by a thread of the pool: the
-- other fibers go on.
local c = ...

local ffi = require('ffi')

local M = {}

local function settle(ok, ...)
    if ok ~= true then
        c.failed(ok)
    end
    return ...
end

local function check(data, name)
    if type(data) ~= 'string' then
        c.usage(('Usage: digest.%s(string)'):format(name))
    end
end

local function hex(data, ...)
    if data == nil then
        return nil, ...
    end
    return (data:gsub('.', function(byte)
        return ('%02x'):format(byte:byte())
    end))
end

local function hash(name)
    return function(data)
        check(data, name)
        return settle(c.hash(data, name))
    end, function(data)
        check(data, name .. '_hex')
        return hex(settle(c.hash(data, name)))
    end
end

--- digest.md5(data) -> string
-- digest.sha1(data) -> string
-- digest.sha224(data) -> string
-- digest.sha256(data) -> string
-- digest.sha384(data) -> string
-- digest.sha512(data) -> string
-- The hash of @data, as bytes. Yields: when it is long.

--- digest.md5_hex(data) -> string
-- digest.sha1_hex(data) -> string
-- digest.sha224_hex(data) -> string
-- digest.sha256_hex(data) -> string
-- digest.sha384_hex(data) -> string
-- digest.sha512_hex(data) -> string
-- The hash of @data, in hexadecimal digits. Yields: when it is long.
for _, name in ipairs({'md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'}) do
    M[name], M[name .. '_hex'] = hash(name)
end

--- digest.pbkdf2(password, salt, [iterations], [size]) -> string
-- A key of @size bytes (128 unless given, up to 64 MiB) from @password and @salt, by
-- @iterations (100,000 unless given) of HMAC-SHA256. Yields: until it is done.
function M.pbkdf2(password, salt, iterations, size)
    if type(password) ~= 'string' or type(salt) ~= 'string' then
        c.usage('Usage: digest.pbkdf2(pass, salt [, iters [, digest_len]])')
    end
    return settle(c.pbkdf2(password, salt, iterations or 100000, size or 128))
end

--- digest.pbkdf2_hex(password, salt, [iterations], [size]) -> string
-- `digest.pbkdf2()` of @password, @salt, @iterations and @size in hexadecimal digits.
-- Yields: until it is done.
function M.pbkdf2_hex(password, salt, iterations, size)
    return hex(M.pbkdf2(password, salt, iterations, size))
end

--- digest.urandom(size) -> string
-- So many random bytes, @size up to 64 MiB, good for keys. Yields: when they are many.
function M.urandom(size)
    if type(size) ~= 'number' then
        c.usage('Usage: digest.urandom(len)')
    end
    return settle(c.urandom(size))
end

--- digest.base64_encode(data, [options]) -> string
-- @data in base64, a line's end behind each 72 characters but the last ones. In
-- @options `nowrap` means none of these, `nopad` no `=` at the end, `urlsafe` the
-- other alphabet and both of these. Yields: when it is long.
function M.base64_encode(data, options)
    if type(data) ~= 'string' or options ~= nil and type(options) ~= 'table' then
        c.usage('Usage: digest.base64_encode(string[, table])')
    end
    options = options or {}
    local text, err = settle(c.encode(data))
    if text == nil then
        return nil, err
    end
    if options.nopad or options.urlsafe then
        text = text:gsub('=', '')
    end
    if options.urlsafe then
        return (text:gsub('[+/]', {['+'] = '-', ['/'] = '_'}))
    elseif not options.nowrap and #text > 72 then
        text = text:gsub(('.'):rep(72), '%0\n'):gsub('\n$', '')
    end
    return text
end

--- digest.base64_decode(text) -> string
-- The bytes that @text stands for, in either alphabet; other characters are passed
-- over. Yields: when it is long.
function M.base64_decode(text)
    check(text, 'base64_decode')
    return settle(c.decode(text))
end

--- digest.aes256cbc -> table
-- `digest.aes256cbc.encrypt(data, key, iv)` and `decrypt(data, key, iv)`, with a key of
-- 32 bytes and an iv of 16, give a string, or `nil, err` for what the key did not
-- encrypt. They wait when it is long.
M.aes256cbc = {}

function M.aes256cbc.encrypt(data, key, iv)
    return settle(c.aes(data, key, iv, true))
end

function M.aes256cbc.decrypt(data, key, iv)
    return settle(c.aes(data, key, iv, false))
end

--- digest.guava(state, buckets) -> number
-- The bucket of the number @state, from 0 to less than @buckets: few change theirs
-- when there are more buckets. Yields: no.
function M.guava(state, buckets)
    if type(state) ~= 'number' and type(state) ~= 'cdata'
        or type(buckets) ~= 'number' or buckets >= 2 ^ 31 then
        c.usage('Usage: digest.guava(state, buckets)')
    end
    local n, candidate, following = ffi.cast('uint64_t', state), 0, 0
    while following < buckets and following >= 0 do
        candidate = following
        n = n * 2862933555777941757ULL + 1
        following = math.floor((candidate + 1) * 2147483648
            / (tonumber(n / 8589934592ULL) + 1))
    end
    return candidate
end

-- --- sums in steps ---

local crc = {}
crc.__index = crc

local CRC_START, MURMUR_SEED = 4294967295, 13

--- digest.crc32_update(sum, data) -> number
-- The check sum of what has @sum and of @data behind it. Yields: when it is long.
function M.crc32_update(sum, data)
    check(data, 'crc32_update')
    return settle(c.crc32(data, sum))
end

function crc:update(data)
    self.value = M.crc32_update(self.value, data)
end

function crc:result()
    return self.value
end

function crc:clear()
    self.value = CRC_START
end

function crc:copy()
    return setmetatable({value = self.value}, crc)
end

--- digest.crc32 -> table
-- `digest.crc32(data)` is the check sum CRC-32C of a string, without a last
-- inversion. `digest.crc32.new()` does it in steps: `update(data)`, `result()`, `clear()`
-- and `copy()` are its methods.
M.crc32 = setmetatable({
    new = function()
        return setmetatable({value = CRC_START}, crc)
    end,
}, {
    __call = function(_, data)
        check(data, 'crc32')
        return M.crc32_update(CRC_START, data)
    end,
})

local murmur = {}
murmur.__index = murmur

local function murmur_of(data, seed)
    check(data, 'murmur')
    return settle(c.murmur(data, seed))
end

function murmur:update(data)
    check(data, 'murmur.update')
    self.parts[#self.parts + 1] = data
end

function murmur:result()
    self.parts = {table.concat(self.parts)}
    return murmur_of(self.parts[1], self.seed)
end

function murmur:clear()
    self.parts = {}
end

function murmur:copy()
    return setmetatable({parts = {table.concat(self.parts)}, seed = self.seed},
        murmur)
end

--- digest.murmur -> table
-- `digest.murmur(data)` is the MurmurHash3 of 32 bits of a string. `digest.murmur.new()`
-- takes it in steps, as `digest.crc32.new()`, and keeps them until then;
-- `{seed = number}` is its argument.
M.murmur = setmetatable({
    new = function(options)
        return setmetatable({
            parts = {}, seed = options and options.seed or MURMUR_SEED,
        }, murmur)
    end,
}, {
    __call = function(_, data)
        return murmur_of(data, MURMUR_SEED)
    end,
})

return M
