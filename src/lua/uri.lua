-- The module `uri`: names of resources, taken apart and put together.
--
-- Names, arguments and return values are those of Tarantool's public
-- documentation. A URI is `scheme://login:password@host:service/path?query#fragment`,
-- each part may be missing; `host` may be a name, `1.2.3.4` or `[::1]`. A socket's
-- path stands alone, `/tmp/x.sock`, or after `unix/:`; a path behind it begins after
-- another colon.
--
-- The parts are in a table: `scheme`, `login`, `password`, `host`, `service`, `path`,
-- `query`, `fragment`; what kind of address it is tells one of `ipv4`, `ipv6` and
-- `unix`, which repeats it. `params` has the query taken apart: each name with the
-- array of its values. Nothing is unescaped.
local c = ...

local M = {}

local URI_MAX = 1024 * 1024 -- bytes
local PIECE = 16 * 1024 -- bytes that are escaped in one go

local INCORRECT = 'Incorrect URI: expected host:service or /unix.socket'
local NO_TABLE = 'Invalid URI table: expected {uri = string, params = table} '
    .. 'or {string, params = table}'

-- Sets of characters, for patterns; '%' is looked at by itself.
local NAME = "%w%-._~!$&'()*+,;=%%"
local PATH = '^[' .. NAME .. ':@/|]*$'
local QUERY = '^[' .. NAME .. ':@/?|]*$'

local function fail(text)
    local _, err = pcall(c.usage, text)
    return nil, err
end

-- Does each '%' begin two hexadecimal digits?
local function is_escaped(s)
    return not s:find('%%%X') and not s:find('%%%x%X')
        and not s:find('%%%x?$')
end

local function is_ipv4(s)
    return s:find('^%d%d?%d?%.%d%d?%d?%.%d%d?%d?%.%d%d?%d?$') ~= nil
end

