-- Rules and requests of test_visits.sh: `visits.lua rules SEED COUNT` writes server.yaml with
-- COUNT random lists of rules, each for a listener that has the functions of the shared state,
-- and for one that has those of the workers; `visits.lua ask COUNT` sends the same to both and
-- tells where the answers differ.
local fio = require('fio')
local http = require('http.client')

local function pick(list)
    return list[math.random(#list)]
end

-- Seldom what ends the rules.
local actions = { 'note', 'note', 'header', 'header', 'path', 'method', 'ask', 'wait',
                  'yield', 'silent', 'fail', 'note', 'header', 'nest', 'nest', 'session',
                  'many', 'object', 'leave', 'cancel', 'stop', 'deny', 'abort', 'done' }
local sources = { '@where(a)', '@where(a)', 'path', 'req.hdr(x-a)', '@none', '@throw',
                  'nbthread', 'src', 'str(c)', 'var(txn.x)', 'query', 'method', 'var(sess.n)',
                  'req.fhdr_cnt', 'req.hdr(content-length)' }
local converters = { '@mark(m)', '@mark(k)', 'upper', '@drop', '@throw', 'length', 'lower' }
local conditions = { 'path begins /a', 'not { path begins /a }', '@yes', '@throw',
                     'req.hdr(x-a) == one', 'nbthread == 2', 'var(txn.x) begins m',
                     'method == POST' }

local function expression()
    local text = pick(sources)
    for _ = 1, math.random(0, 3) do
        text = text .. ',' .. pick(converters)
    end
    return text
end

local function rule()
    local roll = math.random(12)
    local function quoted(format, ...)
        return (format:format(...):gsub('\n', ' '))
    end
    if roll <= 6 then
        return quoted('action: lua.@%s', pick(actions))
    elseif roll <= 8 then
        return quoted("set-var: {txn.%s: '%s'}", pick({ 'x', 'y' }), expression())
    elseif roll == 9 then
        return quoted("set-header: {x-a: 'h%%[%s]'}", expression())
    elseif roll == 10 then
        return quoted("set-var: {txn.x: '%s', txn.y: '%s'}", expression(), expression())
    elseif roll == 11 then
        return pick({ 'unset-var: txn.x', "set-path: '/set%[path]'", 'del-header: x-a',
                      'set-log-level: info', "set-query: 'q=%[path]'" })
    end
    return pick({ 'deny: {status: 403, body: no}', 'stop: true',
                  "return: {status: 200, headers: {x-t: '%[var(txn.trace)]'}, body: '%[path]'}",
                  "redirect: '/to%[path]'", 'action: lua.@note' })
end

local function rules()
    local lines = {}
    for i = 1, math.random(2, 9) do
        local text = rule()
        if math.random(4) == 1 then
            text = ("%s, %s: '%s'"):format(text, pick({ 'if', 'unless' }), pick(conditions))
        end
        if math.random(5) == 1 then
            text = text .. ', on_error: ' .. pick({ 'continue', 'deny' })
        end
        lines[i] = '  - {' .. text .. '}'
    end
    if math.random(5) > 1 then
        lines[#lines + 1] = '  - {use-service: lua.@' ..
            pick({ 'whole', 'whole', 'pieces', 'nothing', 'early', 'late' }) .. '}'
    end
    return table.concat(lines, '\n')
end

local LOG = [['%ST %B %[var(txn.trace)] %[path] %[req.hdr(x-a)]']]

local function write(seed, count)
    local here = os.getenv('NEAP_SOURCE_DIR') .. '/test/functional/mixed/visits_steps.lua'
    local all = { 'workers: 2', ('load: {file: %s, args: [s]}'):format(here),
                  ('load_per_thread: {file: %s, args: [p]}'):format(here), 'listeners:' }
    math.randomseed(seed)
    for i = 1, count do
        local text = rules():gsub('lua%.@', '@'):gsub('@', 'lua.@')
        for _, kind in ipairs({ 's', 'p' }) do
            all[#all + 1] = ('- address: unix:%s%d.sock\n  log_format: %s\n  rules:\n%s')
                :format(kind, i, LOG, (text:gsub('@', kind .. '-')))
        end
    end
    local file = assert(fio.open('server.yaml', { 'O_CREAT', 'O_TRUNC', 'O_WRONLY' },
        tonumber('644', 8)))
    file:write(table.concat(all, '\n') .. '\n')
    file:close()
end

local requests = {
    { 'GET', '/a/b?c=d' }, { 'POST', '/z', 'body' }, { 'GET', '/a' },
    { 'PUT', '/', 'a longer body' },
}

-- What says when it came and how: a function of the shared state waits where one of a worker
-- has at once what it asks for, and what has begun before a wait is sent in pieces.
local passing = { date = true, connection = true, ['content-length'] = true,
                  ['transfer-encoding'] = true }

-- What has come, on a connection of its own: of one that is kept an end without an answer may
-- be taken for its age, and the request be sent again.
local function shown(client, kind, i, r)
    local answer, err = client:request(r[1], 'http://localhost' .. r[2], r[3],
        { unix_socket = ('%s%d.sock'):format(kind, i), timeout = 20,
          headers = { ['x-a'] = 'first', connection = 'close' } })
    if answer == nil then
        return 'no answer'
    end
    local lines = {}
    for name, value in pairs(answer.headers) do
        if not passing[name] then
            lines[#lines + 1] = name .. ': ' .. tostring(value)
        end
    end
    table.sort(lines)
    return ('%s %s\n%s\n%s'):format(answer.status, answer.reason,
        table.concat(lines, '\n'), answer.body), err
end

local function ask(count)
    local client, differ = http.new(), 0
    for i = 1, count do
        for _, r in ipairs(requests) do
            local shared, own = shown(client, 's', i, r), shown(client, 'p', i, r)
            if shared ~= own then
                differ = differ + 1
                print(('list %d, %s %s: the shared state gives\n%s\na worker\n%s\n')
                    :format(i, r[1], r[2], shared, own))
            end
        end
    end
    print(('%d lists, %d answers differ'):format(count, differ))
end

if arg[1] == 'rules' then
    write(tonumber(arg[2]), tonumber(arg[3]))
else
    ask(tonumber(arg[2]))
end
os.exit(0)
