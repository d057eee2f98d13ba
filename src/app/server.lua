-- The configured server in one worker: its listeners, and the way of a request through
-- their rules (require 'neap.server', which is no public module).
local c = ...

local addresses = require('neap.addresses')
local applet = require('neap.applet')
local chain = require('neap.filter_chain')
local config = require('neap.config')
local files = require('neap.config_files')
local fields = require('neap.fields')
local filter_stream = require('neap.filter_stream')
local request_log = require('neap.request_log')
local rules = require('neap.rules')
local states = require('neap.states')
local txns = require('neap.txn')
local visit = require('neap.visit')

local clock = require('clock').time
local error, ipairs, pairs, pcall = error, ipairs, pairs, pcall
local setmetatable = setmetatable
local table, tonumber, tostring, type = table, tonumber, tostring, type
local unpack = unpack

local M = {}

-- --- HTTP ---

local finish_txn = txns.finish

-- Response rules may change what is sent, before it is.
local function with_rules(txn, run, resp)
    txn._res, txn.answer = resp, nil
    resp.status = resp.status or 200
    resp.headers = fields.map(fields.of(resp.headers))
    run(txn)
    if txn.answer == 'close' then
        return txn._req:abort()
    end
    return txn.answer or resp
end

local function run_service(txn)
    local call, args = txn.service, txn.service_args
    local own = applet.http(txn)
    local ok, value = call(txn.service_elsewhere and txn or own, unpack(args))
    if not ok then
        if txn.replaced then
            return nil
        end
        if not txn.refused then -- a filter has told why
            c.log_error(value)
        end
        if own.writer or txn.writer then
            return txn._req:abort()
        end
        return rules.plain(500)
    end
    local resp = value -- of the shared state: a response, true, or nil
    if not txn.service_elsewhere then
        resp = applet.finish_http(own)
    end
    if resp == nil then
        c.log_error(('service \'%s\' has returned without an answer')
            :format(txn.service_name))
        return rules.plain(500)
    end
    return resp ~= true and resp or nil
end

local function answer_of(txn)
    local answer = txn.answer
    if answer == 'close' then
        return txn._req:abort()
    elseif answer == 'sent' then
        return nil
    end
    return answer
end

-- A filter has ended the request, or has failed.
local function refusal(txn)
    if txn.answer then
        return answer_of(txn)
    end
    return rules.plain(txn.refused)
end

-- No rule has answered.
local function respond_with_file(txn, listener)
    for _, serve in ipairs(listener.files) do
        local resp, mine = serve(txn._req)
        if mine then
            return resp
        end
    end
    return rules.plain(404)
end

local function respond(listener, txn)
    local run = listener.rules
    local done = run and run(txn) == rules.DONE
    if done and not txn.service then
        return answer_of(txn)
    elseif txn.filters and not chain.begin(txn) then
        return refusal(txn)
    end
    local resp = (done and run_service or respond_with_file)(txn, listener)
    if txn.refused then
        if resp == nil then -- the answer has begun
            return txn._req:abort()
        end
        return refusal(txn)
    end
    return resp
end

-- What stands behind the status is told apart from the rest.
local function set_phrase(txn, resp)
    txn._req:_set_phrase(resp and resp.reason)
    if resp then
        resp.reason = nil
    end
    return resp
end

local function ended(txn, ok, ...)
    local log = txn.listener.log
    if txn.filters then
        chain.stop(txn)
    end
    if log == nil then
        finish_txn(txn)
    elseif txn._req then
        log:finish(txn)
    else
        log:finish_tcp(txn)
    end
    if txn.replaced then
        return set_phrase(txn, txn.replaced)
    elseif not ok then
        error((...), 0)
    end
    return ...
end

local function serve(listener, txn)
    local resp = respond(listener, txn)
    if type(resp) == 'string' then
        resp = { body = resp }
    end
    if resp and listener.response_rules then
        resp = with_rules(txn, listener.response_rules, resp)
    end
    if resp and (resp.reason or txn.reason) then
        set_phrase(txn, resp)
    end
    if resp and txn.filters and not txn.refused then
        txn._res = resp
        resp = chain.respond(txn, resp)
        if resp == false then
            resp = refusal(txn)
            set_phrase(txn, resp)
        end
    end
    txn._res = resp or txn._res
    return resp
end

