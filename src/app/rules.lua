-- The rules of a listener, compiled into one function (require 'neap.rules', which is no
-- public module). Each rule becomes a closure that is told the request and returns nil
-- to go on, STOP when the rules are over, or DONE when the request has its answer: then
-- txn.answer is a response, 'close', or 'sent'.
local c = ...

local act = require('neap.act')
local chain = require('neap.filter_chain')
local fields = require('neap.fields')
local handlers = require('neap.handlers')
local failure = require('neap.rule_failure')
local sample = require('neap.sample')
local states = require('neap.states')
local txns = require('neap.txn')
local visit = require('neap.visit')
local write = require('neap.core_log').log

local error, ipairs, next, pairs, pcall = error, ipairs, next, pairs, pcall
local setmetatable, tostring, type, unpack = setmetatable, tostring, type, unpack
local find = string.find

local M = { STOP = 1, DONE = 2 }
local STOP, DONE = M.STOP, M.DONE

local REASONS = c.reasons -- by status

-- An answer of the server's own.
local function plain(status, headers)
    return { status = status, headers = headers,
             body = ('%d %s\n'):format(status, REASONS[status] or 'Unknown') }
end
M.plain = plain

local function bad(place, text, ...)
    error({ place = place, text = text:format(...) }, 0)
end

-- --- what a rule may do ---

local kinds = {}

-- A text that may have expressions in it: a function, and whether it is constant.
local function template(env, place, text)
    if type(text) ~= 'string' then
        text = tostring(text)
    end
    if not text:find('%', 1, true) then
        return function() return text end, true
    end
    return sample.template(text, env, place), false
end

-- What @check throws of a value that is always the same is told at once.
local function try(place, check, ...)
    local ok, why = pcall(check, ...)
    if not ok then
        bad(place, '%s', (tostring(why):gsub('^neap/[^:]*:%d+: ', '')))
    end
end

-- The value of a header field. Of an answer it has less than one of a request may have.
local function field_value(env, place, name, text, of_answer)
    local f, constant = template(env, place, text)
    local refused = of_answer and '[%z\1-\8\10-\31\127]' or '[%z\r\n]'
    local function value(txn)
        local found = f(txn)
        if find(found, refused) then
            error(("%s: header field '%s': the value has a control character")
                :format(place, name), 0)
        end
        return found
    end
    if constant then
        if find(f(), refused) then
            bad(place, "header field '%s': the value has a control character", name)
        end
        return f
    end
    return value
end

