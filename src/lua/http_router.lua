-- Routes of `http.server`: from method and path to a route and its stash.
--
-- A route without placeholders is found by one look into a table. The others
-- are compiled to patterns once and tried from the most specific one on: those
-- without `*stash` first, then those with fewer placeholders, then those with
-- more text of their own, then the older one.
--
-- A path comes as a key: without its escapes, but for "%2F" and "%25", so that
-- an escaped slash does not end a segment.

local M = {}
M.__index = M

local escapes = { ['2F'] = '/', ['2f'] = '/', ['25'] = '%' }

local function unkey(text)
    return (text:gsub('%%(%x%x)', escapes))
end

local function literal(text)
    return (text:gsub('%%', '%%25'):gsub('%W', '%%%0'))
end

-- Split "/a/:b/*c" into text and {name=, star=} pieces.
local function split(path)
    local pieces, at = {}, 1
    while true do
        local from, to, kind, name = path:find('([:*])([%w_]+)', at)
        if from == nil then
            break
        end
        if from > at then
            pieces[#pieces + 1] = path:sub(at, from - 1)
        end
        pieces[#pieces + 1] = { name = name, star = kind == '*' }
        at = to + 1
    end
    if at <= #path then
        pieces[#pieces + 1] = path:sub(at)
    end
    return pieces
end

-- Make the pattern of a route with placeholders.
local function compile(route, pieces)
    local parts, names, stars, text = { '^' }, {}, 0, 0
    for _, piece in ipairs(pieces) do
        if type(piece) == 'string' then
            parts[#parts + 1] = literal(piece)
            text = text + #piece
        else
            for _, name in ipairs(names) do
                if name == piece.name then
                    return nil, ("placeholder '%s' stands twice"):format(name)
                end
            end
            names[#names + 1] = piece.name
            parts[#parts + 1] = piece.star and '(.*)' or '([^/]+)'
            stars = stars + (piece.star and 1 or 0)
        end
    end
    if stars > 1 then
        return nil, 'only one *stash can stand in a path'
    end
    if #names > 30 then
        return nil, 'more than 30 placeholders'
    end
    route.pattern = table.concat(parts) .. '/?$'
    route.names = names
    route.rank = { stars, #names, -text }
    return route
end

local function is_before(a, b)
    for i = 1, 3 do
        if a.rank[i] ~= b.rank[i] then
            return a.rank[i] < b.rank[i]
        end
    end
    return a.number < b.number
end

function M.new()
    return setmetatable({
        exact = {},    -- key -> method -> route
        patterns = {}, -- by specificity
        names = {},
        count = 0,
    }, M)
end

-- Add a route {path=, methods=, name=, ...}. Returns it, or nil and why not.
function M:add(route)
    local path = route.path
    if path:sub(1, 1) ~= '/' then
        path = '/' .. path
    end
    if #path > 1 and path:sub(-1) == '/' then
        path = path:sub(1, -2)
    end
    route.pieces = split(path)
    if route.name ~= nil and self.names[route.name] ~= nil then
        return nil, ("a route named '%s' exists"):format(route.name)
    end
    local placeholders = false
    for _, piece in ipairs(route.pieces) do
        placeholders = placeholders or type(piece) == 'table'
    end
    if placeholders then
        local ok, why = compile(route, route.pieces)
        if not ok then
            return nil, why
        end
        self.count = self.count + 1
        route.number = self.count
        table.insert(self.patterns, route)
        table.sort(self.patterns, is_before)
    else
        local key = path:gsub('%%', '%%25')
        local methods = self.exact[key] or {}
        for method in pairs(route.methods) do
            if methods[method] ~= nil and methods[method].methods[method] then
                return nil, ('a route for %s %s exists'):format(method, path)
            end
        end
        for method in pairs(route.methods) do
            methods[method] = route
        end
        if methods.HEAD == nil then
            methods.HEAD = methods.GET -- answered without its body
        end
        self.exact[key] = methods
        self.exact[key == '/' and '' or key .. '/'] = methods
    end
    if route.name ~= nil then
        self.names[route.name] = route
    end
    return route
end

-- Take away the route called @name. False: there is none.
function M:remove(name)
    local route = self.names[name]
    if route == nil then
        return false
    end
    self.names[name] = nil
    for i, pattern in ipairs(self.patterns) do
        if pattern == route then
            table.remove(self.patterns, i)
            break
        end
    end
    for key, methods in pairs(self.exact) do
        for method, of in pairs(methods) do
            if of == route then
                methods[method] = nil
            end
        end
        -- HEAD by another's GET, which this one's HEAD stood before.
        methods.HEAD = methods.HEAD or methods.GET
        if next(methods) == nil then
            self.exact[key] = nil
        end
    end
    return true
end

local function takes(route, method)
    local methods = route.methods
    return methods[method] or methods.ANY or
        (method == 'HEAD' and methods.GET)
end

local function stash_of(route, captures)
    local stash = {}
    for i, name in ipairs(route.names) do
        stash[name] = unkey(captures[i])
    end
    return stash
end

-- The route of @method and @key, and its stash if it has placeholders.
function M:find(method, key)
    local methods = self.exact[key]
    local route = methods and (methods[method] or methods.ANY)
    if route then
        return route
    end
    for _, pattern in ipairs(self.patterns) do
        if takes(pattern, method) then
            local captures = { key:match(pattern.pattern) }
            if captures[1] then
                return pattern, stash_of(pattern, captures)
            end
        end
    end
end

-- What methods the path of @key takes, for the header `Allow`; nil: no such
-- path.
function M:allowed(key)
    local all, seen = {}, {}
    local function add(methods)
        for method in pairs(methods) do
            if not seen[method] then
                seen[method] = true
                all[#all + 1] = method
            end
        end
    end
    add(self.exact[key] or {})
    for _, pattern in ipairs(self.patterns) do
        if key:match(pattern.pattern) then
            add(pattern.methods)
        end
    end
    if seen.GET and not seen.HEAD then
        all[#all + 1] = 'HEAD'
    end
    if #all == 0 then
        return nil
    end
    table.sort(all)
    return table.concat(all, ', ')
end

local function escape(text, keep)
    return (tostring(text):gsub('[^%w%-._~' .. (keep or '') .. ']',
        function(c)
            return ('%%%02X'):format(c:byte())
        end))
end

-- The path of a route with @args in its placeholders, and @query behind it.
function M.url(route, args, query)
    local parts = {}
    for _, piece in ipairs(route.pieces) do
        if type(piece) == 'string' then
            parts[#parts + 1] = escape(piece, '/')
        else
            local value = args and args[piece.name]
            if value == nil then
                return nil, ("no value for placeholder '%s'"):format(piece.name)
            end
            parts[#parts + 1] = escape(value, piece.star and '/')
        end
    end
    local url = table.concat(parts)
    if query == nil then
        return url
    elseif type(query) ~= 'table' then
        return url .. '?' .. tostring(query)
    end
    local names, pairs_of = {}, {}
    for name in pairs(query) do
        names[#names + 1] = name
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for i, name in ipairs(names) do
        pairs_of[i] = escape(name) .. '=' .. escape(query[name])
    end
    return #pairs_of > 0 and url .. '?' .. table.concat(pairs_of, '&') or url
end

M.escape = escape

return M