local function make_handler(listener)
    local new = txns.new
    local later = listener.response_rules
    local log = listener.log
    local hooks = later or log or listener.uses.filters
    local dated = listener.uses.dates
    return function(_, req, traced)
        local txn = new(listener, req)
        txn._traced = traced
        if dated then
            txn.started = clock()
        end
        if log then
            log:begin(txn)
        end
        if hooks then
            req._on_head = function(status, headers)
                local own = { status = status, headers = headers,
                              reason = txn.reason }
                local resp = own
                if later then
                    resp = with_rules(txn, later, own)
                end
                if resp == nil then
                    error('a rule has closed the connection', 0)
                end
                txn._res = resp
                if resp ~= own then -- what would be sent behind it is of the other one
                    txn.replaced = resp
                    error('a rule has given another answer', 0)
                end
                if log then
                    log:keep(txn)
                end
                req:_set_phrase(resp.reason)
                if txn.filters then
                    return chain.stream(txn, resp.status, resp.headers)
                end
                return resp.status, resp.headers
            end
        end
        return ended(txn, pcall(serve, listener, txn))
    end
end

-- --- TCP ---

local function serve_tcp(listener, txn)
    local run = listener.rules
    if run == nil or run(txn) ~= rules.DONE or txn.service == nil or
       txn.filters and not filter_stream.begin(txn) then
        return
    end
    local ok, text = txn.service(txn.service_elsewhere and txn or
        applet.tcp(txn))
    if txn.refused then
        return -- it has been told why
    elseif not ok then
        c.log_error(text)
    elseif txn.filters then
        filter_stream.finish(txn)
    end
end

local function make_tcp_handler(listener)
    return function(socket)
        local txn = txns.new(listener, nil, socket)
        txn.peer = socket:peer()
        if listener.uses.dates then
            txn.started = clock()
        end
        if listener.log then
            listener.log:begin_tcp(txn)
        end
        ended(txn, pcall(serve_tcp, listener, txn))
    end
end

-- --- the listeners ---

local function split_address(text)
    local path = text:match('^unix:(.+)$')
    if path then
        return 'unix/', path
    end
    local host, port = text:match('^%[(.-)%]:(%d+)$')
    if not host then
        host, port = text:match('^(.-):(%d+)$')
    end
    if host == '' or host == '*' then
        host = '*'
    end
    return host, tonumber(port)
end