-- Of a map of names and texts of header fields: a list of {name, f}.
local function templates(env, place, map, of_answer)
    local list = {}
    for name, text in pairs(map or {}) do
        try(place, fields.check_name, name)
        list[#list + 1] = { name, field_value(env, place, name, text, of_answer) }
    end
    table.sort(list, function(a, b) return a[1] < b[1] end)
    return list
end

local function fill(txn, list)
    local headers = {}
    for i = 1, #list do
        headers[list[i][1]] = list[i][2](txn)
    end
    return headers
end

local failed = {
    deny = function(txn)
        txn.answer = plain(txn._res and 502 or 403)
        return DONE
    end,
    error = function(txn)
        txn.answer = plain(500)
        return DONE
    end,
}

local codes = {
    [act.CONTINUE] = function() end,
    [act.STOP] = function() return STOP end,
    [act.ERROR] = failed.error,
    [act.DONE] = function(txn)
        txn.answer = txn.answer or 'close'
        return DONE
    end,
    [act.DENY] = failed.deny,
    [act.ABORT] = function(txn)
        txn.answer = 'close'
        return DONE
    end,
    [act.INVALID] = function(txn)
        txn.answer = plain(txn._res and 502 or 400)
        return DONE
    end,
}

local YIELD_S = 1 -- unless act.wake_time() says when

local function script_name(place, text, what)
    local name = type(text) == 'string' and text:match('^lua%.(.+)$')
    if not name then
        bad(place, "%s: lua.NAME is wanted, not '%s'", what, tostring(text))
    end
    return name
end

-- A registered function, by its name in a rule.
local function script(env, place, kind, text)
    local name = script_name(place, text, kind)
    local call, note, elsewhere = handlers.caller(kind, name)
    if call == nil then
        bad(place, "%s: no script has registered %s '%s'", kind, kind, name)
    end
    sample.note(env, elsewhere)
    return call, note, name, elsewhere
end

local function arguments(env, place, list)
    local args = {}
    for i, text in ipairs(list or {}) do
        args[i] = template(env, place, text)
    end
    return args
end

local function values(txn, args, i)
    if args[i] then
        return args[i](txn), values(txn, args, i + 1)
    end
end

function kinds.action(env, place, text, rule)
    local call, note, name = script(env, place, 'action', text)
    local args = arguments(env, place, rule.args)
    local counts = {}
    for facility, count in note:gmatch('([%w-]+)=(%d*)') do
        counts[facility] = count
    end
    local count = counts[env.facility]
    if count == nil then
        bad(place, "action 'lua.%s' is registered for %s, not for %s", name,
            note:gsub('=%d*', ''), env.facility)
    elseif count ~= '' and tonumber(count) ~= #args then
        bad(place, "action 'lua.%s' takes %s arguments, not %d", name, count,
            #args)
    end
    local on_error = rule.on_error == 'deny' and failed.deny or
        codes[act.CONTINUE]
    return function(txn)
        while true do
            local ok, code = call(txn, values(txn, args, 1))
            local wake = act.take_wake()
            if not ok then
                c.log_error(code)
                return on_error(txn)
            elseif txn.answer then
                return DONE
            elseif code ~= act.YIELD then
                local f = codes[code]
                return f and f(txn)
            end
            require('fiber').sleep(wake or YIELD_S)
        end
    end
end

kinds['use-service'] = function(env, place, text, rule)
    local call, note, name, elsewhere = script(env, place, 'service', text)
    if note ~= env.mode then
        bad(place, "service 'lua.%s' is one of %s, and the listener of %s",
            name, note, env.mode)
    end
    local args = arguments(env, place, rule.args)
    return function(txn)
        txn.service_args = { values(txn, args, 1) }
        txn.service, txn.service_name = call, name
        txn.service_elsewhere = elsewhere
        return DONE
    end
end

-- What arguments that are always the same make of its class is looked at now.
local function check_class(spec, args, elsewhere)
    local configure = { 'configure', 0, spec.key, args }
    if not elsewhere then
        return spec.call({}, unpack(configure))
    end
    return states.with_request(function(request)
        return pcall(request.call, request, 'filter', spec.name, { mode = 'none' },
            unpack(configure))
    end)
end

function kinds.filter(env, place, text, rule)
    local call, _, name, elsewhere = script(env, place, 'filter', text)
    local args, constant, list = {}, true, {}
    for i, arg in ipairs(rule.args or {}) do
        local f, is_constant = template(env, place, arg)
        args[i], constant = f, constant and is_constant
    end
    for i = 1, constant and #args or 0 do
        list[i] = args[i]()
    end
    local spec = {
        name = name, call = call, open = rule.on_error == 'continue',
        key = constant and table.concat(list, '\0') or false,
    }
    env.uses.filters = true
    if constant then
        local ok, why = check_class(spec, list, elsewhere)
        if not ok then
            bad(place, "filter 'lua.%s': %s", name, tostring(why))
        end
    end
    return function(txn)
        if not constant then
            list = {}
            for i = 1, #args do
                list[i] = args[i](txn)
            end
        end
        if not chain.attach(txn, spec, list) then
            return txn.answer and DONE or failed.deny(txn)
        end
    end
end

local function header_rule(change)
    return function(env, place, map)
        local list = templates(env, place, map, env.response)
        return function(txn)
            local res = txn._res
            local all = res and fields.of(res.headers) or txn._req:fields()
            for i = 1, #list do
                all = change(all, list[i][1], list[i][2](txn))
            end
            if res then
                res.headers = fields.map(all)
            else
                txn._req:set_fields(all)
            end
        end
    end
end

kinds['set-header'] = header_rule(fields.set)
kinds['add-header'] = header_rule(fields.with)

kinds['del-header'] = function(env, place, names)
    names = type(names) == 'table' and names or { names }
    local change = header_rule(fields.without)
    local map = {}
    for _, name in ipairs(names) do
        map[name] = ''
    end
    return change(env, place, map)
end

-- What a function of a script has failed to give: no variable is left, lest an earlier
-- value be taken for it. What has no value changes nothing, as in HAProxy.
local FAILED = {}

local function value_of(env, place, text)
    if env.may_fail ~= nil then -- all of the rule fails
        return sample.expression(text, env, place)
    end
    local own = failure.strict(env)
    local f = sample.expression(text, own, place)
    return own.may_fail and failure.sheltered(f, ('set-var (%s)'):format(place), function()
        return FAILED
    end) or f
end

local function put(txn, name, value)
    if value == FAILED then
        txn:unset_var(name)
    elseif value ~= nil then
        txn:set_var(name, value)
    end
end

kinds['set-var'] = function(env, place, map)
    local list = {}
    for name, text in pairs(map) do
        try(place, txns.check_var, name)
        list[#list + 1] = { name, value_of(env, place, text) }
    end
    if #list == 1 then
        local own, f = list[1][1], list[1][2]
        return function(txn)
            put(txn, own, f(txn))
        end
    end
    return function(txn) -- all or none
        local found = {}
        for i = 1, #list do
            found[i] = list[i][2](txn)
        end
        for i = 1, #list do
            put(txn, list[i][1], found[i])
        end
    end
end

kinds['unset-var'] = function(_, place, names)
    names = type(names) == 'table' and names or { names }
    for _, name in ipairs(names) do
        try(place, txns.check_var, name)
    end
    return function(txn)
        for i = 1, #names do
            txn:unset_var(names[i])
        end
    end
end

for _, what in ipairs({ 'method', 'path', 'query', 'uri' }) do
    local set = 'req_set_' .. what
    kinds['set-' .. what] = function(env, place, text)
        local f, constant = template(env, place, text)
        if constant and (what ~= 'query' or f() ~= '') then
            try(place, fields.check_line, what, f())
        end
        return function(txn)
            local http = txn.http
            http[set](http, f(txn))
        end
    end
end

kinds['set-status'] = function(_, _, status)
    return function(txn)
        txn._res.status, txn._res.reason = status, nil
    end
end

-- A map, or what stands for one of which there is @key alone.
local function whole(what, key)
    return type(what) == 'table' and what or { [key] = what }
end

function kinds.deny(env, place, what)
    what = whole(what, 'status')
    local status = what.status or 403
    local headers = templates(env, place, what.headers, true)
    local body = what.body and template(env, place, what.body)
    return function(txn)
        local resp = plain(status, fill(txn, headers))
        if body then
            resp.body = body(txn)
        end
        txn.answer = resp
        return DONE
    end
end

function kinds.redirect(env, place, what)
    what = whole(what, 'location')
    local location = field_value(env, place, 'location', what.location, true)
    local status = what.status or 302
    return function(txn)
        txn.answer = plain(status, { location = location(txn) })
        return DONE
    end
end

-- A file as the answer. @status: false: that of the file, which may be asked for a part or
-- for what is new; else it stands for something else.
local function file_rule(env, file, status, headers)
    sample.note(env, false)
    local folder, name = file:match('^(.*/)([^/]+)$')
    local files = require('http.server').files('/', folder or '.',
        { index = name or file }, true)
    local function change(txn, code, map)
        if code ~= 200 then
            return code, map
        end
        for field, value in pairs(fill(txn, headers)) do
            map[field:lower()] = value
        end
        return status or code, map
    end
    return function(txn)
        local req = txn._req
        local path, on_head = req._target_path, req._on_head
        req._target_path, req._whole = '/', status ~= false
        req._on_head = function(code, map)
            code, map = change(txn, code, map)
            if on_head then
                return on_head(code, map)
            end
            return code, map
        end
        local resp = files(req)
        req._target_path, req._on_head, req._whole = path, on_head, nil
        if resp then
            resp.status, resp.headers = change(txn, resp.status, resp.headers or {})
        end
        txn.answer = resp or 'sent'
        return DONE
    end
end

kinds['return'] = function(env, place, what)
    what = whole(what, 'status')
    local status = what.status or 200
    local headers = templates(env, place, what.headers, true)
    if what.file and what.body ~= nil then
        bad(place, 'return: a body or a file, not both')
    elseif what.file then
        return file_rule(env, what.file, status ~= 200 and status, headers)
    end
    local body = what.body ~= nil and template(env, place, what.body)
    local no_headers = next(headers) == nil
    return function(txn)
        txn.answer = {
            status = status,
            headers = not no_headers and fill(txn, headers) or nil,
            body = body and body(txn) or '',
        }
        return DONE
    end
end

function kinds.static(env, _, folder)
    local files = require('http.server').files(env.prefix or '/', folder)
    return function(txn)
        local resp, mine = files(txn._req)
        if mine then
            txn.answer = resp or 'sent'
            return DONE
        end
    end
end

-- Those of the server's log, and those of syslog, which scripts know.
local levels = {
    silent = -1, fatal = 0, syserror = 3, error = 3, crit = 2, warn = 4, info = 6,
    verbose = 6, debug = 7, emerg = 0, alert = 1, err = 3, warning = 4, notice = 5,
}
local INFO = levels.info

kinds['set-log-level'] = function(_, place, level)
    if levels[level] == nil then
        bad(place, "set-log-level: '%s' is no level", tostring(level))
    end
    return function(txn)
        txn.log_level = levels[level]
    end
end

function kinds.log(env, place, text)
    local f = template(setmetatable({ log = true }, { __index = env }), place, text)
    return function(txn)
        local level = txn.log_level or INFO
        if level >= 0 then
            write(level, f(txn))
        end
    end
end

function kinds.stop()
    return function() return STOP end
end

-- --- the list ---

local conditions = { ['if'] = true, unless = true, name = true, args = true,
                     on_error = true }

-- Those of a listener of TCP: a connection has no fields and gets no answer.
local of_tcp = { action = true, deny = true, filter = true, log = true, stop = true,
                 ['set-log-level'] = true, ['set-var'] = true, ['unset-var'] = true,
                 ['use-service'] = true }

-- compile_one(rule, env) -> f(txn), followed: the same which tells that it runs, note: what
-- visit.lua wants to know of it.
function M.compile_one(rule, env)
    local note = { shared = 0, here = false, conditional = false }
    local kind, what
    for name, value in pairs(rule) do
        if not conditions[name] then
            kind, what = name, value
        end
    end
    env = setmetatable({ note = note }, { __index = env })
    note.here = not visit.may_have[kind]
    local place = env.place(rule, kind)
    local make = kinds[kind]
    if make == nil then
        bad(place, "'%s' is not there yet", tostring(kind))
    elseif env.mode == 'tcp' and not of_tcp[kind] then
        bad(place, "'%s' is for listeners of http", kind)
    end
    local whole, answer = failure.policy(kind, rule.on_error, failed)
    local strict = failure.strict(env)
    local run = make(whole and strict or env, place, what, rule)
    local spec = {
        label = ('%s (%s)'):format(kind, place), whole = whole, answer = answer,
        always = rule.on_error ~= nil, negated = rule['if'] == nil,
    }
    local text, condition = rule['if'] or rule.unless, nil
    if text ~= nil then
        local own = failure.strict(env)
        condition = sample.condition(text, own,
            env.place(rule, spec.negated and 'unless' or 'if'))
        spec.condition_may_fail = own.may_fail
        note.conditional = true
    end
    spec.may_fail = strict.may_fail or spec.condition_may_fail
    return failure.rule(run, condition, spec), failure.rule(function(txn)
        c.trace(txn._req, 'rule', spec.label)
        return run(txn)
    end, condition, spec), note
end

local function run_all(steps, count, txn)
    for i = 1, count do
        local code = steps[i](txn)
        if code then
            return code
        end
    end
end

-- compile(list, env) -> f | nil: f(txn) -> nil | STOP | DONE; nil: no rules. @env as
-- that of `neap.sample`, and place(rule, key), facility ('http-req'), problem(t), which is
-- told what is wrong with a rule: {place=, text=}.
function M.compile(list, env)
    local steps, followed, notes, all_good = {}, {}, {}, true
    for i, rule in ipairs(list or {}) do
        local ok, step, follow, note = pcall(M.compile_one, rule, env)
        if ok then
            steps[i], followed[i], notes[i] = step, follow, note
        elseif type(step) == 'table' and step.text then
            env.problem(step)
            all_good = false
        else
            error(step, 0)
        end
    end
    local count = #steps
    if count == 0 then
        return nil
    elseif all_good and env.mode == 'http' and not env.response then
        steps, env.uses.visits = visit.joined(steps, notes, env.index)
        count = #steps
    end
    return function(txn)
        if txn._traced then
            return run_all(followed, #followed, txn)
        end
        for i = 1, count do
            local code = steps[i](txn)
            if code then
                return code
            end
        end
    end
end

return M
