-- The client of test_failures.sh.
local fiber = require('fiber')
local client = require('http.client').new()

local preempted = not (os.getenv('NEAP_SANITIZE') or ''):find('thread')
local failed

local function check(ok, ...)
    if not ok then
        print('FAIL', ...)
        failed = true
    end
end

-- What the log has got since: its errors, one each.
local log, taken = assert(io.open('server.err')), ''
local function new_errors()
    taken = taken .. log:read('*a')
    local list = {}
    for record in ('\n' .. taken):gsub('\n%d%d%d%d%-', '\0%0'):gmatch('[^%z]+') do
        if record:find(' [EWC]> ') then
            list[#list + 1] = record
        end
    end
    return list
end

local told = 0
local hog = arg[1] == 'memory'

local where -- the listener

-- ask(path, status, body, pattern): @pattern is of the one error that the log gets; nil:
-- none. Status 0: the connection is closed, or the answer cut.
local function ask(path, status, body, pattern)
    local r = client:get('http://x' .. path, { unix_socket = where })
        or { status = 0 }
    if r.status >= 590 then -- it is the client's
        r.status = 0
    end
    check(r.status == status, path, r.status)
    if body then
        check(r.body == body, path, r.body)
    end
    if pattern then
        told = told + 1
        local list
        for _ = 1, 2000 do
            list = new_errors()
            if #list >= told then break end
            fiber.sleep(0.005)
        end
        local last = list[told] or 'nothing'
        check(last:find(pattern), path, last, 'wanted', pattern)
        local _, traces = last:gsub('stack traceback:', '')
        check(traces == 1 or pattern:find('without'), path, traces,
            'tracebacks', last)
    end
    return r
end

local places = { s = 'the shared state', p = 'worker %d' }

-- The number of seconds that was used is anything.
local function limit(clock, seconds)
    return '%d%.%d%d%d s of CPU time ' .. clock .. ', the limit is '
        .. seconds:gsub('%.', '%%.') .. ' s\n'
end

local function all(kind, at)
    where = at
    local function error_of(what, name, text)
        local rule = (what == 'fetch' or what == 'converter') and
            'set%-var %([a-z]+%.yaml:%d+:%d+%): ' or ''
        return (" E> %s%s '%s%%-%s' in %s: "):format(rule, what, kind, name,
            places[kind]) .. text
    end
    local function path(rest)
        return '/' .. kind .. '/' .. rest
    end
    local kept = kind .. ' keeps this'
    local place = "failures%.lua:%d+: "

    -- One state has no memory left: only that call fails.
    for i = 1, hog and 3 or 0 do
        ask(path('hog'), 200, kept, error_of('action', 'hog', 'not enough memory'))
        ask(path('none'), 200, kept)
    end

    -- A service that is the first of its kind keeps what it is given; the next request
    -- on the connection has nothing of it.
    for _ = 1, 3 do
        local r = ask(path('first'), 200, 'nothing')
        check(r.headers['x-kept'] == kind .. ' begins with this', 'first',
            r.headers['x-kept'])
    end

    ask(path('none'), 200, kept)
    local boom = place .. "boom\n\tstack traceback:\n.*in function 'inner'.*"
    ask(path('fail'), 200, kept, error_of('action', 'fail', '[^\n]*' .. boom))
    ask(path('closed/fail'), 403, '403 Forbidden\n',
        error_of('action', 'fail', '[^\n]*' .. boom))
    ask(path('object'), 200, kept,
        error_of('action', 'object', '%(error object is a table value%)'))
    ask(path('table'), 200, kept, error_of('action', 'table', '[^\n]*' .. place
        .. "variable 'txn%.x': a string, a number or a boolean is wanted, "
        .. 'not table'))
    for _, what in ipairs({ 'fetch', 'converter' }) do
        ask(path(what .. '/fail'), 200, kept,
            error_of(what, 'fail', '[^\n]*' .. boom))
    end
    ask(path('service/fail'), 500, '500 Internal Server Error\n',
        error_of('service', 'fail', '[^\n]*' .. boom))
    ask(path('service/cut'), 0, nil, error_of('service', 'cut', '[^\n]*' .. boom))
    ask(path('service/silent'), 500, '500 Internal Server Error\n',
        ("service '%s%%-silent' has returned without an answer"):format(kind))
    ask(path('back/fail'), 200, kept, error_of('action', 'fail', '[^\n]*' .. boom))

    -- Left by core.done(), an error of the next function is one.
    ask(path('done'), 200, kept, error_of('action', 'fail', '[^\n]*' .. boom))

    -- Return codes.
    ask(path('continue'), 200, kept)
    ask(path('stop'), 404) -- the rules are over
    ask(path('err'), 500, '500 Internal Server Error\n')
    ask(path('deny'), 403, '403 Forbidden\n')
    ask(path('invalid'), 400, '400 Bad Request\n')
    ask(path('abort'), 0)
    ask(path('out'), 0)
    ask(path('yield'), 200, '3')
    ask(path('end'), 202, kind .. ' says so')
    ask(path('back/abort'), 0)
    ask(path('back/end'), 202, kind .. ' says so')
    ask(path('back/deny'), 502, '502 Bad Gateway\n')

    -- Each has the limits of its kind, and its clocks begin anew.
    if preempted and not hog then
        local last = 'since its last wait'
        for _ = 1, 2 do
            ask(path('spin'), 200, kept,
                error_of('action', 'spin', '.*' .. limit(last, '0.040')))
        end
        ask(path('closed/spin'), 403, '403 Forbidden\n',
            error_of('action', 'spin', '.*' .. limit(last, '0.040')))
        ask(path('swallow'), 200, kept,
            error_of('action', 'swallow', '.*' .. limit(last, '0.040')))
        ask(path('total'), 200, kept,
            error_of('action', 'total', '.*' .. limit('in all', '0.120')))
        for what, seconds in pairs({ fetch = { '0.050', '0.130' },
                converter = { '0.060', '0.140' } }) do
            ask(path(what .. '/spin'), 200, kept,
                error_of(what, 'spin', '.*' .. limit(last, seconds[1])))
            ask(path(what .. '/total'), 200, kept,
                error_of(what, 'total', '.*' .. limit('in all', seconds[2])))
        end
        ask(path('service/spin'), 500, nil,
            error_of('service', 'spin', '.*' .. limit(last, '0.070')))
        ask(path('service/swallow'), 500, nil,
            error_of('service', 'swallow', '.*' .. limit(last, '0.070')))
        ask(path('service/total'), 500, nil,
            error_of('service', 'total', '.*' .. limit('in all', '0.150')))
    end
    ask(path('none'), 200, kept)
end

all('s', 'web.sock')
all('p', 'web.sock')
all('s', 'together.sock')

-- Nothing else was said.
fiber.sleep(0.05)
check(#new_errors() == told, 'errors', #new_errors(), 'and not', told)
print(failed and 'failed' or 'done')
os.exit(0)