-- Groups of up to four digits, eight of them or fewer around one '::'; an IPv4
-- address stands for the last two.
local function is_ipv6(s)
    if #s > 45 or s:find('[^%x:.]') or s:find(':::') then
        return false
    end
    local groups, head = 0, s:match('^(.*:)[%d.]+%.[%d.]+$')
    if head ~= nil then
        if not is_ipv4(s:sub(#head + 1)) then
            return false
        end
        groups, s = 2, head:find('::$') and head or head:sub(1, -2)
    end
    if s:find('%.') or s:find('%x%x%x%x%x') then
        return false
    end
    local before, after = s:match('^(.-)::(.*)$')
    if before ~= nil and after:find('::', 1, true) then
        return false
    end
    for _, part in ipairs({before or s, after}) do
        if part:find('^:') or part:find(':$') then
            return false
        end
        groups = groups + select(2, part:gsub('%x+', ''))
    end
    return before ~= nil and groups < 8 or before == nil and groups == 8
end

-- The socket's path and what follows it.
local function parse_unix(u, s)
    local socket, path = s:match('^(.-):(/.+)$')
    socket = socket or s
    u.host, u.service, u.unix, u.path = 'unix/', socket, socket, path
    return s:find(PATH) ~= nil and not s:find('^//')
end

local function parse_host(u, s)
    local host, rest = s:match('^%[(.-)%](.*)$')
    if host ~= nil then
        if not is_ipv6(host) then
            return false
        end
        u.ipv6 = host
    else
        host, rest = s:match('^([' .. NAME .. ']+)(.*)$')
        if host == nil then
            return false
        elseif is_ipv4(host) then
            u.ipv4 = host
        end
    end
    local service, path = rest:match('^:(%w*)(.*)$')
    if service ~= nil then
        rest = path
        if service ~= '' then
            if service:find('%d') and service:find('%a') then
                return false
            end
            u.service = service
        end
    end
    u.host = host
    if rest ~= '' then
        u.path = rest
        return rest:find('^/') ~= nil and rest:find(PATH) ~= nil
    end
    return true
end

local function parse_authority(u, s)
    local user, rest = s:match('^([^@/]*)@(.*)$')
    if user ~= nil then
        local login, password = user:match('^([^:]*):(.*)$')
        u.login, u.password = login or user, password
        if u.login == '' or not u.login:find('^[' .. NAME .. ']*$')
            or password and not password:find('^[' .. NAME .. ']*$') then
            return false
        end
        s = rest
    end
    if s:find('^/') then
        return parse_unix(u, s)
    elseif s:find('^unix/:%.?/.') then
        return parse_unix(u, s:sub(#'unix/:' + 1))
    end
    return parse_host(u, s)
end

-- The parts of a string, or nil.
local function parse_string(s)
    local u = {}
    if s == '' or #s > URI_MAX or s:find('[%c\128-\255]')
        or not is_escaped(s) then
        return nil
    elseif s:find('^%d+$') then
        return {service = s}
    end
    local rest, fragment = s:match('^([^#]*)#(.*)$')
    if rest ~= nil then
        s, u.fragment = rest, fragment
    end
    local query
    rest, query = s:match('^([^?]*)%?(.*)$')
    if rest ~= nil then
        s, u.query = rest, query ~= '' and query or nil
    end
    if u.fragment and not u.fragment:find(QUERY)
        or u.query and not u.query:find(QUERY) then
        return nil
    elseif s == '' then
        return u
    end
    local scheme
    scheme, rest = s:match('^(%a[%w+.-]*)://(.*)$')
    if scheme ~= nil then
        s, u.scheme = rest, scheme
    end
    return parse_authority(u, s) and u or nil
end

-- --- parameters ---

-- The names of a query in their order, and their values.
local function parse_query(query)
    local names, params = {}, {}
    for item in query:gmatch('[^&]+') do
        local name, value = item:match('^(.-)=(.*)$')
        name = name or item
        if params[name] == nil then
            params[name] = {}
            names[#names + 1] = name
        end
        table.insert(params[name], value)
    end
    return names, params
end

local function is_scalar(v)
    return type(v) == 'string' or type(v) == 'number'
end

-- A parameter's values as an array; or nil and what is wrong.
local function values_of(v)
    if is_scalar(v) then
        return {tostring(v)}
    elseif type(v) ~= 'table' then
        return nil, 'Incorrect type for URI parameter value: '
            .. 'should be string, number or table'
    end
    local values = {}
    for i, one in ipairs(v) do
        if not is_scalar(one) then
            return nil, 'Incorrect type for URI parameter value: '
                .. 'should be string or number'
        end
        values[i] = tostring(one)
    end
    return values
end

-- What a table of parameters says, checked; or nil and what is wrong.
local function check_params(given)
    if given == nil then
        return {}
    elseif type(given) ~= 'table' then
        return nil, 'Incorrect type for URI parameters: should be a table'
    end
    local params = {}
    for name, v in pairs(given) do
        if type(name) ~= 'string' then
            return nil, 'Incorrect type for URI parameter name: '
                .. 'should be a string'
        end
        local values, why = values_of(v)
        if values == nil then
            return nil, why
        elseif #values > 0 then
            params[name] = values
        end
    end
    return params
end

-- The query that says what params say: its names where they were in the query,
-- the others behind them by the alphabet.
local function join_query(params, query)
    local names, out, seen = parse_query(query or ''), {}, {}
    local others = {}
    for _, name in ipairs(names) do
        seen[name] = true
    end
    for name in pairs(params) do
        if not seen[name] then
            others[#others + 1] = name
        end
    end
    table.sort(others)
    local function add(name)
        local values = params[name]
        if values ~= nil and #values == 0 then
            out[#out + 1] = name
        end
        for _, value in ipairs(values or {}) do
            out[#out + 1] = name .. '=' .. value
        end
    end
    for _, name in ipairs(names) do
        add(name)
    end
    for _, name in ipairs(others) do
        add(name)
    end
    return table.concat(out, '&')
end

-- params go before what the query says, and that before defaults.
local function set_params(u, params, defaults)
    local _, all = parse_query(u.query or '')
    local changed = false
    for name, values in pairs(params) do
        all[name], changed = values, true
    end
    for name, values in pairs(defaults) do
        if all[name] == nil or #all[name] == 0 then
            all[name], changed = values, true
        end
    end
    if changed then
        u.query = join_query(all, u.query)
    end
    u.params = next(all) ~= nil and all or nil
end

-- --- parse ---

local function set_user(u, t)
    for _, name in ipairs({'login', 'password'}) do
        if t[name] ~= nil and type(t[name]) ~= 'string' then
            return fail('Invalid URI table: expected type for ' .. name
                .. ' is string')
        end
    end
    if t.password ~= nil and t.login == nil then
        return fail('Invalid URI table: login required if password is set')
    elseif t.login ~= nil then
        u.login, u.password = t.login, t.password
    end
    return u
end

local function parse_table(t, defaults)
    if #t + (t.uri ~= nil and 1 or 0) ~= 1 then
        return fail(NO_TABLE)
    elseif t.default_params ~= nil then
        return fail('Default URI parameters are not allowed for single URI')
    end
    local s = t.uri
    if s == nil then
        s = t[1]
    end
    if not is_scalar(s) then
        return fail('Incorrect type for URI in nested table: '
            .. 'should be string or number')
    end
    local u = parse_string(tostring(s))
    if u == nil then
        return fail(INCORRECT)
    end
    local params, why = check_params(t.params)
    if params == nil then
        return fail(why)
    end
    set_params(u, params, defaults)
    return set_user(u, t)
end

local function parse_one(v, defaults)
    if type(v) == 'table' then
        return parse_table(v, defaults)
    elseif not is_scalar(v) then
        return fail('Incorrect type for URI: should be string, number or table')
    end
    local u = parse_string(tostring(v))
    if u == nil then
        return fail(INCORRECT)
    end
    set_params(u, {}, defaults)
    return u
end

--- uri.parse(uri) -> table | nil, err
-- The parts of @uri: a string, a number (a port), or a table with the string at
-- `uri` or 1, and what replaces its parts at `params` (strings, numbers or arrays
-- of them by their names), `login` and `password`. Up to a mebibyte. Yields: no.
function M.parse(uri)
    if uri == nil then
        c.usage('Usage: uri.parse(string|table)')
    end
    return parse_one(uri, {})
end

local function parse_list(s)
    local list = {}
    if s:find('^%s*$') then
        return list
    end
    for one in (s .. ','):gmatch('([^,]*),') do
        local u, err = parse_one(one:match('^%s*(.-)%s*$'), {})
        if u == nil then
            return nil, err
        end
        list[#list + 1] = u
    end
    return list
end

local function parse_array(t)
    for _, name in ipairs({'params', 'login', 'password'}) do
        if t[name] ~= nil then
            return fail(('URI %s not allowed for multiple URIs')
                :format(name == 'params' and 'parameters are'
                    or name .. ' is'))
        end
    end
    local defaults, why = check_params(t.default_params)
    if defaults == nil then
        return fail(why)
    end
    local list = {}
    for i, one in ipairs(t) do
        local u, err = parse_one(one, defaults)
        if u == nil then
            return nil, err
        end
        list[i] = u
    end
    return list
end

--- uri.parse_many(uris) -> table | nil, err
-- An array of what `uri.parse()` gives for each of @uris: a string with commas
-- between them, or an array of what `uri.parse()` takes, with parameters for those
-- that have none of that name at `default_params`. What it takes for one will do,
-- too. Yields: no.
function M.parse_many(uris)
    if uris == nil then
        c.usage('Usage: uri.parse_many(string|table)')
    elseif is_scalar(uris) then
        return parse_list(tostring(uris))
    elseif type(uris) ~= 'table' then
        return fail('Incorrect type for URI: should be string, number or table')
    elseif uris.uri ~= nil or #uris == 1 and type(uris[1]) ~= 'table' then
        local u, err = parse_table(uris, {})
        if u == nil then
            return nil, err
        end
        return {u}
    elseif #uris == 0 then
        return {}
    end
    return parse_array(uris)
end

-- --- format ---

local function query_of(u)
    if u.params == nil then
        return u.query
    end
    local params, why = check_params(u.params)
    if params == nil then
        c.usage('uri.format(components[, include_password]): ' .. why)
    end
    for name, values in pairs(u.params) do
        if type(values) == 'table' and next(values) == nil then
            params[name] = {}
        end
    end
    return join_query(params, u.query)
end

local function host_of(u)
    if u.host == nil then
        return u.service or ''
    end
    local host = u.host
    if u.ipv6 ~= nil or host:find(':', 1, true) then
        host = '[' .. host .. ']'
    end
    return u.service and host .. ':' .. u.service or host
end

local components = {
    'scheme', 'login', 'password', 'host', 'service', 'path', 'query',
    'fragment',
}

--- uri.format(components, [include_password]) -> string
-- The URI that has these @components, a table as of `uri.parse()`: the other way
-- round. A password is left out but with a true @include_password. What `params`
-- says goes before `query`. Yields: no. Throws: a component is no string.
function M.format(t, include_password)
    if type(t) ~= 'table' then
        c.usage('Usage: uri.format(components[, include_password])')
    end
    local u = {ipv6 = t.ipv6, params = t.params}
    for _, name in ipairs(components) do
        local v = t[name]
        if v ~= nil and not is_scalar(v) then
            c.usage(('uri.format(components[, include_password]): %s is a '
                .. 'string, not %s'):format(name, type(v)))
        end
        u[name] = v ~= nil and tostring(v) or nil
    end
    local out = {u.scheme and u.scheme .. '://' or ''}
    if u.login ~= nil then
        out[#out + 1] = u.login
        if include_password and u.password ~= nil then
            out[#out + 1] = ':' .. u.password
        end
        out[#out + 1] = '@'
    end
    out[#out + 1] = host_of(u)
    if u.path ~= nil then
        out[#out + 1] = (u.host == 'unix/' and ':' or '') .. u.path
    end
    local query = query_of(u)
    if query ~= nil and query ~= '' then
        out[#out + 1] = '?' .. query
    end
    if u.fragment ~= nil then
        out[#out + 1] = '#' .. u.fragment
    end
    return table.concat(out)
end

--- uri.values(...) -> table
-- The arguments as an array: the values of a parameter that has several.
-- Yields: no.
function M.values(...)
    return {...}
end

-- --- escape ---

local Unreserved = {}

--- uri.unreserved(characters) -> object
-- The set of @characters, as they stand between the brackets of a pattern of Lua's
-- (`a-z%-`), for the field `unreserved` of what `uri.escape()` takes. Yields: no.
-- Throws: it is no such text.
function M.unreserved(characters)
    if type(characters) ~= 'string' then
        c.usage('Usage: uri.unreserved(string)')
    end
    local class, escapes = '[' .. characters .. ']', {}
    for i = 0, 255 do
        local char = string.char(i)
        local ok, found = pcall(string.find, char, class)
        if not ok then
            c.usage(('uri.unreserved(%q): no set of characters'):format(
                characters))
        elseif not found then
            escapes[char] = ('%%%02X'):format(i)
        end
    end
    return setmetatable({escapes = escapes}, Unreserved)
end

local UNRESERVED = 'a-zA-Z0-9%-._~'
local DELIMITERS = "!$&'()*+,;="

--- uri.RFC3986 -> table
-- How `uri.escape()` works unless told otherwise: `{unreserved=, plus=}`; all but
-- letters, digits and `-._~` is escaped.
M.RFC3986 = {plus = false, unreserved = M.unreserved(UNRESERVED)}

--- uri.PATH -> table
-- The same for a whole path.
M.PATH = {plus = false, unreserved = M.unreserved(UNRESERVED .. DELIMITERS .. ':@/')}

--- uri.PATH_PART -> table
-- The same for what stands between two slashes of a path.
M.PATH_PART = {plus = false, unreserved = M.unreserved(UNRESERVED .. DELIMITERS .. ':@')}

--- uri.QUERY -> table
-- The same for a whole query.
M.QUERY = {plus = false, unreserved = M.unreserved(UNRESERVED .. DELIMITERS .. '/?')}

--- uri.QUERY_PART -> table
-- The same for a name or a value in a query.
M.QUERY_PART = {plus = false, unreserved = M.unreserved(UNRESERVED .. "!$'()*+,;/?")}

--- uri.FRAGMENT -> table
-- The same for a fragment.
M.FRAGMENT = {plus = false, unreserved = M.QUERY.unreserved}

--- uri.FORM_URLENCODED -> table
-- The same for a name or a value in a form: a space is `+`.
M.FORM_URLENCODED = {plus = true, unreserved = M.unreserved('a-zA-Z0-9*%-._')}

local function check_escape(name, s, options)
    if type(s) ~= 'string' or options ~= nil and type(options) ~= 'table' then
        c.usage(('Usage: uri.%s(string[, {unreserved =, plus =}])')
            :format(name))
    end
    return options or M.RFC3986
end

--- uri.escape(s, [options]) -> string
-- @s with each character that is not in the set `unreserved` of @options as `%XX`;
-- with `plus` a space is `+`. See `uri.RFC3986` and those after it. Yields: no.
function M.escape(s, options)
    options = check_escape('escape', s, options)
    local unreserved = options.unreserved or M.RFC3986.unreserved
    if type(unreserved) == 'string' then
        unreserved = M.unreserved(unreserved)
    elseif getmetatable(unreserved) ~= Unreserved then
        c.usage('uri.escape(): the option unreserved is what '
            .. 'uri.unreserved() gives')
    end
    local escapes, out = unreserved.escapes, {}
    if options.plus then
        escapes = setmetatable({[' '] = '+'}, {__index = escapes})
    end
    for at = 1, #s, PIECE do
        out[#out + 1] = s:sub(at, at + PIECE - 1):gsub('.', escapes)
    end
    return table.concat(out)
end

local function unescaped(hex)
    return string.char(tonumber(hex, 16))
end

--- uri.unescape(s, [options]) -> string
-- @s with the characters that its `%XX` stand for; with `plus` in @options `+` is a
-- space. What is no `%XX` stays as it is. Yields: no.
function M.unescape(s, options)
    options = check_escape('unescape', s, options)
    local out, at = {}, 1
    while at <= #s do
        local last = at + PIECE - 1
        -- Not in the middle of one.
        local cut = s:sub(last - 1, last):find('%', 1, true)
        if cut ~= nil and last < #s then
            last = last - 3 + cut
        end
        local piece = s:sub(at, last)
        if options.plus then
            piece = piece:gsub('+', ' ')
        end
        out[#out + 1] = piece:gsub('%%(%x%x)', unescaped)
        at = last + 1
    end
    return table.concat(out)
end

return M
