-- The configuration of test_copies.sh, and requests that are sent as they are written:
-- `copies.lua rules PORT` writes server.yaml and tells how many parts it has: each expression
-- is in one, once in a rule of the worker and once in one that goes to the shared state
-- between two functions of it. `copies.lua ask WHERE PARTS HEAD BODY` sends what these are,
-- with \\r, \\n, \\t and \\377 in them, and tells what has come for each part.
local raw = require('raw')

local here = os.getenv('NEAP_SOURCE_DIR') .. '/test/functional/mixed'
local PART = 100 -- expressions; a request has 256 variables

local function rules(list)
    local lines, parts = {}, math.ceil(#list / PART)
    local function add(text, ...)
        lines[#lines + 1] = '  - ' .. text:format(...)
    end
    add("set-var: {txn.text: 'str(some text)', txn.number: 'int(7)', sess.s: 'str(s)'}")
    add("action: lua.p-ask\n    if: 'req.hdr(x-part) == p1'")
    add("action: lua.s-ask\n    if: 'req.hdr(x-part) == p1'")
    for part = 1, parts do
        local first, last = (part - 1) * PART + 1, math.min(part * PART, #list)
        local condition = ("'req.hdr(x-part) == p%d'"):format(part)
        local function all(kind, between)
            for i = first, last do
                if list[i].needs ~= 'response' then
                    add("set-var: {txn.%s%d: '%s'}\n    if: %s", kind, i, list[i].text,
                        condition)
                    if between then
                        add('action: lua.s-note')
                    end
                end
            end
        end
        all('p')
        add('action: lua.s-note')
        all('s', true)
    end
    for part = 1, parts do
        add("use-service: lua.p-compare\n    args: ['%d', '%d']\n    if: 'req.hdr(x-part) == p%d'",
            (part - 1) * PART + 1, math.min(part * PART, #list), part)
    end
    return table.concat(lines, '\n'), parts
end

local function write(port)
    local text, parts = rules(dofile(here .. '/copies_list.lua'))
    local list = { 'workers: 2' }
    for key, kind in pairs({ load = 's', load_per_thread = 'p' }) do
        list[#list + 1] = ("%s: {file: '%s/copies_steps.lua', args: [%s, '%s']}"):format(key,
            here, kind, here)
    end
    list[#list + 1] = 'listeners:'
    local tls = 'tls: {cert_file: certs/server.pem, key_file: certs/server.key, '
    for name, more in pairs({
        plain = ("address: ['127.0.0.1:%d', 'unix:plain', '[::1]:%d']"):format(port, port),
        tls = 'address: unix:tls\n  options: {http2: true}\n  ' .. tls
            .. 'ca_file: certs/ca.pem, verify: peer}',
        proxy = 'address: unix:proxy\n  proxy_protocol: true',
    }) do
        list[#list + 1] = ('- name: %s\n  %s\n  response_rules:\n  - {action: lua.p-ask}\n'
            .. '  - {action: lua.s-ask}\n  - {action: lua.p-compare-answers}\n  rules:\n%s')
            :format(name, more, text)
    end
    list[#list + 1] = ("- address: ['127.0.0.1:%d', 'unix:tcp']\n  protocol: tcp\n  rules:\n"
        .. '  - {action: lua.p-ask-tcp}\n  - {action: lua.s-ask-tcp}\n'
        .. '  - {use-service: lua.p-compare-tcp}'):format(port + 1)
    list[#list + 1] = '- address: unix:tcptls\n  protocol: tcp\n  ' .. tls .. [[}
  rules:
  - {action: lua.p-ask-tcp}
  - {action: lua.s-ask-tcp}
  - {use-service: lua.p-compare-tcp}]]
    local file = assert(io.open('server.yaml', 'w'))
    file:write(table.concat(list, '\n'), '\n')
    file:close()
    print(parts)
end

local signs = { r = '\r', n = '\n', t = '\t' }

local function plain(text)
    return (text:gsub('\\(%d%d%d)', function(digits)
        return string.char(tonumber(digits, 8))
    end):gsub('\\(%a)', signs))
end

if arg[1] == 'rules' then
    write(tonumber(arg[2]))
else
    for part = 1, tonumber(arg[3]) do
        local peer = raw.connect(tonumber(arg[2]) or arg[2])
        peer:send(('%sx-part: p%d\r\n\r\n%s'):format(plain(arg[4]), part, plain(arg[5])))
        print((peer:read()))
        peer:close()
    end
end
os.exit(0)
