-- What HAProxy says of the cases, where it is installed: a process of it that answers
-- with the value of the expression whose number the field x-case has.
local fiber = require('fiber')
local fio = require('fio')
local popen = require('popen')
local raw = require('raw')
local socket = require('socket')

local M = {}

local PROGRAM = '/usr/sbin/haproxy'
local END = '.END.'

function M.is_there()
    return fio.path.exists(PROGRAM)
end

local function quoted(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function head_of(port, folder)
    return ([[
global
  log %s/none local0
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
  option http-buffer-request
frontend f
  bind 127.0.0.1:%d
  http-request set-var(txn.name) str(Value)
  http-request set-var(txn.num) int(42)
]]):format(folder, port)
end

local function expression_lines(i, text)
    local selected = ('if { hdr(x-case) %03d }'):format(i)
    local value = '%[' .. text .. ',concat(),hex]' .. END
    return ([[
  http-request return status 200 content-type text/plain lf-string %s %s { %s -m found }
  http-request return status 200 content-type text/plain string none%s %s
]]):format(quoted('=' .. value), selected, quoted(text), END, selected)
end

local function condition_lines(i, text)
    local selected = ('if { hdr(x-case) %03d }'):format(i)
    return ([[
  http-request set-var(txn.c%d) int(1) if %s
  http-request return status 200 content-type text/plain string yes%s %s { var(txn.c%d) -m found }
  http-request return status 200 content-type text/plain string no%s %s
]]):format(i, text, END, selected, i, END, selected)
end

local function write(path, text)
    local file = assert(io.open(path, 'w'))
    file:write(text)
    file:close()
end

-- True when it takes the configuration.
local function accepts(path)
    local ph = assert(popen.new({ PROGRAM, '-c', '-f', path },
        { stdin = popen.opts.DEVNULL, stdout = popen.opts.DEVNULL,
          stderr = popen.opts.DEVNULL }))
    local status = ph:wait()
    ph:close()
    return status.exit_code == 0
end

local function free_port()
    local s = socket('AF_INET', 'SOCK_STREAM', 'tcp')
    assert(s:bind('127.0.0.1', 0))
    local port = s:name().port
    s:close()
    return port
end

-- One request on a connection of its own; the body of the answer, or nil.
function M.ask(port, case, i)
    local peer
    for _ = 1, 500 do
        peer = raw.connect(port)
        if peer then
            break
        end
        fiber.sleep(0.01)
    end
    assert(peer, 'nobody listens')
    peer:send(('%sx-case: %03d\r\n\r\n%s'):format(case.head, i, case.body))
    local text = peer:read(END)
    peer:close()
    local from = text:find('\r\n\r\n', 1, true)
    return text:sub(-#END) == END and text:sub(from + 4, -#END - 1) or nil
end

local function lines_of(kind, i, text)
    return (kind == 'expressions' and expression_lines or condition_lines)(i, text)
end

--- answers(case, kind, known) -> {text = answer}
-- '=' and the value in hexadecimal digits, 'none', 'yes', 'no', or 'refused'. What is
-- refused in @known, if given, is taken for refused.
function M.answers(case, kind, known)
    local folder = fio.tempdir()
    local path, port = folder .. '/c.cfg', free_port()
    local config, result = { head_of(port, folder) }, {}
    for i, text in ipairs(case[kind]) do
        local lines = lines_of(kind, i, text)
        if known == nil then
            write(path, config[1] .. lines)
        end
        if known and known[text] == 'refused' or known == nil and not accepts(path) then
            lines, result[text] = '', 'refused'
        end
        config[i + 1] = lines
    end
    write(path, table.concat(config))
    local ph = assert(popen.new({ PROGRAM, '-db', '-f', path },
        { stdin = popen.opts.DEVNULL, stdout = popen.opts.DEVNULL,
          stderr = popen.opts.DEVNULL }))
    for i, text in ipairs(case[kind]) do
        if result[text] == nil then
            result[text] = M.ask(port, case, i) or 'no answer'
        end
    end
    ph:kill()
    ph:wait()
    ph:close()
    fio.rmtree(folder)
    return result
end

return M
