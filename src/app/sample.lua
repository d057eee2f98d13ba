-- Expressions, conditions and templates of the configured server (require
-- 'neap.sample', which is no public module): texts in, Lua functions out. See
-- doc/reference/expressions.md.
--
-- A chain of converters becomes one function of its own, whose Lua text is made here:
-- LuaJIT compiles each such function for itself, with all that it calls. Nothing is allocated for a
-- call, and what is known beforehand is computed beforehand.
local args = require('neap.sample_args')
local parser = require('neap.sample_parse')
local values = require('neap.sample_values')

local fail = parser.fail
local given = values.given
local error, pcall, select, setmetatable, tostring, type =
    error, pcall, select, setmetatable, tostring, type
local concat, unpack, loadstring = table.concat, unpack, loadstring

local M = {}

-- --- what is known ---

local function gather(...)
    local all = {}
    for i = 1, select('#', ...) do
        for name, decl in pairs(require((select(i, ...)))) do
            all[name] = decl
        end
    end
    local also = {}
    for _, decl in pairs(all) do
        for _, name in ipairs(decl.also or {}) do
            also[name] = decl
        end
    end
    for name, decl in pairs(also) do
        all[name] = decl
    end
    return all
end

-- fetches, converters: {name = declaration}
M.fetches = gather('neap.fetches', 'neap.fetches_http',
    'neap.fetches_headers')
M.converters = gather('neap.converters', 'neap.converters_data')

-- What HAProxy has by these names belongs to what neap is not.
local absent = {
    ['stick tables'] = { '^sc%d?_', '^src_.*_', '^src_conn', '^table_', '^in_table$' },
    backends = { '^be_', '^srv_', '^nbsrv$', '^queue$', '^avg_queue$', '^connslots$', '^bc_',
                 '^bs[._]', '^ssl_bc', '^server_status$', '^fe_defbe$', '^txn[._]conn_retries$',
                 '^txn[._]redispatched$' },
    ['user lists'] = { '^http_auth$', '^http_auth_group$' }, captures = { '^capture' },
    MQTT = { '^mqtt_' }, FIX = { '^fix_' }, RDP = { '^rdp_cookie', '^req[._]rdp' },
    ['protocol buffers'] = { '^protobuf$', '^ungrpc$' }, distcc = { '^distcc_' },
    ['device detection'] = { '^51d', '^da%-csv' }, cache = { '^res[._]cache' },
    buffers = { '^re[qs][._]payload', '^payload', '^re[qs][._]len$' },
    ['inspection of connections'] = { '^re[qp][._]ssl_', '^wait_end$', '^eth%.', '^ip%.',
                                      '^tcp%.' },
    ['figures of connections'] = { '^fc_rtt', '^fc_fackets$', '^fc_lost$', '^fc_reordering$',
        '^fc_retrans$', '^fc_sacked$', '^fc_unacked$', '^fc_glitches$', '^fc_nb_streams$',
        '^fc_settings_' },
    ['figures of frontends'] = { '^fe_conn$', '^fe_.*_rate$', '^fe_id$', '^so_id$',
                                 '^dst_conn$' },
    ['figures of tasks'] = { '^cpu_', '^lat_ns_', '^prio_', '^txn[._]id32$' },
    ['traces of rules'] = { '^last_', '^waiting_entity$', '^txn[._]sess_term_state$', '^when$' },
    ['timeouts of streams'] = { '^cur_.*_timeout$', '^fe_client_timeout$' },
    ['named ACLs'] = { '^acl$' }, ['agents (SPOE)'] = { '^re[qs][._]hdrs_bin$' },
    ['compression filter'] = { '^res[._]comp' }, QUIC = { '^quic_' },
    ['own certificates'] = { '^ssl_f_' },
    ['secrets of TLS'] = { '^ssl_fc_client_', '^ssl_fc_server_', '^ssl_fc_session_',
                           '^ssl_fc_cipherlist_' },
}

-- What of HAProxy's it belongs to, by a name of a rule or of a script; nil: to nothing.
local function owner(name)
    for of, patterns in pairs(absent) do
        for _, pattern in ipairs(patterns) do
            if name:find(pattern) then
                return of
            end
        end
    end
    return nil
end

local function unknown(node, what, known)
    local of = owner(node.name)
    if of then
        fail(node.column, "the %s '%s' is not there: it is of HAProxy's %s, which neap "
            .. 'has not', what, node.name, of)
    end
    parser.unknown(node.column, what, node.name, known)
end

