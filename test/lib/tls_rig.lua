-- What tests of TLS have in common: certificates of their own, see certs.sh, and an
-- echo server.
--
--     local rig = require('tls_rig')
--     rig.pem('server')                 -- the path of a certificate
--     local server, port = rig.serve({cert_file = ..}, [handler])
local fiber = require('fiber')
local fio = require('fio')
local socket = require('socket')

local rig = {dir = fio.tempdir()}

assert(os.execute(('"%s/test/lib/certs.sh" "%s"'):format(
    os.getenv('NEAP_SOURCE_DIR'), rig.dir)) == 0, 'certificates')

function rig.path(name) return rig.dir .. '/' .. name end
function rig.pem(name) return rig.path(name .. '.pem') end
function rig.key(name) return rig.path(name .. '.key') end

--- Options with the certificate @name, and more.
function rig.own(name, more)
    local options = {cert_file = rig.pem(name), key_file = rig.key(name)}
    for key, value in pairs(more or {}) do
        options[key] = value
    end
    return options
end

--- Sends back what comes until the end.
function rig.echo(s)
    while true do
        local data = s:read({chunk = 65536, delimiter = '\n'})
        if data == nil or data == '' or s:write(data) == nil then
            return
        end
    end
end

function rig.serve(tls, handler)
    local server, address = socket.tcp_server('127.0.0.1', 0, {
        handler = handler or rig.echo, tls = tls, name = 'rig',
    })
    assert(server, address)
    return server, address.port
end

--- The output of a shell command, and its exit code; other fibers go on.
function rig.shell(command, input)
    local popen = require('popen')
    local ph = assert(popen.shell('{ ' .. command .. '; } 2>&1', input and 'rw' or 'r'))
    if input then
        ph:write(input)
        ph:shutdown({stdin = true})
    end
    local parts = {}
    while true do
        local part = ph:read()
        if part == nil or part == '' then
            break
        end
        parts[#parts + 1] = part
    end
    local status = ph:wait()
    ph:close()
    return table.concat(parts), status.exit_code
end

function rig.soon(f)
    for _ = 1, 4000 do
        if f() then
            return true
        end
        fiber.sleep(0.005)
    end
    return false
end

function rig.done()
    fio.rmtree(rig.dir)
end

return rig
