-- The arguments of fetches and converters, checked when an expression is compiled
-- against what is declared (require 'neap.sample_args', which is no public module).
--
-- A declaration is a list of 'name:kind', with a "?" behind it when it may be left out:
-- 'occ:integer?'. Kinds: string, integer, wide (one of 64 bits), 1..9 (a range), a|b|c (one of these), variable,
-- operand (an integer or a variable), base64 (a text in base64, or a variable), mask4,
-- mask6, hex.
local parser = require('neap.sample_parse')
local values = require('neap.sample_values')

local tonumber = tonumber

local M = {}

local base64_decode = values.encoder('base64_decode', 1, 1, 'bool', false)
local hex_decode = values.encoder('hex_decode', 1, 1)

local scopes = { proc = true, sess = true, txn = true, req = true, res = true }

local function variable(text)
    local scope, name = text:match('^(%w+)%.([%w_.]+)$')
    if name and scopes[scope] and #text <= 255 then
        return text
    end
    return nil, 'a variable is expected, as txn.name (proc, sess, txn, req, res)'
end

-- The bytes of a mask of @size bytes with so many bits.
local function mask_of(bits, size)
    local out = {}
    for i = 1, size do
        local n = bits - (i - 1) * 8
        n = n > 8 and 8 or n < 0 and 0 or n
        out[i] = string.char(256 - 2 ^ (8 - n))
    end
    return table.concat(out)
end

local function mask(text, size)
    local bits = text:find('^%d+$') and tonumber(text)
    if bits and bits <= size * 8 then
        return mask_of(bits, size)
    end
    local bytes = values.address_bytes(text)
    if bytes and #bytes == size then
        return bytes
    end
    return nil, size == 4 and 'a mask is expected, as 24 or 255.255.255.0'
        or 'a mask is expected, as 64 or ffff:ffff::'
end

local kinds = {
    string = function(text)
        return text
    end,
    wide = function(text)
        local n = values.exact_integer(text)
        if n == nil then
            return nil, 'an integer is expected'
        end
        return n
    end,
    integer = function(text)
        local n = values.exact_integer(text)
        if type(n) ~= 'number' then
            return nil, 'an integer is expected' .. (n and ' of at most 2^53' or '')
        end
        return n
    end,
    variable = variable,
    operand = function(text)
        local n = values.exact_integer(text)
        if n then
            return n
        elseif variable(text) then
            return { var = text }
        end
        return nil, 'an integer or a variable (as txn.name) is expected'
    end,
    base64 = function(text)
        if variable(text) then
            return { var = text }
        end
        local bytes = base64_decode(text)
        if bytes == nil then
            return nil, 'a text in base64 or a variable (as txn.name) is expected'
        end
        return bytes
    end,
    hex = function(text)
        local bytes = hex_decode(text)
        if bytes == nil then
            return nil, 'an even number of hexadecimal digits is expected'
        end
        return bytes
    end,
    mask4 = function(text)
        return mask(text, 4)
    end,
    mask6 = function(text)
        return mask(text, 16)
    end,
}

local function range(kind)
    local from, to = kind:match('^(-?%d+)%.%.(%d+)$')
    if from == nil then
        return nil
    end
    from, to = tonumber(from), tonumber(to)
    return function(text)
        local n = values.exact_integer(text)
        if n == nil or n < from or n > to then
            return nil, ('an integer from %d to %d is expected'):format(from, to)
        end
        return n
    end
end

local function choice(kind)
    local all = {}
    for word in kind:gmatch('[^|]+') do
        all[word] = true
    end
    return function(text)
        if all[text] then
            return text
        end
        return nil, kind:gsub('|', ', ') .. ' is expected'
    end
end

local rules = {} -- by their texts

local function rule_of(text)
    local rule = rules[text]
    if rule == nil then
        local name, kind, optional = text:match('^([%w_]+):([^?]+)(%??)$')
        rule = {
            name = name, optional = optional == '?',
            check = kinds[kind] or range(kind) or choice(kind),
        }
        rules[text] = rule
    end
    return rule
end

-- usage(name, decl) -> text: as the name and what it takes.
function M.usage(name, decl)
    local list = {}
    for i, text in ipairs(decl.args or {}) do
        local rule = rule_of(text)
        list[i] = rule.optional and '[' .. rule.name .. ']' or rule.name
    end
    if #list == 0 then
        return name
    end
    return ('%s(%s)'):format(name, table.concat(list, ', '))
end

-- check(decl, node, [declare]) -> values
-- Of the arguments @node.args, in their order; an optional one that is missing, or
-- empty and no string, is nil. declare(name) is told variables.
function M.check(decl, node, declare)
    local declared, given, result = decl.args or {}, node.args, {}
    for i = #declared + 1, #given do
        parser.fail(given[i].column, "%s: '%s' is one argument too many",
            M.usage(node.name, decl), given[i].text)
    end
    for i = 1, #declared do
        local rule, arg = rule_of(declared[i]), given[i]
        local empty = arg == nil or arg.text == '' and rule.check ~= kinds.string
        if not empty then
            local value, expected = rule.check(arg.text)
            if value == nil then
                parser.fail(arg.column, "%s: %s: %s, not '%s'",
                    M.usage(node.name, decl), rule.name, expected, arg.text)
            end
            result[i] = value
            if declare and variable(arg.text) and rule.check ~= kinds.string then
                declare(arg.text)
            end
        elseif not rule.optional then
            parser.fail(arg and arg.column or node.column, '%s: %s is missing',
                M.usage(node.name, decl), rule.name)
        end
    end
    return result
end

-- has_variable(args) -> boolean
function M.has_variable(decl, args)
    for i, text in ipairs(decl.args or {}) do
        if type(args[i]) == 'table' or
            args[i] ~= nil and text:find(':variable', 1, true) then
            return true
        end
    end
    return false
end

return M