-- missing(what, name) -> text: for a script that asks for what is not there.
function M.missing(what, name)
    local of = owner(name)
    return ("there is no %s '%s'%s"):format(what, name, of and
        (": not in this server, it is of HAProxy's %s"):format(of) or '')
end

-- --- code ---

local UPVALUES = 50

-- compile(parameters, body, constants) -> f
-- A function of its own of the Lua text @body, in which k1, k2, .. are @constants.
function M.compile(parameters, body, constants)
    local n, head = #constants, 'local K = ...\n'
    if n > 0 and n <= UPVALUES then
        local names, places = {}, {}
        for i = 1, n do
            names[i], places[i] = 'k' .. i, 'K[' .. i .. ']'
        end
        head = head .. ('local %s = %s\n'):format(concat(names, ', '),
            concat(places, ', '))
    else
        body = body:gsub('%f[%w]k(%d+)%f[%W]', 'K[%1]')
    end
    local chunk, why = loadstring(
        ('%sreturn function(%s)\n%s\nend'):format(head, parameters, body), '=expression')
    if chunk == nil then
        error(why, 0)
    end
    return chunk(constants)
end

-- The lines of a function that takes @v through @steps, and gives @absent (Lua text)
-- when there is no value.
local function lines_of(steps, constants, nothing)
    local lines = {}
    for _, step in ipairs(steps) do
        constants[#constants + 1] = step.f
        local call = ('k%d(v, txn'):format(#constants)
        if step.lua then
            call = ('k%d(txn, v'):format(#constants)
            for _, arg in ipairs(step.lua) do
                constants[#constants + 1] = arg
                call = ('%s, k%d'):format(call, #constants)
            end
        end
        lines[#lines + 1] = ('if v == nil then return %s end\nv = %s)'):format(nothing, call)
    end
    return concat(lines, '\n')
end

-- chain(x) -> f(txn) -> value | nil
-- Of a compiled expression.
function M.chain(x)
    if #x.steps == 0 then
        return x.source
    end
    local constants = { x.source }
    local body = lines_of(x.steps, constants, 'nil')
    return M.compile('txn', 'local v = k1(txn)\n' .. body .. '\nreturn v', constants)
end

-- test(x, match) -> f(txn) -> boolean
-- Does match(value) give true for the value of @x, or with @all for any of its values?
function M.test(x, match, all)
    local constants = {}
    if all and x.each then
        local body = lines_of(x.steps, constants, 'false')
        constants[#constants + 1] = match
        body = ('%s\nif v == nil then return false end\nreturn k%d(v)'):format(body,
            #constants)
        local try = M.compile('v, txn', body, constants)
        return M.compile('txn', 'return k1(txn, k2, txn)', { x.each, try })
    end
    constants[1] = x.source
    local body = lines_of(x.steps, constants, 'false')
    constants[#constants + 1] = match
    return M.compile('txn', ('local v = k1(txn)\n%s\nif v == nil then return false end\n'
        .. 'return k%d(v)'):format(body, #constants), constants)
end

-- --- from the parts of an expression to its steps ---

-- decl.make() or each() of a node; what it refuses gets the node's place.
local function made(make, decl, node, env, list)
    local ok, result = pcall(make, env, unpack(list, 1, #(decl.args or {})))
    if ok then
        return result
    elseif type(result) == 'table' and result.text and result.column == nil then
        fail(node.column, '%s: %s', args.usage(node.name, decl), result.text)
    end
    error(result, 0)
end

local function lua_name(node)
    return node.name:match('^lua%.(.+)$')
end

-- What is found out of a rule, if it is asked for (env.note): how many functions of the
-- shared state it calls, and whether something in it needs the worker.
local function note(env, elsewhere)
    local found = env.note
    if found == nil then
        return
    elseif elsewhere then
        found.shared = found.shared + 1
    else
        found.here = true
    end
end
M.note = note

-- Can the copy of a request that other states have answer it?
local function is_copied(decl)
    return decl.const or decl.copied
end

-- A handler of a script. Its arguments are texts.
local function handler(node, kind, env)
    local name = lua_name(node)
    local f, elsewhere
    if env.lua then
        f, elsewhere = env.lua(kind, name)
    end
    if f == nil then
        fail(node.column, "there is no %s 'lua.%s': no script has registered it", kind,
            name)
    end
    note(env, elsewhere)
    local list = {}
    for i, arg in ipairs(node.args) do
        list[i] = arg.text
    end
    return f, list
end

-- What a script gives is a text, a number or a boolean, or nothing.
local function plain(v)
    local kind = type(v)
    if kind == 'string' or kind == 'number' or kind == 'boolean' or
        kind == 'cdata' then
        return v
    end
    return nil
end

local function lua_fetch(node, env)
    local f, list = handler(node, 'fetch', env)
    local constants, call = { f, plain }, 'return k2(k1(txn'
    for i, arg in ipairs(list) do
        constants[i + 2] = arg
        call = ('%s, k%d'):format(call, i + 2)
    end
    return {
        source = M.compile('txn', call .. '))', constants), type = 'any', steps = {},
    }
end

local function native_fetch(node, env)
    local decl = M.fetches[node.name]
    if decl == nil then
        unknown(node, 'fetch', M.fetches)
    elseif decl.needs and env.mode == 'tcp' then
        fail(node.column, "'%s' needs HTTP: this is for a listener of TCP", node.name)
    elseif decl.needs == 'response' and not env.response then
        fail(node.column, "'%s' is of the answer, which is not there yet", node.name)
    end
    if not is_copied(decl) then
        note(env, false)
    end
    local list = args.check(decl, node, env.declare)
    return {
        source = made(decl.make, decl, node, env, list),
        each = decl.each and made(decl.each, decl, node, env, list),
        type = decl.out, const = decl.const, match = decl.match, steps = {},
    }
end

local function add_step(x, f)
    if f then
        x.steps[#x.steps + 1] = { f = f }
    end
end

local kinds = {
    integer = 'an integer', boolean = 'a boolean', ip = 'an address',
    string = 'a text', binary = 'bytes',
}

-- cast(x, to, column): @x gives that type.
local function cast(x, to, column, what)
    local f = values.cast(x.type, to)
    if f == false then
        fail(column, "%s: %s is expected, and %s is no such", what, kinds[to] or to,
            kinds[x.type] or x.type)
    end
    add_step(x, f)
    if to ~= 'any' then
        x.type = to
    end
end
M.cast = cast

local function add_lua_converter(x, node, env)
    local f, list = handler(node, 'converter', env)
    cast(x, 'string', node.column, node.name)
    x.steps[#x.steps + 1] = { f = f, lua = list }
    add_step(x, plain)
    x.type, x.const = 'any', false
end

local function add_converter(x, node, env)
    if lua_name(node) then
        add_lua_converter(x, node, env)
        return
    end
    local decl = M.converters[node.name]
    if decl == nil then
        unknown(node, 'converter', M.converters)
    end
    local list = args.check(decl, node, env.declare)
    cast(x, decl.from, node.column, node.name)
    add_step(x, made(decl.make, decl, node, env, list))
    if decl.out ~= 'same' then
        x.type = decl.out
    end
    if decl.impure or args.has_variable(decl, list) then
        x.const = false
    end
end

-- analyse(text, at, env) -> x, after
-- The expression at @at: {source, each, type, const, steps}.
function M.analyse(text, at, env)
    local parts, after = parser.parse(text, at)
    return M.assemble(parts, env), after
end

function M.assemble(parts, env)
    local x = lua_name(parts[1]) and lua_fetch(parts[1], env) or
        native_fetch(parts[1], env)
    for i = 2, #parts do
        add_converter(x, parts[i], env)
        x.match, x.escaped = nil, parts[i].name == 'json'
    end
    return x
end

-- f(txn), which gives a constant when that is known.
local function function_of(x)
    local f = M.chain(x)
    if not x.const then
        return f
    end
    local v = f(nil)
    return function()
        return v
    end
end
M.function_of = function_of

-- --- the interface ---

local SHOWN = 80

-- f(text, env), and what it throws with the place and the text.
local function guarded(place, text, f, env)
    local ok, result = pcall(f, text, env or {})
    if ok then
        return result
    elseif type(result) ~= 'table' or result.text == nil then
        error(result, 0)
    end
    local shown = tostring(text)
    if #shown > SHOWN then
        shown = shown:sub(1, SHOWN) .. '..'
    end
    local column = result.column or 1
    if place == nil then
        error(("'%s', column %d: %s"):format(shown, column, result.text), 0)
    end
    error({
        place = place, column = column, text = ("'%s': %s"):format(shown, result.text),
    }, 0)
end
M.guarded = guarded

local function expression(text, env)
    parser.check_text(text, 'an expression')
    local at = text:match('^%s*()')
    local x, after = M.analyse(text, at, env)
    local rest = text:match('^%s*()', after)
    if rest <= #text then
        fail(rest, "',' and a converter or the end is expected, not '%s'",
            text:sub(rest, rest))
    end
    if x.type == 'integer' or x.type == 'any' then
        add_step(x, given)
    end
    return function_of(x)
end

-- expression(text, env, place) -> f(txn) -> value | nil
function M.expression(text, env, place)
    return guarded(place, text, expression, env)
end

-- condition(text, env, place) -> f(txn) -> boolean
function M.condition(text, env, place)
    return guarded(place, text, require('neap.condition').compile, env)
end

-- template(text, env, place) -> f(txn) -> string
function M.template(text, env, place)
    return guarded(place, text, require('neap.template').compile, env)
end

-- --- for txn.f and txn.c: called by name, with arguments at run time ---

local CACHED = 64

-- names with . - and + as _
local function by_method_name(known)
    local all = {}
    for name, decl in pairs(known) do
        all[name] = decl
        all[(name:gsub('[-+.]', '_'))] = decl
    end
    return all
end

-- The arguments of a script as texts. Missing ones between others are empty.
local function texts_of(name, decl, n, ...)
    local list = {}
    for i = 1, n do
        local arg = select(i, ...)
        local kind = type(arg)
        if arg ~= nil and kind ~= 'string' and kind ~= 'number' and kind ~= 'boolean' then
            fail(1, '%s: a string, a number or a boolean is wanted, not %s',
                args.usage(name, decl), kind)
        end
        list[i] = { text = arg == nil and '' or tostring(arg), column = 1 }
    end
    return list
end

-- What make() gives for these arguments, kept for the next time. A nil at the end is none.
local function keeper(name, decl, adapt)
    local caches, count = {}, 0 -- by their number, then by their texts
    return function(...)
        local n = select('#', ...)
        while n > 0 and select(n, ...) == nil do
            n = n - 1
        end
        local key = n == 0 and '' or tostring((...))
        if n > 1 then -- none of them is taken for two
            key = #key .. ':' .. key
            for i = 2, n do
                local arg = select(i, ...)
                local text = arg == nil and '' or tostring(arg)
                key = key .. #text .. ':' .. text
            end
        end
        local cache = caches[n]
        local f = cache and cache[key]
        if f == nil then
            local node = {
                name = name, column = 1, args = texts_of(name, decl, n, ...),
            }
            f = adapt(args.check(decl, node), node)
            if count == CACHED then
                caches, count = {}, 0
            end
            caches[n] = caches[n] or {}
            caches[n][key], count = f, count + 1
        end
        return f
    end
end

local function complaint(name, result)
    if type(result) == 'table' and result.text then
        error(result.text, 0)
    end
    error(result, 0)
end

-- Both sides are there for who asks at run time.
local anywhere = { mode = 'http', response = true, log = true }

local made_fetches, made_converters = {}, {}
local fetch_names, converter_names

-- fetch(name) -> f(txn, ...) | nil
function M.fetch(name)
    local f = made_fetches[name]
    if f then
        return f
    end
    fetch_names = fetch_names or by_method_name(M.fetches)
    local decl = fetch_names[name]
    if decl == nil then
        return nil
    end
    local keep = keeper(name, decl, function(list, node)
        return made(decl.make, decl, node, anywhere, list)
    end)
    f = function(txn, ...)
        local ok, get = pcall(keep, ...)
        if not ok then
            complaint(name, get)
        end
        return given(get(txn))
    end
    made_fetches[name] = f
    return f
end

-- copied(name) -> f(txn, ...) | nil: as fetch(), of what the copy of a request has.
function M.copied(name)
    local f = M.fetch(name)
    return f and is_copied(fetch_names[name]) and f or nil
end

-- convert(name) -> f(txn, value, ...) | nil
function M.convert(name)
    local f = made_converters[name]
    if f then
        return f
    end
    converter_names = converter_names or by_method_name(M.converters)
    local decl = converter_names[name]
    if decl == nil then
        return nil
    end
    local into = values.cast('any', decl.from)
    local keep = keeper(name, decl, function(list, node)
        return made(decl.make, decl, node, anywhere, list)
    end)
    f = function(txn, value, ...)
        local ok, convert = pcall(keep, ...)
        if not ok then
            complaint(name, convert)
        end
        if into and value ~= nil then
            value = into(value)
        end
        if value == nil then
            return nil
        end
        return given(convert(value, txn))
    end
    made_converters[name] = f
    return f
end

-- Without a transaction there are no variables.
local no_txn = setmetatable({}, {
    __index = function()
        error('this converter needs a transaction', 0)
    end,
})

-- converter(name) -> f(value, ...) | nil
function M.converter(name)
    local f = M.convert(name)
    return f and function(value, ...)
        return f(no_txn, value, ...)
    end
end

-- text_of(value) -> text: what txn.sf and txn.sc give.
function M.text_of(v)
    if v == nil then
        return ''
    end
    return values.text_of(v) or ''
end

return M
