-- getaddrinfo: what is asked, what comes, what is remembered; waits that end early.
-- What happens when no name server answers: unit/net/test_resolve.
-- test: variants
local errno = require('errno')
local fiber = require('fiber')
local fio = require('fio')
local json = require('json')
local socket = require('socket')
local tap = require('tap')

local function has(list, host, port)
    for _, a in ipairs(list or {}) do
        if a.host == host and a.port == port then
            return true
        end
    end
end

local list, err = socket.getaddrinfo('127.0.0.1', '80', {
    type = 'SOCK_DGRAM', flags = {'AI_NUMERICSERV', 'AI_NUMERICHOST'},
})
tap.same(list, {{host = '127.0.0.1', family = 'AF_INET', type = 'SOCK_DGRAM',
    protocol = 'udp', port = 80}}, 'numbers')
-- A bare Debian has no names of services.
local service = fio.path.exists('/etc/services') and 'http' or '80'
list = socket.getaddrinfo('localhost', service, {protocol = 'tcp', type = 'SOCK_STREAM'})
tap.ok(has(list, '127.0.0.1', 80) or has(list, '::1', 80), 'names')
list = socket.getaddrinfo('127.0.0.1', 80)
tap.is(#list, 3, 'all types')
tap.is(json.decode(json.encode(list))[1].host, '127.0.0.1', 'as JSON')
list = socket.getaddrinfo('127.0.0.1')
tap.is(list[1].port, 0, 'no port')
list = socket.getaddrinfo('::1', 443, {family = 'AF_INET6', type = 'SOCK_STREAM'})
tap.same(list, {{host = '::1', family = 'AF_INET6', type = 'SOCK_STREAM', protocol = 'tcp',
    port = 443}}, 'IPv6')
list = socket.getaddrinfo('localhost', 0, 5, {flags = 'AI_CANONNAME'})
tap.is(type(list[1].canonname), 'string', 'canonname')
list = socket.getaddrinfo(nil, 80, {flags = 'AI_PASSIVE', type = 'SOCK_STREAM',
    family = 'AF_INET'})
tap.is(list[1].host, '0.0.0.0', 'any')

for _, bad in ipairs({
    {{type = 'WRONG'}, 'EINVAL'}, {{family = 'WRONG'}, 'EINVAL'},
    {{protocol = 'WRONG'}, 'EPROTOTYPE'}, {{flags = 'WRONG'}, 'EINVAL'},
    {{flags = {'AI_PASSIVE', 'WRONG'}}, 'EINVAL'},
}) do
    list, err = socket.getaddrinfo('host', 'port', bad[1])
    local code = errno()
    tap.ok(list == nil and code == errno[bad[2]] and err ~= nil, 'an option that is none')
end
for _, port in ipairs({65536, 70000, 4294967376, '-1', '18446744073709551696'}) do
    list, err = socket.getaddrinfo('127.0.0.1', port)
    tap.ok(list == nil and tostring(err):find('there is no port', 1, true),
        'a port that is none: ' .. port)
end
tap.is(socket.getaddrinfo('127.0.0.1', 65535)[1].port, 65535, 'the last port')
list, err = socket.getaddrinfo('no.such.host.invalid', 'http', {})
tap.ok(list == nil and err.type == 'ClientError'
    and tostring(err):find('no.such.host.invalid'), 'no such host')
list, err = socket.getaddrinfo('127.0.0.1', 'no-such-service')
tap.ok(list == nil and err ~= nil, 'no such service')
list, err = socket.getaddrinfo(('a'):rep(2000) .. '.invalid')
tap.ok(list == nil and err.errno == errno.ENAMETOOLONG, 'too long a name')
tap.throws(function() socket.getaddrinfo('a\0b') end, 'zero', 'a zero byte')
tap.throws(function() socket.getaddrinfo({}) end, 'wanted', 'no name')

-- Cancels and deadlines, again and again.
for _ = 1, 20 do
    local f = fiber.new(function()
        while true do
            socket.getaddrinfo(('h%d.invalid'):format(math.random(1e9)))
        end
    end)
    f:set_joinable(true)
    fiber.yield()
    f:cancel()
    local ok, why = f:join()
    if ok or why.type ~= 'FiberIsCancelled' then
        tap.ok(false, 'cancel')
    end
end
tap.ok(true, 'cancelled')

-- Many at once, the same and others.
local g = fiber.group()
local right = 0
for i = 1, 200 do
    g:spawn(function()
        local found = socket.getaddrinfo(i % 2 == 0 and 'localhost' or '127.0.0.1',
            i % 7, 30)
        if has(found, '127.0.0.1', i % 7) or has(found, '::1', i % 7) then
            right = right + 1
        end
    end)
end
g:wait()
tap.is(right, 200, 'many at once')
tap.done()
