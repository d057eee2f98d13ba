-- Expressions and conditions are what HAProxy makes of them: hundreds of them, in
-- several requests over real connections, against what HAProxy has said
-- (expected.lua), and against HAProxy itself where it is installed.
--
-- test: timeout 60
package.path = os.getenv('NEAP_SOURCE_DIR') .. '/test/functional/sample/?.lua;'
    .. package.path
local http_server = require('http.server')
local sample = require('neap.sample')
local tap = require('tap')

local cases, expected, haproxy =
    require('cases'), require('expected'), require('haproxy')
local differences = require('differences')

local txn_mt = { __index = {
    get_var = function(self, name) return self.vars[name] end,
    set_var = function(self, name, value) self.vars[name] = value end,
    unset_var = function(self, name) self.vars[name] = nil end,
} }

local function hex(text)
    return (text:gsub('.', function(c)
        return ('%02X'):format(c:byte())
    end))
end

local compiled -- what the request that comes is asked

local httpd = http_server.new('127.0.0.1', 0, {
    handler = function(_, req)
        local txn = setmetatable({
            _req = req, vars = { ['txn.name'] = 'Value', ['txn.num'] = 42 },
        }, txn_mt)
        local v = compiled(txn)
        if type(v) == 'boolean' then
            v = v and 'yes' or 'no'
        end
        return { body = (v or 'none') .. '.END.' }
    end,
})
httpd:start()

-- f(txn) -> the answer as haproxy.lua has it, or 'refused' and why.
local function compile(kind, text)
    if kind == 'conditions' then
        local ok, f = pcall(sample.condition, text, { mode = 'http' })
        return ok and f or 'refused', f
    end
    local ok, f = pcall(sample.expression, text, { mode = 'http' })
    if not ok then
        return 'refused', f
    end
    return function(txn)
        local v = f(txn)
        return v ~= nil and '=' .. hex(sample.text_of(v)) or nil
    end
end

local function answer_of(case, kind, i, text)
    local why
    compiled, why = compile(kind, text)
    if compiled == 'refused' then
        if type(why) ~= 'string' or not why:find(', column %d+: ') then
            return 'a bad error: ' .. tostring(why)
        end
        return 'refused'
    end
    return haproxy.ask(httpd:port(), case, i) or 'no answer'
end

local function compare(case, kind)
    local name, wrong = case.name .. ' ' .. kind, {}
    for i, text in ipairs(case[kind]) do
        local got, want = answer_of(case, kind, i, text), expected[name][text]
        local other = differences[text]
        if got ~= (other or want) then
            wrong[#wrong + 1] = ('%s: %s, and HAProxy says %s'):format(text, got,
                tostring(want))
        end
    end
    tap.ok(#wrong == 0, ('%s: %d'):format(name, #case[kind]))
    for _, line in ipairs(wrong) do
        tap.diag(line)
    end
end

for _, case in ipairs(cases) do
    compare(case, 'expressions')
    compare(case, 'conditions')
end
httpd:stop()

-- --- what HAProxy says today ---

local function confirm(case, kind)
    local name, wrong = case.name .. ' ' .. kind, {}
    local answers = haproxy.answers(case, kind, expected[name])
    for text, want in pairs(expected[name]) do
        if answers[text] ~= want then
            wrong[#wrong + 1] = ('%s: %s, stored is %s'):format(text, answers[text], want)
        end
    end
    tap.ok(#wrong == 0, 'HAProxy itself: ' .. name)
    for _, line in ipairs(wrong) do
        tap.diag(line)
    end
end

if haproxy.is_there() then
    for _, case in ipairs(cases) do
        confirm(case, 'expressions')
        confirm(case, 'conditions')
    end
end

tap.done()
