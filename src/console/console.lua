-- The module `console`: the server's console, on its terminal and on sockets.
-- See doc/guide-console.md for the console itself.

local c = ...

local usage = c.usage
local client, settings = c.part('client'), c.part('settings')

local error, tostring, type = error, tostring, type
local pairs = pairs

local M = {}

--- console.start() -> true | nil, err
-- Open the console on standard input and wait until the user has left it; the
-- script goes on then. It cannot be opened twice at a time, and with several
-- workers in worker 1 alone. Yields: yes.
-- Throws: cancelled, and the console is closed.
function M.start()
    local status, err = c.start_begin()
    if status == nil then
        return nil, err
    end
    c.start_end()
    if status ~= 0 then
        c.failed(status)
    end
    return true
end

-- What console.listen() may be told, with what each is.
local listen_options = {mode = 'number', owner = true, group = true,
    password = 'string', tls = 'table', idle_timeout = 'number',
    connections = 'number', audit = 'boolean', language = 'string',
    level = 'string'}

local function check_options(options, known, call)
    if type(options) ~= 'table' then
        usage(('%s: options are a table, not %s'):format(call, type(options)))
    end
    for name, value in pairs(options) do
        local want = known[name]
        if want == nil then
            usage(('%s: there is no option %s'):format(call, tostring(name)))
        elseif want ~= true and type(value) ~= want then
            usage(('%s: %s: a %s is wanted, not %s'):format(call, name, want,
                type(value)))
        end
    end
end

local function check_range(options, name, least, most)
    local v = options[name]
    if v ~= nil and not (v >= least and v <= most) then
        usage(('console.listen: %s: %g to %g'):format(name, least, most))
    end
end

local function set_owner(server, path, options)
    local fio = require('fio')
    local ok, err = true, nil
    if options.owner ~= nil or options.group ~= nil then
        ok, err = fio.chown(path, options.owner or -1, options.group or -1)
    end
    if ok and options.mode ~= nil then -- whatever umask says
        ok, err = fio.chmod(path, options.mode)
    end
    if ok then
        return server
    end
    server:close()
    return nil, err
end

local levels = {user = 0, operator = 1, admin = 2}

-- Whether lines are admin commands, and the number of their level.
local function plan_language(options)
    local language = options.language or options.level and 'admin' or 'lua'
    local level = levels[options.level or
        (language == 'lua' and 'admin' or 'operator')]
    if language ~= 'lua' and language ~= 'admin' then
        usage("console.listen: language: 'lua' or 'admin'")
    elseif level == nil then
        usage("console.listen: level: 'user', 'operator' or 'admin'")
    elseif language == 'lua' and level ~= levels.admin then
        usage("console.listen: who may run Lua may do anything: a lower level is "
            .. "of language = 'admin'")
    end
    return language == 'admin', level
end

-- The C half's options, and the userdata of a TLS context.
local function plan(uri, options)
    local host, port = client.parse(uri)
    if host == nil then
        usage(("console.listen('%s'): a path or HOST:PORT is wanted")
            :format(tostring(uri)))
    end
    check_range(options, 'mode', 0, 511)
    check_range(options, 'connections', 1, 10000)
    check_range(options, 'idle_timeout', 0, 1e9)
    local o = {
        mode = 384, -- until it has its owner
        password = options.password,
        connections = options.connections or 100,
        idle_timeout = options.idle_timeout or 0,
        audit = options.audit ~= false,
    }
    o.admin, o.level = plan_language(options)
    if o.password ~= nil and o.password:find('[%z\r\n]') then
        usage('console.listen: password: no line ends and no zero bytes')
    end
    if host == 'unix/' then
        o.path = port
    else
        o.host, o.port = host, port
        if options.mode or options.owner or options.group then
            usage('console.listen: mode, owner and group are of unix sockets')
        end
    end
    local tls, err = options.tls, nil
    if tls ~= nil and tls[1] == nil then
        tls, err = require('socket').tls_server(tls)
        if tls == nil then
            return nil, err
        end
    elseif tls ~= nil and not tls.is_server then
        usage('console.listen: tls: a context of socket.tls_server() is wanted')
    end
    return o, tls and tls[1]
end

--- console.listen(uri, [options]) -> console_server | nil, err
-- Serve the console on a unix socket: @uri is its path, which may also be written
-- 'unix/:PATH'; or over TCP: 'HOST:PORT' ('*:PORT' for every address); with or without
-- 'console://' before it. Who gets in
-- may run anything here: the file of a unix socket has mode 0600, and TCP is refused
-- without a `password`, or `tls` with `verify = 'required'`. The file of a server
-- that is gone is replaced. The server works on without its object, and keeps the
-- process running. With several workers it is worker 1 that serves: in the others
-- this gives a server that is closed.
-- @options: `mode`, `owner` and `group` of the socket's file (owner and group by name
-- or number); `password`, 8 to 256 bytes; `tls`, as `socket.tls_server()` takes it, or
-- its context; `connections`, at most (100); `idle_timeout`, seconds that a client may
-- be silent (0: for ever); `audit`, false: what is run is not logged; `language`, 'lua'
-- or 'admin': lines are admin commands, and the client gets answers and nothing else;
-- `level` of those, 'user', 'operator' (as it is if nothing is said) or 'admin', with
-- which there is Lua, too. Yields: when mode, owner or group are given. Throws: misuse.
function M.listen(uri, options)
    if type(uri) == 'number' then
        uri = tostring(uri)
    elseif type(uri) ~= 'string' or uri == '' then
        usage(('console.listen(uri): a path or HOST:PORT is wanted, not %s')
            :format(uri == '' and 'an empty string' or type(uri)))
    end
    options = options or {}
    check_options(options, listen_options, 'console.listen')
    local o, tls = plan(uri, options)
    if o == nil then
        return nil, tls
    end
    local server, err = c.listen(o, tls)
    if server ~= nil and server.path ~= nil and
       (options.mode or options.owner or options.group) then
        return set_owner(server, o.path, options)
    end
    return server, err
