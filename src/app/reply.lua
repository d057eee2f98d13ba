-- The class Reply: an answer that a function makes before it is sent (require
-- 'neap.reply', which is no public module). A plain table with the same fields serves as
-- well where one is wanted.
local args = require('neap.args')
local fields_of = require('neap.fields')

local ipairs, pairs, setmetatable, type = ipairs, pairs, setmetatable, type

local Reply = {}
local reply_mt = {
    __index = Reply, __name = 'Reply', __tostring = function() return 'Reply' end,
}

local M = { class = reply_mt }

local fields = { status = true, reason = true, headers = true, body = true }

local function check_status(status, n, f)
    return args.whole(status, 200, 599, n, f)
end

local function check_name(name, n, f)
    name = args.text(name, n, f)
    if not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
        args.bad(n, f, ('%q is no name of a header field'):format(name))
    end
    return name
end

local function check_value(value, n, f)
    value = args.text(value, n, f)
    if value:find('[\r\n%z]') then
        args.bad(n, f, 'CR, LF and NUL cannot be in a header field')
    end
    return value
end

-- The values of a field, which may begin with 0 as HAProxy's do.
local function values_of(given, n, f)
    if type(given) ~= 'table' then
        return { check_value(given, n, f) }
    end
    local values = { given[0] ~= nil and check_value(given[0], n, f) or nil }
    for _, value in ipairs(given) do
        values[#values + 1] = check_value(value, n, f)
    end
    return values
end

-- new([t]) -> reply: with the fields of @t, `status` (200), `reason`, `headers` (name ->
-- value, or a list of them) and `body` ('').
function M.new(t)
    local reply = setmetatable({ status = 200, headers = {}, body = '' }, reply_mt)
    if t == nil then
        return reply
    end
    args.table(t, 1, 'reply')
    for name in pairs(t) do
        if not fields[name] then
            args.bad(1, 'reply', ("a reply has no field '%s'"):format(tostring(name)))
        end
    end
    reply:set_status(t.status or 200, t.reason)
    reply:set_body(t.body or '')
    for name, given in pairs(t.headers ~= nil and args.table(t.headers, 1, 'reply')
        or {}) do
        reply.headers[check_name(name, 1, 'reply')] = values_of(given, 1, 'reply')
    end
    return reply
end

-- set_status(status, [reason]): the reason is that of the status unless given.
function Reply:set_status(status, reason)
    args.object(self, reply_mt, 'set_status')
    self.status = check_status(status, 1, 'set_status')
    if reason ~= nil and not fields_of.is_reason(args.text(reason, 2, 'set_status')) then
        args.bad(2, 'set_status', fields_of.reason_wanted)
    end
    self.reason = reason
    return true
end

-- The name under which @name is there, whatever its case.
local function known(self, name)
    local small = name:lower()
    for own in pairs(self.headers) do
        if own:lower() == small then
            return own
        end
    end
end

function Reply:add_header(name, value)
    args.object(self, reply_mt, 'add_header')
    name = check_name(name, 1, 'add_header')
    value = check_value(value, 2, 'add_header')
    local own = known(self, name) or name
    local values = self.headers[own]
    if type(values) ~= 'table' then
        values = { values }
        self.headers[own] = values
    end
    values[#values + 1] = value
    return true
end

function Reply:del_header(name)
    args.object(self, reply_mt, 'del_header')
    local own = known(self, check_name(name, 1, 'del_header'))
    if own ~= nil then
        self.headers[own] = nil
    end
    return true
end

function Reply:set_header(name, value)
    args.object(self, reply_mt, 'set_header')
    name = check_name(name, 1, 'set_header')
    value = check_value(value, 2, 'set_header')
    self:del_header(name)
    self.headers[name] = { value }
    return true
end

function Reply:set_body(body)
    args.object(self, reply_mt, 'set_body')
    self.body = args.text(body, 1, 'set_body')
    return true
end

return M
