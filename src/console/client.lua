-- Lines to a console elsewhere: the client of a remote console, and the sessions
-- whose lines go there.
--
-- Inputs and answers are framed: each ends with a line of its own that nobody can
-- guess ("\frame TOKEN"), so that neither can be taken for the other.

local c = ...

local settings = c.part('settings')

local socket, digest, fiber = require('socket'), require('digest'), require('fiber')
local errno = require('errno')
local error, pcall, tonumber, tostring = error, pcall, tonumber, tostring
local setmetatable, io, os = setmetatable, io, os
local format = string.format

local INPUT_MAX = c.input_max
local TIMEOUT = 10 -- of the connection, the greeting and the password
local COMPLETION_TIMEOUT = 2
local LOOK = 0.01 -- whether there is room again

local Client = {}
Client.__index = Client

local function hex(bytes)
    return (bytes:gsub('.', function(ch) return format('%02x', ch:byte()) end))
end

local function lost(self, why)
    self:close()
    return nil, format("%s: %s", self.name, why)
end

local function read(self, what, timeout)
    local text, err = self.socket:read(what, timeout)
    if text == nil or text == '' then
        return nil, err and tostring(err) or 'the connection has ended'
    end
    return text
end

-- The answer to a line that is not framed, in the form of the language there.
local function read_bare(self, is_admin)
    local text, err = read(self, is_admin and '\n' or '...\n', self.timeout)
    if is_admin and text ~= nil and text ~= '\n' then
        read(self, '\n', self.timeout)
    end
    return text, err
end

local function log_in(self, options, is_admin)
    if options.password == nil then
        return nil, 'a password is wanted'
    elseif options.password:find('\n', 1, true) then
        return nil, 'a password has no line ends'
    end
    self.socket:write('\\login ' .. options.password .. '\n', self.timeout)
    local answer, err = read_bare(self, is_admin)
    if answer == nil then
        return nil, err
    end
    return answer == '\n' or answer:find('^%-%-%-\n%- true\n') ~= nil, 'wrong password'
end

local function ask_for_frames(self)
    self.token = hex(digest.urandom(16))
    return self.socket:write('\\frame ' .. self.token .. '\n', self.timeout)
end

-- The line "TOKEN STATUS" that was read, but for the token: its status, whether lines are
-- admin commands there, and whether they go on to another console.
local function status_of(line)
    local status, rest = line:match('^(%a+)([^\n]*)\n$')
    rest = (rest or '') .. ' '
    return status, rest:find(' admin ', 1, true) ~= nil, rest:find(' elsewhere ', 1, true) ~= nil
end

