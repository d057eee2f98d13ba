-- The module digest: known answers, and nobody else waits for a long one.
-- test: variants
local digest = require('digest')
local fiber = require('fiber')
local tap = require('tap')

for name, want in pairs({
    md5 = '900150983cd24fb0d6963f7d28e17f72',
    sha1 = 'a9993e364706816aba3e25717850c26c9cd0d89d',
    sha224 = '23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7',
    sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    sha384 = 'cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed'
        .. '8086072ba1e7cc2358baeca134c825a7',
    sha512 = 'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a'
        .. '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
}) do
    tap.is(digest[name .. '_hex']('abc'), want, name .. '_hex')
    tap.is(#digest[name]('abc') * 2, #want, name)
    tap.throws(function() digest[name](1) end, 'Usage: digest.' .. name, 'number')
end
tap.is(digest.md5_hex(''), 'd41d8cd98f00b204e9800998ecf8427e', 'of an empty text')
for _, name in ipairs({'md5', 'sha256', 'md5_hex', 'sha512_hex', 'crc32', 'murmur'}) do
    tap.throws(function() digest[name]() end, 'Usage: digest.' .. name, 'of nothing')
    tap.is(select('#', digest[name]('abc')), 1, name .. '() gives one value')
end
tap.is(select('#', digest.pbkdf2_hex('p', 's', 1, 16)), 1, 'so does pbkdf2_hex()')

-- Sums, whole and in steps.
tap.is(digest.crc32('abc'), 3384066120, 'crc32')
tap.is(digest.crc32(''), 4294967295, 'of nothing')
tap.is(digest.crc32_update(digest.crc32('abc'), 'cde'), digest.crc32('abccde'),
    'going on')
local sum = digest.crc32.new()
sum:update('abc')
local other = sum:copy()
sum:update('cde')
other:update('def')
tap.ok(sum:result() == digest.crc32('abccde')
    and other:result() == digest.crc32('abcdef'), 'two from one')
sum:clear()
tap.is(sum:result(), 4294967295, 'cleared')
tap.is(digest.murmur('1234'), 1859914009, 'murmur')
tap.is(digest.murmur('hello world'), 1405956398, 'with a rest')
sum = digest.murmur.new({seed = 14})
sum:update('12')
other = sum:copy()
sum:update('34')
tap.is(sum:result(), 1689834281, 'in steps, with a seed')
tap.isnt(other:result(), sum:result(), 'a copy')
tap.throws(function() digest.crc32(1) end, 'Usage', 'a number')
tap.throws(function() digest.murmur.new({seed = 'x'}):result() end, 'number',
    'a wrong seed')

-- base64
tap.is(digest.base64_encode('\255\254\253'), '//79', 'base64')
tap.is(digest.base64_encode('\255\254\253', {urlsafe = true}), '__79', 'urlsafe')
tap.is(digest.base64_encode('a'), 'YQ==', 'padded')
tap.is(digest.base64_encode('a', {nopad = true}), 'YQ', 'nopad')
tap.is(digest.base64_encode(''), '', 'nothing')
tap.like(digest.base64_encode(('a'):rep(100)), '^%w+\n[%w=]+$', 'two lines')
tap.is(#digest.base64_encode(('a'):rep(54)), 72, 'one line')
tap.unlike(digest.base64_encode(('a'):rep(100), {nowrap = true}), '\n', 'nowrap')
for n = 0, 300, 7 do
    local data = digest.urandom(n)
    for _, options in ipairs({{}, {nowrap = true}, {urlsafe = true}}) do
        if digest.base64_decode(digest.base64_encode(data, options)) ~= data then
            tap.fail('there and back, ' .. n)
        end
    end
end
tap.is(digest.base64_decode('!Y\nQ'), 'a', 'others are passed over')
tap.throws(function() digest.base64_encode(1) end, 'Usage', 'a number')
tap.throws(function() digest.base64_decode() end, 'Usage', 'nothing')

-- Keys.
tap.is(digest.pbkdf2_hex('p', 's', 1, 16), '372cc9815244c4a2b75955b1358cde09',
    'pbkdf2')
tap.throws(function() digest.pbkdf2('p') end, 'Usage', 'no salt')
tap.throws(function() digest.pbkdf2('p', 's', 0) end, 'a number from', 'none')
tap.throws(function() digest.pbkdf2('p', 's', 1, 1e9) end, 'a number from', 'size')
local key, iv = ('passpass'):rep(4), 'iv12tras8712cvbh'
local secret = digest.aes256cbc.encrypt('test123', key, iv)
tap.is(secret, '\202s\180\169\052\235\076\179\105\054\109\198\173\057\227\158', 'aes')
tap.is(digest.aes256cbc.decrypt(secret, key, iv), 'test123', 'and back')
local none, err = digest.aes256cbc.decrypt('abc', key, iv)
tap.ok(none == nil and err.type == 'ClientError', 'what is none')
tap.throws(function() digest.aes256cbc.encrypt('x', 'short', iv) end, '32 bytes',
    'a wrong key')
tap.throws(function() digest.aes256cbc.encrypt({}, key, iv) end, 'strings',
    'a table')
tap.is(#digest.urandom(16), 16, 'urandom')
tap.isnt(digest.urandom(16), digest.urandom(16), 'not twice')
tap.throws(function() digest.urandom(-1) end, 'a number from', 'less than none')
tap.throws(function() digest.urandom(1e12) end, 'a number from', 'too many')
tap.throws(function() digest.urandom() end, 'Usage', 'nothing')
tap.is(digest.guava(10863919174838991, 11), 8, 'guava')
tap.is(digest.guava(2016238256797177309ULL, 11), 3, 'guava of 64 bits')
tap.is(digest.guava(1, 0), 0, 'no buckets')
tap.throws(function() digest.guava('x', 1) end, 'Usage', 'guava of a text')

-- The others have turns meanwhile; a cancel ends the wait.
local turns, over = 0, false
local counter = fiber.new(function()
    while not over do turns = turns + 1 fiber.sleep(0.001) end
end)
counter:set_joinable(true)
local long = digest.urandom(10000000)
tap.is(digest.sha256_hex(long), digest.sha256_hex(long), 'a long one')
digest.pbkdf2('p', 's', 100000)
over = true
counter:join()
tap.ok(turns > 3, 'the others go on')
local victim = fiber.new(function() return pcall(digest.pbkdf2, 'p', 's', 3e6) end)
victim:set_joinable(true)
fiber.sleep(0.01)
victim:cancel()
local _, done, why = victim:join()
tap.ok(not done and why.type == 'FiberIsCancelled', 'cancelled')
tap.done()