end

-- The session that evaluates the caller.
local function session_of(call)
    local state = c.part('session').current()
    if state == nil then
        usage(('%s: need existing console'):format(call))
    end
    return state
end

local connect_options = {password = 'string', tls = true, timeout = 'number'}

--- console.connect(uri, [options]) -> true
-- In a line of a console: the lines from here on go to the console of another program,
-- at @uri as `console.listen()` takes it, until `\q`. @options: `password`; `tls`, true
-- or what `socket.tls_client()` takes; `timeout` in seconds (10). Yields: yes. Throws: no
-- connection; not in a console.
function M.connect(uri, options)
    options = options or {}
    if client.parse(uri == nil and '' or uri) == nil then
        usage('console.connect(uri): a path or HOST:PORT is wanted')
    end
    check_options(options, connect_options, 'console.connect')
    local state = session_of('console.connect()')
    local there, err = client.open(uri, options)
    if there == nil then
        error(err, 0)
    end
    client.use(state, there, false)
    return true
end

--- console.delimiter([delimiter]) -> string
-- What ends an input of this console: with a @delimiter a line that ends with it, of
-- 64 bytes at most; with '' an input ends where it is complete, as at the start.
-- Yields: no. Throws: not in a console.
function M.delimiter(delimiter)
    local state = session_of('console.delimiter()')
    if delimiter == nil then
        return state.marker or ''
    end
    local why = type(delimiter) ~= 'string' and 'a string is wanted'
        or c.part('session_commands').set_delimiter(state, delimiter)
    if why then
        usage('console.delimiter(): ' .. why)
    end
end

local output = c.part('output')

--- console.set_default_output(mode)
-- Consoles that begin from now on show values in the output mode @mode: 'yaml', 'lua', 'lua,block',
-- 'json' or 'table'. Yields: no. Throws: no such mode.
function M.set_default_output(mode)
    if mode == nil then
        usage('Nil output value passed')
    end
    local fmt, options = output.parse(tostring(mode))
    if fmt == nil then
        usage(options)
    end
    settings.output, settings.output_options = fmt, options
end

--- console.get_default_output() -> {fmt = string, opts = string}
-- That mode; `opts` is 'line' or 'block' of 'lua'. Yields: no.
function M.get_default_output()
    return {fmt = settings.output, opts = settings.output_options}
end

local eos = {yaml = '\n...\n', json = '\n', table = '\n\n'}

--- console.eos([text]) -> string
-- What ends an answer in the output mode of this console, or of new ones: '\n...\n' of
-- YAML, ';' of Lua, where it can be changed to @text. Yields: no. Throws: it cannot.
function M.eos(text)
    local state = c.part('session').current() or settings
    if text ~= nil and state.output ~= 'lua' then
        usage(('console.eos(): is immutable for output %s')
            :format(state.output))
    elseif text ~= nil then
        settings.eos = tostring(text)
        return
    end
    return eos[state.output] or settings.eos
end

--- console.on_start(f)
-- Have @f called at the start of each console, before its first line, with the console's
-- object: a table for whatever belongs to it. What it throws is shown there. nil: no
-- more. Yields: no.
function M.on_start(f)
    if f ~= nil and type(f) ~= 'function' then
        usage('Wrong type of on_start hook: ' .. type(f))
    end
    settings.on_start = f
end

--- console.ac([enabled]) -> boolean
-- Whether Tab completes Lua in this console, from now on if @enabled is given; outside of
-- consoles: in those that begin from now on. At the start it does. Yields: no.
function M.ac(enabled)
    local state = c.part('session').current() or settings
    if enabled ~= nil then
        state.no_completion = not enabled
    end
    return not state.no_completion
end

-- `neap connect`.
function M._connect_command(at, on_terminal)
    local words = {}
    for i = at + 1, #arg do
        words[#words + 1] = arg[i]
    end
    return client.command(words, on_terminal)
end

-- `neap reload`, `neap upgrade`: of the server whose console is at @uri; nil: the words
-- say.
function M._reload_command(word, at, uri)
    local words = {uri}
    for i = at + 1, uri and at or #arg do
        words[#words + 1] = arg[i]
    end
    return client.reload_command(word, words)
end

c.part('register')(c, M)

return M