-- What it is that answers: a console of Lua greets, one of admin commands only when it wants
-- a password.
local function greet(self, options)
    local ok, first, err = ask_for_frames(self)
    if not ok then
        return nil, first
    end
    first, err = read(self, '\n', self.timeout)
    if first ~= nil and first:find('^neap ') then
        local is_admin = first:find('admin', 1, true) ~= nil
        first, err = read(self, '\n', self.timeout)
        if first ~= nil and first:find('login', 1, true) then
            if is_admin then
                read(self, '\n', self.timeout)
            end
            ok, err = log_in(self, options, is_admin)
            if not ok then
                return nil, err
            end
            ask_for_frames(self)
        end
        first, err = read(self, '\n', self.timeout)
    end
    if first == nil then
        return nil, err
    elseif first == '---\n' then -- it refuses us
        first, err = read_bare(self)
        return nil, first and first:match("^%- error: '(.-)'\n") or err
    elseif first:find('^error: ') then
        return nil, first:sub(#'error: ' + 1, -2)
    elseif first:sub(1, #self.token + 1) ~= self.token .. ' ' then
        return nil, 'this is no console of neap'
    end
    local _, is_admin = status_of(first:sub(#self.token + 2))
    self.is_admin = is_admin
    return true
end

-- Open it, again as well. Returns true | nil, err.
function Client:open()
    local options = self.options
    local s, err = socket.tcp_connect(self.host, self.port,
        {timeout = self.timeout, tls = options.tls})
    if s == nil then
        return nil, format('%s: %s', self.name, tostring(err))
    end
    self.socket, self.is_open, self.leads_on = s, true, false
    local ran, ok, why = pcall(greet, self, options)
    if ran and ok then
        return true
    end
    return lost(self, tostring(not ran and ok or why))
end

function Client:close()
    if self.is_open then
        self.is_open = false
        self.socket:close()
    end
end

-- The next answer there is, and what status_of() tells of it; or nil and why there is none.
local function read_answer(self, timeout)
    local data, err = read(self, self.token .. ' ', timeout)
    if data == nil then
        return nil, err
    end
    local word
    word, err = read(self, '\n')
    if word == nil then
        return nil, err
    end
    return data:sub(1, -#self.token - 2), status_of(word)
end

-- As read_answer(), of admin commands: each line goes to @show as it comes, since they may
-- follow something without an end.
local function show_answer(self, show)
    local mark = self.token .. ' '
    while true do
        local line, err = read(self, '\n')
        if line == nil then
            return nil, err
        elseif line:sub(1, #mark) == mark then
            return '', status_of(line:sub(#mark + 1))
        end
        show(line)
    end
end

local function send(self, text)
    local ok, err = self.socket:write(text .. '\n' .. self.token .. '\n')
    if not ok then
        return nil, tostring(err)
    end
    return true
end

-- Candidates may still be on their way: nobody waits for them any more.
local function end_completion(self)
    while self.completing ~= nil do
        self.completing:cancel()
        self.completed:wait()
    end
    if self.owed then
        self.owed = nil
        return read_answer(self, COMPLETION_TIMEOUT)
    end
    return true
end

local function exchange(self, text, show)
    local ok, err = end_completion(self)
    if ok then
        ok, err = send(self, text)
    end
    if not ok then
        return nil, err
    end
    if show and self.is_admin then
        return show_answer(self, show)
    end
    return read_answer(self)
end

-- Evaluate @text there. Returns its answer and "ok", "error" or "leave"; or nil and
-- why the connection is lost. @show has been given the lines of the answer then, if there
-- is one and they were of admin commands.
function Client:ask(text, show)
    if #text > INPUT_MAX then
        return format("---\n- error: 'input of %d bytes: at most %d are taken'\n"
            .. "...\n", #text, INPUT_MAX), 'error'
    end
    local ok, err
    if not self.is_open then
        ok, err = self:open()
        if not ok then
            return nil, err
        end
    end
    local ran, answer, status, is_admin, leads_on = pcall(exchange, self, text, show)
    if not ran then -- cancelled: what is asked there is, too
        self:close()
        error(answer, 0)
    elseif answer == nil then
        return lost(self, status)
    end
    self.is_admin, self.leads_on = is_admin, leads_on
    return answer, status
end

-- What could come next in @text: how many bytes of its end are replaced, and the
-- candidates, a zero byte behind each.
function Client:complete(text)
    if not self.is_open or self.owed then
        return 0, ''
    end
    self.completing, self.owed = fiber.self(), true
    local ran, answer = pcall(function()
        local ok, err = send(self, '\\complete ' .. text:gsub('[%c]', ' '))
        if not ok then
            return nil, err
        end
        return (read_answer(self, COMPLETION_TIMEOUT))
    end)
    if ran and answer ~= nil then
        self.owed = nil
    end
    self.completing = nil
    self.completed:broadcast()
    local replaced, list = nil, nil
    if ran and answer ~= nil then
        replaced, list = answer:match('^(%d+)\n(.*)$')
    end
    return tonumber(replaced) or 0, (list or ''):gsub('\n', '\0')
end

local M = {}

--- "unix/:PATH", "PATH", "HOST:PORT", "[ADDRESS]:PORT", "PORT" -> host, port or path,
-- name; or nil.
function M.parse(uri)
    uri = tostring(uri):gsub('^console://', '')
    local path = uri:match('^unix/:(.+)$')
    if path == nil and uri:find('/', 1, true) then
        path = uri
    end
    if path ~= nil then
        return 'unix/', path, path
    end
    local host, port = uri:match('^%[(.+)%]:(%d+)$')
    if host == nil then
        host, port = uri:match('^([^:]*):(%d+)$')
    end
    if host == nil and uri:find('^%d+$') then
        host, port = '', uri
    end
    if host == nil then
        if uri == '' or uri:find(':', 1, true) then
            return nil
        end
        return 'unix/', uri, uri
    end
    if tonumber(port) > 65535 then
        return nil
    end
    host = host == '' and 'localhost' or host
    return host, tonumber(port), format(host:find(':', 1, true) and '[%s]:%s'
        or '%s:%s', host, port)
end

--- Connect: client | nil, err.
function M.open(uri, options)
    local host, port, name = M.parse(uri)
    local client = setmetatable({host = host, port = port, name = name,
        options = options, timeout = options.timeout or TIMEOUT,
        completed = fiber.cond()}, Client)
    local ok, err = client:open()
    if not ok then
        return nil, err
    end
    return client
end

--- From here on the session's lines go there. @only: the session has no lines of its
-- own.
function M.use(state, client, only)
    state.remote, state.only = client, only
    state.prompt = client.name:sub(-56) .. '> '
end

local function leave(state)
    state.remote:close()
    local only = state.only
    state.remote, state.prompt = nil, nil
    return only and 'leave' or nil
end

local function tell(text)
    return format("---\n- error: '%s'\n...\n", (tostring(text):gsub("'", "''")))
end

-- To standard output. When nobody reads it any more that is the end, as it would be by
-- SIGPIPE, and of what is evaluated there, too; the end tells of any other failure.
local function put(text)
    local ok, _, code = io.stdout:write(text)
    if ok then
        ok, _, code = io.stdout:flush()
    end
    if not ok then
        os.exit(code == errno.EPIPE and 128 + 13 or 1)
    end
end

-- As a part of the answer of the session whose input this is; waits while nobody reads it.
local function show_there(line)
    local has_room = c.show(line)
    while not has_room do
        fiber.sleep(LOOK)
        has_room = c.show('')
    end
end

--- What a session does with an input: answer, entry, what comes next, whether it
-- went well.
function M.ask(state, text)
    local client = state.remote
    local leaves = text:find('^\\q%s*$') or text:find('^\\quit%s*$')
    -- What the console there is connected to is left first, by that one.
    if leaves and not (client.is_open and client.leads_on) then
        return '', text, leave(state), true
    end
    local ran, answer, status = pcall(client.ask, client, text, show_there)
    if not ran then
        return tell(tostring(answer) .. ', here and there'), text, nil, false
    elseif answer == nil then
        if state.only then
            io.stderr:write('neap: ', status, '\n')
            os.exit(3)
        end
        leave(state)
        return tell(status), text, nil, false
    elseif status == 'leave' then
        return answer, text, leave(state), true
    end
    return answer, text, nil, status == 'ok'
end

-- An admin command with a payload goes on to its end.
function M.is_unfinished(state, text)
    local first, rest = text:match('^([^\n]*)(.*)$')
    local mark = state.remote.is_admin
        and (first:match('^<<(%S*)%s*$') or first:match('[%s;]<<(%S*)%s*$'))
    return mark and not (rest .. '\n'):find('\n' .. mark .. '\n', 1, true)
end

-- --- neap connect ---

local USAGE = [[
usage: neap connect [options] PATH|HOST:PORT

Opens a console of a running program: lines from a terminal, or from standard
input, are evaluated there.

  -e CODE              evaluate this and leave; may be given several times
  --password-file F    the password's file; else the variable NEAP_PASSWORD
  --tls                with TLS; the server's certificate is verified
  --tls-ca F           ... by this authority
  --tls-cert F         ... and with this certificate of ours
  --tls-key F          ... and its key
  --tls-name NAME      ... of a server of this name
  --timeout SECONDS    for the connection, and for its greeting (10)

exit codes: 0; 1 a line has failed there; 2 a wrong command line; 3 no connection
]]

local RELOAD_USAGE = [[
usage: neap reload [options] server.yaml|PATH|HOST:PORT
       neap reload --pid PID

Has a running server read its configuration and scripts again, or for
`neap upgrade` a new process of its program take its place, and says what has
come of it: through its console, the first of server.yaml that may, or the one
at PATH or HOST:PORT. With --pid it is the first such one on a unix socket; if
there is none the process is told by a signal, and its log says what comes of
it.

  --password-file F    the password's file; else the variable NEAP_PASSWORD
  --tls .. --timeout   as of neap connect

exit codes: 0 it serves; 1 it does not, and nothing has changed; 2 a wrong
command line; 3 no connection
]]

local function refuse(text)
    io.stderr:write('neap: ', text, "\nTry 'neap connect --help'.\n")
    os.exit(2)
end

local valued = {['-e'] = true, ['--password-file'] = true, ['--tls-ca'] = true,
    ['--tls-cert'] = true, ['--tls-key'] = true, ['--tls-name'] = true,
    ['--timeout'] = true}

local function parse_words(words, usage, name)
    local o, i = {code = {}}, 1
    while i <= #words do
        local word, value = words[i], nil
        if valued[word] then
            i = i + 1
            value = words[i]
            if value == nil then
                refuse(word .. ': a value is missing')
            end
        end
        if word == '-e' then
            o.code[#o.code + 1] = value
        elseif word == '-h' or word == '--help' then
            io.stdout:write(usage)
            os.exit(0)
        elseif value ~= nil then
            o[word] = value
        elseif word == '--tls' then
            o.tls = true
        elseif word:find('^%-.') or o.uri ~= nil then
            refuse(name .. ': ' .. word .. ' is not understood')
        else
            o.uri = word
        end
        i = i + 1
    end
    if o.uri == nil or M.parse(o.uri) == nil then
        refuse(name .. ': PATH or HOST:PORT is wanted')
    end
    return o
end

local function options_of(o)
    local options = {password = os.getenv('NEAP_PASSWORD')}
    if o['--password-file'] ~= nil then
        local f, err = io.open(o['--password-file'])
        if f == nil then
            refuse(tostring(err))
        end
        options.password = f:read('*l')
        f:close()
    end
    if o['--timeout'] ~= nil then
        options.timeout = tonumber(o['--timeout'])
        if options.timeout == nil or not (options.timeout > 0) then
            refuse('--timeout: seconds are wanted')
        end
    end
    if o.tls or o['--tls-ca'] or o['--tls-cert'] then
        options.tls = {ca_file = o['--tls-ca'], cert_file = o['--tls-cert'],
            key_file = o['--tls-key'], server_name = o['--tls-name']}
    end
    return options
end

-- Returns the code to end with when the session is over, or nothing.
local function run(client, text)
    local answer, status = client:ask(text, put)
    if answer == nil then
        io.stderr:write('neap: ', status, '\n')
        os.exit(3)
    end
    put(answer)
    return status
end

local function run_lines(client)
    local code, text = 0, nil
    for line in io.lines() do
        text = text == nil and line or text .. '\n' .. line
        local whole = #text > INPUT_MAX
        if client.is_admin then
            whole = whole or not M.is_unfinished({remote = client}, text)
        else
            whole = whole or line:find('^\\')
                or not c.part('session').is_unfinished(text)
        end
        if whole then
            local status = run(client, text)
            text = nil
            if status == 'leave' then
                return code
            elseif status ~= 'ok' then
                code = 1
            end
        end
    end
    if text ~= nil and run(client, text) ~= 'ok' then
        code = 1
    end
    return code
end

--- `neap connect`, the words behind that. Comes back when a console is to be opened.
function M.command(words, on_terminal)
    local o = parse_words(words, USAGE, 'connect')
    local client, err = M.open(o.uri, options_of(o))
    if client == nil then
        io.stderr:write('neap: ', tostring(err), '\n')
        os.exit(3)
    end
    if #o.code == 0 and on_terminal then
        settings.adopt = client
        return
    end
    local code = 0
    for i = 1, #o.code do
        local status = run(client, o.code[i])
        if status == 'leave' then
            break
        elseif status == 'error' then
            code = 1
        end
    end
    if #o.code == 0 then
        code = run_lines(client)
    end
    client:close()
    os.exit(code)
end

--- `neap reload`, `neap upgrade`: that word, and those behind it.
function M.reload_command(word, words)
    local o = parse_words(words, (RELOAD_USAGE:gsub('neap reload ', ('neap %s '):format(word))),
        word)
    if #o.code > 0 then
        refuse(word .. ': -e is not understood')
    end
    local client, err = M.open(o.uri, options_of(o))
    if client == nil then
        io.stderr:write('neap: ', tostring(err), '\n')
        os.exit(3)
    end
    local answer, status = client:ask((client.is_admin and '' or '\\') .. word)
    client:close()
    if answer == nil then
        io.stderr:write('neap: ', status, '\n')
        os.exit(3)
    end
    local ok = status ~= 'error'
    -- The empty line is how the answer ends, and none of it.
    io[ok and 'stdout' or 'stderr']:write((answer:gsub('\n+$', '\n')))
    io.stdout:flush()
    os.exit(ok and 0 or 1)
end

return M
