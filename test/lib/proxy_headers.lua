-- Headers of the PROXY protocol for tests, of both versions, all from the same client
-- where they name one: 198.51.100.1, port 35646.
local M = {}

M.SIGNATURE = '\r\n\r\n\0\r\nQUIT\n'
M.V1 = 'PROXY TCP4 198.51.100.1 203.0.113.7 35646 443\r\n'
M.V1_SIX = 'PROXY TCP6 2001:db8::1 ::1 4000 80\r\n'

local ADDRESSES = '\xc6\x33\x64\x01\xcb\0\x71\x07\x8b\x3e\x01\xbb'
M.V2 = M.SIGNATURE .. '\x21\x11\0\x0c' .. ADDRESSES
M.V2_MORE = M.SIGNATURE .. '\x21\x11\x04\x0c' .. ADDRESSES .. ('x'):rep(1024)
M.V2_LOCAL = M.SIGNATURE .. '\x20\0\0\0'
M.V2_UNIX = M.SIGNATURE .. '\x21\x31\0\xd8/run/client.sock' .. ('\0'):rep(200)

--- What is no header; each is the beginning of something else, or wrong.
M.BAD = {
    '\r\nhi\n', (M.V1:gsub('PROXY', 'proxy')), (M.V1:gsub('443', '65536')),
    (M.V1:gsub('\r', '')), 'PROXY TCP4 198.51.100.1 203.0.113.7 35646\r\n',
    'PROXY ' .. ('x'):rep(2000), M.SIGNATURE .. '\x11\x11\0\x0c' .. ('\0'):rep(12),
    M.SIGNATURE .. '\x21\x11\xff\xff' .. ('\0'):rep(70000),
    M.SIGNATURE .. '\x21\x11\0\x04\1\2\3\4',
}

return M
