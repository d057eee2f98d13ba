-- An object of each documented class, so that its methods can be compared with
-- the reference: 'module/class' -> a function that makes one.
local cmod = require('cmod')
local console = require('console')
local core = require('neap.core_tools')
local fiber = require('fiber')
local fio = require('fio')
local http_client = require('http.client')
local http_server = require('http.server')
local http_websocket = require('http.websocket')
local popen = require('popen')
local shared = require('shared')
local socket = require('socket')

-- Any library will do for handles: one that the program itself is linked with.
local function library()
    for line in io.lines('/proc/self/maps') do
        local path = line:match('(/%S*/libuv)%.so')
        if path ~= nil then
            return path
        end
    end
end

-- What @f(url) gives of a server that is there for one request.
local function http_response(f)
    local httpd = http_server.new('127.0.0.1', 0, { log_requests = false })
    httpd:route({ path = '/' }, function() return 'hello' end)
    httpd:start()
    local r = assert(f('http://127.0.0.1:' .. httpd:port()))
    httpd:stop()
    return r
end

-- What a command that @register(words, f) declares gets.
local function command_object(register)
    local path, found = os.tmpname(), nil
    os.remove(path)
    register({ 'find', path:match('%w+$') }, function(object)
        found = object
    end)
    local server = assert(console.listen(path, { audit = false }))
    local s = require('socket').tcp_connect('unix/', path)
    s:write('\\set language admin\nfind ' .. path:match('%w+$') .. '\n')
    while found == nil do
        fiber.sleep(0.01)
    end
    s:close()
    server:close()
    return found
end

-- A request, from a peer who does not mind what is answered.
local function request()
    local over = fiber.channel()
    local req
    local server = http_server.new('127.0.0.1', 0, { handler = function(_, r)
        req = r
        over:get()
    end }):start()
    local pipe = io.popen(('bash -c "exec 3<>/dev/tcp/127.0.0.1/%d; '
        .. 'printf \'GET / HTTP/1.0\\r\\n\\r\\n\' >&3; cat <&3" 2>&1')
        :format(server:port()))
    for _ = 1, 1000 do
        if req ~= nil then
            break
        end
        fiber.sleep(0.01)
    end
    fiber.create(function()
        fiber.yield() -- until it has been looked at
        over:close()
        server:stop()
        pipe:close()
    end)
    return req
end

return {
    ['io/file'] = function()
        return io.tmpfile()
    end,
    ['socket/socket_object'] = function()
        return socket('AF_INET', 'SOCK_STREAM', 'tcp')
    end,
    ['socket/tls_context'] = function()
        return assert(socket.tls_client({}))
    end,
    -- What two of its three kinds have between them.
    ['socket/tcp_socket'] = function()
        local server = socket.bind('127.0.0.1', 0)
        local _, port = server:getsockname()
        local methods = {}
        for _, s in ipairs({ socket.tcp(), server,
                             socket.connect('127.0.0.1', port) }) do
            for name, method in pairs(getmetatable(s).__index) do
                methods[name] = method
            end
            s:close()
        end
        return setmetatable({}, { __index = methods })
    end,
    ['cmod/module'] = function()
        return cmod.load(library())
    end,
    ['cmod/func'] = function()
        return cmod.load(library()):load('uv_version')
    end,
    ['cmod/watch'] = function()
        local watch = cmod.watch(library(), function() end)
        fiber.create(function()
            fiber.yield() -- until it has been looked at
            watch:stop()
        end)
        return watch
    end,
    ['fiber/fiber_object'] = function()
        return fiber.self()
    end,
    ['fio/fh'] = function()
        return assert(fio.open('/dev/null'))
    end,
    ['popen/ph'] = function()
        return assert(popen.new({ '/bin/true' }))
    end,
    ['fiber/group'] = function()
        return fiber.group()
    end,
    ['fiber/channel'] = function()
        return fiber.channel(1)
    end,
    ['errors/err'] = function()
        return select(2, pcall(fiber.sleep, 'soon'))
    end,
    ['console/command'] = function()
        return command_object(console.register_command)
    end,
    ['console/applet'] = function()
        return command_object(function(words, f)
            console.register_cli(words, 'finds it', f)
        end)
    end,
    ['console/console_server'] = function()
        local path = os.tmpname()
        os.remove(path)
        return assert(console.listen(path, {audit = false}))
    end,
    ['http.client/client'] = function()
        return http_client.new()
    end,
    ['http.client/response'] = function()
        return (http_response(http_client.get))
    end,
    ['http.client/stream'] = function()
        return (http_response(function(url)
            return http_client.get(url, { chunked = true })
        end))
    end,
    ['http.server/httpd'] = function()
        return http_server.new('127.0.0.1', 0)
    end,
    ['http.server/req'] = request,
    ['http.server/writer'] = function()
        return request():stream()
    end,
    ['http.websocket/ws'] = function()
        local httpd = http_server.new('127.0.0.1', 0, { handler = function(_, req)
            return req:websocket(function(ws) ws:receive() end)
        end }):start()
        local ws = assert(http_websocket.connect('ws://127.0.0.1:' .. httpd:port()))
        fiber.create(function()
            fiber.yield() -- until it has been looked at
            ws:close()
            httpd:stop()
        end)
        return ws
    end,
    ['http.server/events'] = function()
        return request():events({ heartbeat = false })
    end,
    ['http.server/resp'] = function()
        return request():response()
    end,
    -- Without what this program itself prints.
    ['tap/taptest'] = function()
        local output = io.output()
        io.output('/dev/null')
        local taptest = require('tap').test('reference')
        io.output(output)
        return taptest
    end,
    ['uuid/uuid_object'] = function()
        return require('uuid').new()
    end,
    ['shared/shared_dict'] = function()
        return assert(shared.dict('reference'))
    end,
    ['shared/shared_channel'] = function()
        return assert(shared.channel('reference', 1))
    end,
    ['shared/shared_broadcast'] = function()
        return assert(shared.broadcast('reference'))
    end,
    ['shared/shared_subscription'] = function()
        return assert(shared.broadcast('reference')):subscribe()
    end,
    ['core/Regex'] = function()
        return setmetatable({}, { __index = { new = core.classes.Regex.new } })
    end,
    ['core/Map'] = function()
        return setmetatable({}, { __index = { new = core.classes.Map.new } })
    end,
    ['core/concat'] = core.concat,
    ['core/event_sub'] = function()
        local sub = core.event_sub({ 'WORKER' }, function() end)
        sub:unsub()
        return sub
    end,
    ['core/httpclient'] = core.httpclient,
    ['core/httpresponse'] = function()
        return core.httpclient():get({ url = 'http://127.0.0.1:1/' })
    end,
    ['core/map'] = function()
        return core.classes.Map.new('virt@reference')
    end,
    -- Its keys can be had like fields: the methods by themselves.
    ['core/patref'] = function()
        core.classes.Map.new('virt@reference')
        local index = getmetatable(core.get_patref('virt@reference')).__index
        return setmetatable({}, { __index = select(2, debug.getupvalue(index, 1)) })
    end,
    ['core/queue'] = core.queue,
    ['core/tcp'] = core.tcp,
    ['core/task'] = function()
        return require('core').register_task(function() end)
    end,
    ['core/regex'] = function()
        return select(2, core.classes.Regex.new('x'))
    end,
    ['fiber/cond'] = function()
        return fiber.cond()
    end,
}
