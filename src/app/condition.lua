-- Conditions (require 'neap.condition', which is no public module): tests joined by and,
-- or, not and parentheses. A test is an expression, alone or compared with a value, or
-- what HAProxy writes between braces:
--
--     path begins '/api' and not (src in (10.0.0.0/8, ::1) or req.hdr(x) == a)
--     { path -m beg /api } !{ src 10.0.0.0/8 }
local match = require('neap.sample_match')
local parser = require('neap.sample_parse')
local values = require('neap.sample_values')

local sample

local byte, find, sub = string.byte, string.find, string.sub
local concat = table.concat
local fail = parser.fail

local M = {}

local TESTS_MAX, NESTING_MAX, PATTERNS_MAX = 200, 32, 10000

local function blank(text, at)
    return text:match('^%s*()', at)
end

-- The word of letters at @at, in small ones, and what is behind it.
local function keyword(text, at)
    local word, after = text:match('^([%a]+)()', at)
    if word and (after > #text or find(text, '^[%s(){}!]', after)) then
        return word, after
    end
    return nil
end

-- --- values of the infix form ---

local function quoted(text, at)
    local quote, parts, from = sub(text, at, at), {}, at
    at = at + 1
    while true do
        local c = sub(text, at, at)
        if c == '' then
            fail(from, 'the quote %s is not closed', quote)
        elseif c == quote then
            return concat(parts), at + 1
        elseif c == '\\' and quote == '"' and at < #text then
            at = at + 1
            c = sub(text, at, at)
            c = c == 'n' and '\n' or c == 't' and '\t' or c == 'r' and '\r'
                or (c == '"' or c == '\\') and c or '\\' .. c
        end
        parts[#parts + 1] = c
        at = at + 1
    end
end

-- A value: quoted, or up to a blank (in a list: or a comma) or a parenthesis.
local function value_at(text, at, in_list)
    local column = at
    if find(text, '^[\'"]', at) then
        local value, after = quoted(text, at)
        return { text = value, column = column, quoted = true }, after
    end
    local after = text:match(in_list and '^[^%s(),]+()' or '^[^%s()]+()', at)
    if after == nil then
        fail(at, 'a value is expected%s',
            at > #text and '' or (", not '%s'"):format(sub(text, at, at)))
    end
    return { text = sub(text, at, after - 1), column = column }, after
end

-- Behind `in`: values in parentheses, or one alone.
local function list_at(text, at)
    local list = {}
    if byte(text, at) ~= 40 then
        list[1], at = value_at(text, at)
        return list, at
    end
    at = blank(text, at + 1)
    while byte(text, at) ~= 41 do
        if #list == PATTERNS_MAX then
            fail(at, 'more than %d values', PATTERNS_MAX)
        end
        list[#list + 1], at = value_at(text, at, true)
        at = blank(text, at)
        if byte(text, at) == 44 then
            at = blank(text, at + 1)
        elseif at > #text then
            fail(at, "the list is not closed: ')' is expected")
        end
    end
    if #list == 0 then
        fail(at, 'a value is expected in the list')
    end
    return list, at + 1
end

-- --- tests ---

-- A test for the code: its function, or true or false when that is known.
local function add_test(state, f, const)
    if const then
        return f(nil) and 'true' or 'false'
    end
    if #state.tests == TESTS_MAX then
        fail(state.column, 'more than %d tests', TESTS_MAX)
    end
    state.tests[#state.tests + 1] = f
    return ('k%d(txn)'):format(#state.tests)
end

local function test_of(state, x, method, patterns, ignore_case, all, column)
    local f, from = match.make(method, patterns, ignore_case)
    sample.cast(x, from, column, ('-m %s'):format(method))
    return add_test(state, sample.test(x, f, all), x.const)
end

local order = {
    ['<'] = 'lt', ['<='] = 'le', ['>'] = 'gt', ['>='] = 'ge',
}

local named = { begins = 'beg', ends = 'end', contains = 'sub', matches = 'reg' }

-- true, false: as a boolean is written.
local function boolean_of(value)
    local text = value.text
    if text == 'true' or text == '1' then
        return true
    elseif text == 'false' or text == '0' then
        return false
    end
    fail(value.column, "true or false is expected, not '%s'", text)
end

-- x == one of the values.
local function equality(state, x, list, column)
    if x.type == 'ip' then
        return test_of(state, x, 'ip', list, false, false, column)
    elseif x.type == 'integer' then
        return test_of(state, x, 'int', list, false, false, column)
    elseif x.type == 'boolean' then
        local wanted = boolean_of(list[1])
        return add_test(state, sample.test(x, function(v)
            return v == wanted
        end), x.const)
    elseif x.type == 'any' then
        local set = {}
        for _, value in ipairs(list) do
            set[value.text] = true
        end
        return add_test(state, sample.test(x, function(v)
            if v == true then
                return set['true'] == true or set['1'] == true
            elseif v == false then
                return set['false'] == true or set['0'] == true
            end
            return set[values.text_of(v)] == true
        end), x.const)
    end
    return test_of(state, x, 'str', list, false, false, column)
end

-- What stands behind an expression: an operator and its value. Nil: nothing does.
local function comparison(state, x, text, at, column)
    local operator, after = text:match('^([=!<>]=?)()', at)
    if operator == '=' then
        fail(at, "'==' is expected, not '='")
    elseif operator and operator ~= '!' then
        local value
        value, after = value_at(text, blank(text, after))
        if order[operator] then
            value.operator = order[operator]
            return test_of(state, x, 'int', { value }, false, false, column), after
        end
        local code = equality(state, x, { value }, column)
        return operator == '==' and code or 'not ' .. code, after
    end
    local word
    word, after = keyword(text, at)
    if word == 'in' then
        local list
        list, after = list_at(text, blank(text, after))
        return equality(state, x, list, column), after
    elseif word and named[word] then
        local value
        value, after = value_at(text, blank(text, after))
        return test_of(state, x, named[word], { value }, false, false, column), after
    end
    return nil, at
end

-- --- HAProxy's form ---

local escapes = { n = '\n', r = '\r', t = '\t' }

-- A word of its configuration: quotes may be inside, backslashes stand before blanks,
-- quotes, braces and themselves. Nil: there is no more.
local function word_at(text, at)
    at = blank(text, at)
    local column, parts, quote, bare = at, {}, nil, true
    if at > #text then
        return nil, at
    end
    while true do
        local c = sub(text, at, at)
        if c == '' and quote then
            fail(column, 'the quote %s is not closed', quote)
        elseif c == '' or quote == nil and find(c, '%s') then
            break
        elseif c == quote then
            quote, c = nil, ''
        elseif quote == nil and (c == '"' or c == "'") then
            quote, c, bare = c, '', false
        elseif c == '\\' and quote ~= "'" then
            local following = sub(text, at + 1, at + 1)
            if escapes[following] or find(following, '^[\\\'" #{}$]') then
                c, at, bare = escapes[following] or following, at + 1, false
            end
        end
        parts[#parts + 1] = c
        at = at + 1
    end
    return { text = concat(parts), column = column, bare = bare }, at
end

-- Tests of the files of patterns, which are live: who changes one by its name (console,
-- core.add_acl()) changes what is matched.
local function add_files(tests, acl, method)
    local acls = require('neap.map').acl
    for _, word in ipairs(acl.files) do
        local ok, f = pcall(acls, word.text, method, acl.ignore_case)
        if not ok then
            fail(word.column, "the file '%s': %s", word.text, tostring(f))
        end
        tests[#tests + 1] = f
    end
end

local function method_of(word)
    if word == nil then
        fail(nil, "the name of a method is expected behind '-m'")
    elseif not match.known(word.text) then
        parser.unknown(word.column, 'method', word.text, match.methods)
    end
    return word.text
end

-- Flags, operator and patterns of an ACL.
local function patterns_of(words)
    local acl, i, operator = { patterns = {}, files = {}, ignore_case = false }, 2, nil
    local flags = true
    while i <= #words do
        local word = words[i]
        local text = flags and word.bare and word.text
        if text == '--' then
            flags = false
        elseif text == '-i' then
            acl.ignore_case = true
        elseif text == '-n' then
            acl.no_names = true -- there are none
        elseif text == '-m' then
            i = i + 1
            acl.method = method_of(words[i])
        elseif text == '-f' then
            i = i + 1
            if words[i] == nil then
                fail(word.column, "a file is expected behind '-f'")
            end
            acl.files[#acl.files + 1] = words[i]
        elseif text and text:find('^%-%a') then
            fail(word.column, "'%s' is no flag: -i, -m, -f, -n or -- is expected", text)
        elseif match.is_operator(word.text) and word.bare and
            (operator or #acl.patterns == 0) then
            operator, flags = word.text, false
        else
            word.operator, flags = operator, false
            acl.patterns[#acl.patterns + 1] = word
        end
        i = i + 1
    end
    acl.operator = operator
    return acl
end

local defaults = {
    boolean = 'bool', integer = 'int', ip = 'ip', string = 'str', any = 'str',
}

-- path_beg is path -m beg; hdr_beg is of the request, whatever runs.
local function derivative(parts)
    local node = parts[1]
    if sample.fetches[node.name] then
        return nil
    end
    local name, method = node.name:match('^(.+)_(%l+)$')
    if name and sample.fetches[name] and match.known(method) then
        node.name = name == 'hdr' and 'req.hdr' or name
        return method
    end
end

-- The word of an expression, whose columns are moved to where it stands.
local function expression_of(word, env)
    local offset = word.column - 1
    local ok, x, method = pcall(function()
        local parts, after = parser.parse(word.text, 1)
        if after <= #word.text then
            fail(after, "',' and a converter or a blank is expected, not '%s'",
                sub(word.text, after, after))
        end
        local method = derivative(parts)
        return sample.assemble(parts, env), #parts == 1 and method or nil
    end)
    if ok then
        return x, method
    elseif type(x) == 'table' and x.column then
        x.column = x.column + offset
    end
    error(x, 0)
end

-- The value must match one of the patterns, or what is in one of the files.
local function file_test(state, x, method, acl, column)
    local tests, from = {}, match.methods[method].from
    if #acl.patterns > 0 then
        tests[1] = match.make(method, acl.patterns, acl.ignore_case)
    end
    add_files(tests, acl, method)
    sample.cast(x, from, column, ('-m %s'):format(method))
    return add_test(state, sample.test(x, match.any(tests), true), false)
end

local function acl_test(state, words, open)
    if #words == 0 then
        fail(open, 'an expression is expected between the braces')
    end
    local x, derived = expression_of(words[1], state.env)
    local acl = patterns_of(words)
    local method = acl.method or derived or x.match == nil and defaults[x.type]
    if x.match == 'method' and not acl.method then
        method = 'str'
    end
    if not method then
        fail(words[1].column, "bytes have no matching of their own: '-m' is expected")
    elseif #acl.patterns + #acl.files == 0 and not match.methods[method].none then
        fail(words[1].column, "a pattern is expected behind it, or '-m found'")
    elseif acl.operator and method ~= 'int' and method ~= 'len' then
        fail(words[1].column, "'%s' is for integers", acl.operator)
    end
    if #acl.files == 0 then
        return test_of(state, x, method, acl.patterns, acl.ignore_case, true,
            words[1].column)
    end
    return file_test(state, x, method, acl, words[1].column)
end

-- "{ .. }" at @at
local function braces(state, text, at)
    local open, words = at, {}
    at = at + 1
    while true do
        local word
        word, at = word_at(text, at)
        if word == nil then
            fail(open, "the brace is not closed: a '}' between blanks is expected")
        elseif word.bare and word.text == '}' then
            return acl_test(state, words, open), at
        elseif #words == PATTERNS_MAX then
            fail(word.column, 'more than %d words', PATTERNS_MAX)
        end
        words[#words + 1] = word
    end
end

-- What HAProxy has declared beforehand.
local predefined = {
    TRUE = 'always_true', FALSE = 'always_false', HTTP = 'req.proto_http',
    ['HTTP_1.0'] = 'req.ver 1.0', ['HTTP_1.1'] = 'req.ver 1.1',
    ['HTTP_2.0'] = 'req.ver 2.0', HTTP_CONTENT = 'req.hdr_val(content-length) gt 0',
    HTTP_URL_ABS = 'url_reg ^[^/:]*://', HTTP_URL_SLASH = 'url_beg /',
    HTTP_URL_STAR = 'url *', LOCALHOST = 'src 127.0.0.1/8 ::1',
    METH_CONNECT = 'method CONNECT', METH_DELETE = 'method DELETE',
    METH_GET = 'method GET HEAD', METH_HEAD = 'method HEAD',
    METH_OPTIONS = 'method OPTIONS', METH_POST = 'method POST', METH_PUT = 'method PUT',
    METH_TRACE = 'method TRACE',
}

-- --- the grammar ---

local disjunction

local function test(state, text, at)
    local name, behind = text:match('^([%u][%u_%d.]+)()', at)
    if name and predefined[name] then
        return braces(state, '{ ' .. predefined[name] .. ' }', 1), behind
    elseif name then
        parser.unknown(at, 'predefined condition', name, predefined)
    end
    local x, after = sample.analyse(text, at, state.env)
    local code
    code, behind = comparison(state, x, text, blank(text, after), at)
    if code == nil then
        return add_test(state, sample.test(x, match.truth(x.type)), x.const), after
    end
    return code, behind
end

local function factor(state, text, at, depth)
    local word, after = keyword(text, at)
    state.column = at
    if depth > NESTING_MAX then
        fail(at, 'more than %d deep', NESTING_MAX)
    elseif byte(text, at) == 33 or word == 'not' then
        local code
        code, after = factor(state, text, blank(text, word and after or at + 1), depth + 1)
        return '(not ' .. code .. ')', after
    elseif byte(text, at) == 40 then
        local code
        code, after = disjunction(state, text, blank(text, at + 1), depth + 1)
        after = blank(text, after)
        if byte(text, after) ~= 41 then
            fail(after, "')' is expected%s", after > #text and '' or
                (", not '%s'"):format(sub(text, after, after)))
        end
        return '(' .. code .. ')', after + 1
    elseif byte(text, at) == 123 then
        return braces(state, text, at)
    elseif at > #text then
        fail(at, 'a test is expected')
    end
    local code
    code, after = test(state, text, at)
    return '(' .. code .. ')', after
end

-- The operator at @at: 'and', 'or', and what is behind it. Two tests beside each other
-- are joined by and, as HAProxy does.
local function joint(text, at)
    local word, after = keyword(text, at)
    if word == 'and' or word == 'or' then
        return word, after
    elseif find(text, '^||', at) then
        return 'or', at + 2
    elseif find(text, '^&&', at) then
        return 'and', at + 2
    elseif at > #text or byte(text, at) == 41 then
        return nil
    elseif find(text, '^[{!%u]', at) then
        return 'and', at
    end
    fail(at, "'and', 'or' or the end is expected, not '%s'", sub(text, at, at))
end

local function conjunction(state, text, at, depth)
    local codes = {}
    while true do
        local operator, after
        codes[#codes + 1], at = factor(state, text, at, depth)
        operator, after = joint(text, blank(text, at))
        if operator ~= 'and' then
            return concat(codes, ' and '), at
        end
        at = blank(text, after)
    end
end

function disjunction(state, text, at, depth)
    local codes = {}
    while true do
        local operator, after
        codes[#codes + 1], at = conjunction(state, text, at, depth)
        operator, after = joint(text, blank(text, at))
        if operator ~= 'or' then
            return concat(codes, ' or '), at
        end
        at = blank(text, after)
    end
end

-- compile(text, env) -> f(txn) -> boolean
function M.compile(text, env)
    sample = sample or require('neap.sample')
    parser.check_text(text, 'a condition')
    local state = { tests = {}, env = env, column = 1 }
    local code, at = disjunction(state, text, blank(text, 1), 1)
    at = blank(text, at)
    if at <= #text then
        fail(at, "the end is expected, not '%s'", sub(text, at, at))
    end
    return sample.compile('txn', 'return ' .. code, state.tests)
end

return M
