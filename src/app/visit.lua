-- Rules that run in the shared state (require 'neap.visit', which is no public module). A
-- call into it and back wakes two threads, which costs more than most functions do. So rules
-- that follow each other, and need nothing but the copy of a request that the shared state
-- has, make the way together: it runs the same rules, compiled there at the start, and tells
-- what has become of the request. See doc/internals/states.md.
local applet = require('neap.applet')
local handlers = require('neap.handlers')
local remote = require('neap.remote')
local states = require('neap.states')

local error, pcall, tostring, type, unpack = error, pcall, tostring, type, unpack

-- may_have: the kinds of rules.
local M = { may_have = {} }

for _, kind in ipairs({
    'action', 'add-header', 'del-header', 'deny', 'redirect', 'return', 'set-header',
    'set-log-level', 'set-method', 'set-path', 'set-query', 'set-uri', 'set-var', 'stop',
    'unset-var', 'use-service',
}) do
    M.may_have[kind] = true
end

-- What is thrown, as text; a cancel goes on.
local function text_of(err)
    if type(err) == 'userdata' and err.type == 'FiberIsCancelled' then
        error(err, 0)
    end
    return tostring(err)
end

-- --- in the worker ---

local FAILED = -1 -- for a code: a rule has thrown

-- What the shared state has made of them. When it could not, nobody knows how far it came:
-- the request fails.
local function outcome(txn, ok, code, after, service, served, resp)
    if not ok then
        error(text_of(code), 0)
    elseif after ~= nil then
        handlers.settle(txn, after)
    end
    if code == FAILED then
        error(service, 0)
    end
    if service ~= nil then
        txn.service_name, txn.service_args, txn.service_elsewhere = service, {}, true
        txn.service = function()
            return served, resp
        end
    end
    return code
end

-- Rules @first to @last as one.
local function together(steps, index, first, last)
    local function one_by_one(txn)
        for i = first, last do
            local code = steps[i](txn)
            if code then
                return code
            end
        end
    end
    local function begin(txn)
        return states.start_call(txn:object(), 'internal', 'visit', txn:head(), index, first,
            last)
    end
    return function(txn)
        if txn.filters then -- which are of the worker, and a service runs behind them
            return one_by_one(txn)
        end
        local ok, call, status = pcall(begin, txn)
        if ok then
            return outcome(txn, pcall(states.end_call, call, status))
        end
        text_of(call) -- which throws a cancel
        return one_by_one(txn) -- each fails by its own rule
    end
end

-- joined(steps, notes, index) -> steps, visits: rules of the listener @index that go together
-- have become one. @notes: {shared = calls of the shared state, here = it needs the worker,
-- conditional =}. A condition that is often false is no reason to go there. visits:
-- {{index =, first =, last =}..}, for prepare().
function M.joined(steps, notes, index)
    local list, visits, i, count = {}, {}, 1, #steps
    while i <= count do
        local last, shared, note = i, 0, notes[i]
        if note.shared > 0 and not note.here and not note.conditional then
            local at = i
            while at <= count and not notes[at].here do
                if notes[at].shared > 0 then
                    last, shared = at, shared + notes[at].shared
                end
                at = at + 1
            end
        end
        if shared > 1 then
            list[#list + 1] = together(steps, index, i, last)
            visits[#visits + 1] = { index = index, first = i, last = last }
            i = last + 1
        else
            list[#list + 1] = steps[i]
            i = i + 1
        end
    end
    return list, visits
end

-- prepare(visits) -> problems: the shared state compiles their rules now, and tells what it
-- finds wrong with them: {{place =, text =}..}.
function M.prepare(visits)
    return states.with_request(function(request)
        return request:call('internal', 'prepare', visits)
    end)
end

-- --- in the shared state ---

local compiled = {} -- by listener and number of a rule

local function prepare(compile, visits)
    local problems = {}
    for _, visit in ipairs(visits) do
        local all = compiled[visit.index] or {}
        compiled[visit.index] = all
        for i = visit.first, visit.last do
            local f, problem = compile(visit.index, i)
            all[i] = f
            problems[#problems + 1] = problem
        end
    end
    return problems
end

-- Its answer goes with the result, unless it has begun to be sent.
local function serve(txn)
    local own = applet.http(txn)
    local ok, resp = txn.service(own, unpack(txn.service_args))
    txn.service = nil
    if ok then
        ok, resp = pcall(applet.finish_http, own)
        resp = ok and resp or not ok and text_of(resp) or nil
    end
    return txn.service_name, ok, resp
end

local function run(txn, index, first, last)
    local all = compiled[index]
    for i = first, last do
        local code = all[i](txn)
        if code then
            return code, txn.service ~= nil
        end
    end
end

-- serve(compile): in the shared state. compile(index, number) -> f(txn), a rule of a listener;
-- or nil and what is wrong with it: {place =, text =}.
function M.serve(compile)
    states.register('internal', 'prepare', function(_, visits)
        return prepare(compile, visits)
    end)
    states.register('internal', 'visit', function(object, head, index, first, last)
        local txn = remote.txn_of(object, head)
        local ok, code, has_service = pcall(run, txn, index, first, last)
        if not ok then
            txn.answer, txn.service = nil, nil
            return FAILED, remote.told(txn), text_of(code)
        elseif has_service then
            local name, served, resp = serve(txn)
            return code, remote.told(txn) or nil, name, served, resp
        end
        return code, remote.told(txn)
    end)
end

return M