-- Static folders, those that say more first: a list of f(req).
local function folders(map)
    local prefixes, list = {}, {}
    for prefix in pairs(map) do
        if prefix:sub(1, 1) ~= '/' or prefix:find('[:*%%]') or prefix:find('//', 1, true) then
            error({ place = config.place(map, prefix),
                    text = ("static: a path such as /assets is wanted, not '%s'")
                        :format(prefix) }, 0)
        end
        prefixes[#prefixes + 1] = prefix
    end
    table.sort(prefixes, function(a, b) return #a > #b end)
    for i, prefix in ipairs(prefixes) do
        list[i] = require('http.server').files(prefix, map[prefix])
    end
    return list
end

-- What of a listener's options concerns connections, whatever is spoken on them.
local tcp_options = { max_connections = true, backlog = true, reuseport = true }

local function check_options(own)
    for name in pairs(own.protocol == 'tcp' and own.options or {}) do
        if not tcp_options[name] then
            error({ place = config.place(own.options, name),
                    text = ("'%s' is for listeners of http"):format(name) }, 0)
        end
    end
    for _, name in ipairs(own.protocol == 'tcp' and
            { 'response_rules', 'static' } or {}) do
        if own[name] then
            error({ place = config.place(own, name),
                    text = ("'%s' is for listeners of http"):format(name) }, 0)
        end
    end
end

-- What the rules of a listener are compiled with; @index: its number.
local function environment(own, index, problem)
    local mode = own.protocol or 'http'
    local handlers = require('neap.handlers')
    return {
        mode = mode, response = false, place = config.place, uses = {},
        problem = problem, index = index,
        facility = mode == 'http' and 'http-req' or 'tcp-req',
        declare = function(name)
            if name:find('^proc%.') then
                require('neap.states').declare_var(name)
            end
        end,
        lua = function(kind, name)
            local call, _, elsewhere = handlers.caller(kind, name)
            return call and function(txn, ...)
                local ok, value = call(txn, ...)
                if ok then
                    return value
                end
                c.log_error(value)
            end, elsewhere
        end,
    }
end

-- A rule for requests, compiled for visits of the shared state.
local function rule_of(index, number)
    local own = config.tree().listeners[index]
    local rule = own.rules[number]
    local ok, result = pcall(rules.compile_one, rule, environment(own, index))
    if ok then
        return result
    end
    local known = type(result) == 'table' and result.text
    return nil, { place = known and result.place or config.place(rule),
                  text = 'in the shared state: ' .. tostring(known or result) }
end

if states.id == 0 then
    visit.serve(rule_of)
end

local function compile(own, index, problem)
    local env = environment(own, index, problem)
    local mode = env.mode
    check_options(own)
    local back = setmetatable({ response = true, facility = 'http-res' },
        { __index = env })
    local listener = { name = own.name, address = own.address, mode = mode,
                       uses = env.uses }
    listener.rules = rules.compile(own.rules, env)
    listener.response_rules = rules.compile(own.response_rules, back)
    listener.files = folders(own.static or {})
    if own.log_format then
        listener.log = request_log.new(listener, own.log_format, env,
            config.place(own, 'log_format'))
    end
    return listener
end

local compiled

local PROBLEMS_MAX = 20 -- that are told

-- What is wrong with a rule, as the file's other errors are told.
local function compile_all()
    local list, texts, visits = {}, {}, {}
    local function problem(t)
        if #texts < PROBLEMS_MAX then
            texts[#texts + 1] = ('%s: %s'):format(t.place, t.text)
        end
    end
    local tree = config.tree()
    for i, own in ipairs(tree and tree.listeners or {}) do
        local ok, result = pcall(compile, own, i, problem)
        if ok then
            list[i] = { own = own, listener = result }
            for _, each in ipairs(result.uses.visits or {}) do
                visits[#visits + 1] = each
            end
        elseif type(result) == 'table' and result.text then
            problem(result)
        else
            error(result, 0)
        end
    end
    -- One worker asks for what is the same for all of them.
    if states.id == 1 and visits[1] and not texts[1] then
        for _, each in ipairs(visit.prepare(visits)) do
            problem(each)
        end
    end
    return list, texts[1] and table.concat(texts, '\n')
end

-- check() -> nil, or what is wrong, a line each that begins with its place. All files
-- are loaded and their functions known; nothing is opened yet.
function M.check()
    local problems
    compiled, problems = compile_all()
    -- One worker is enough for what all of them have.
    local found = states.id == 1 and files.check() or {}
    found[#found + 1] = problems
    return found[1] and table.concat(found, '\n')
end

local function listen(own, listener, address)
    local host, port = split_address(address)
    local options = { name = own.name, tls = own.tls,
                      proxy_protocol = own.proxy_protocol }
    for name, value in pairs(own.options or {}) do
        options[name] = value
    end
    if listener.mode == 'http' then
        options.handler, options.stream = make_handler(listener), true
        options.access_log = listener.log and listener.log:options()
        local server = require('http.server').new(host, port, options)
        local ok, err = pcall(server.start, server)
        if not ok then
            error(('%s: %s'):format(config.place(own, 'address'),
                tostring(err)), 0)
        end
        return
    end
    options.handler = make_tcp_handler(listener)
    local ok, err = require('socket').tcp_server(host, port, options)
    if not ok then
        error(("%s: cannot listen on '%s': %s"):format(config.place(own,
            'address'), address, err), 0)
    end
end

-- Maps and ACLs are the process's: a reload reads their files again. One that is bad
-- stays as it was: it need not be one that is still used.
local maps

local function log_maps(errors)
    for _, text in ipairs(errors) do
        c.log_error('reload: ' .. text)
    end
end

-- start() -> nil, or what is wrong. All states are ready: listen.
function M.start()
    if states.id == 1 and states.generation > 1 then
        local errors
        maps, errors = require('neap.map').read_all()
        log_maps(errors)
    end
    for _, each in ipairs(compiled) do
        for _, address in ipairs(addresses.of(each.own)) do
            listen(each.own, each.listener, address)
        end
    end
end

-- All workers listen: nothing can keep the reload from being done any more, so what
-- the generation before uses, too, may change.
function M.serving()
    if maps then
        log_maps(require('neap.map').install_all(maps))
        maps = nil
    end
end

return M
