-- What could come next in a line: names that exist now.
--
-- Nothing of the user's is called: tables are read raw, and of metatables only
-- those __index that are tables are followed. Of modules also what files would make is told.

local c = ...

local commands = c.part('session_commands').words
local each_file = c.part('complete_files')

local type, next, rawget, pairs = type, next, rawget, pairs
local sort, getmetatable = table.sort, debug.getmetatable
local loaded, preload = package.loaded, package.preload

local CANDIDATES_MAX = 1000
local KEYS_MAX = 100000   -- looked at in one table
local CHAIN_MAX = 16      -- __index tables behind each other

local keywords = {
    'and', 'break', 'do', 'else', 'elseif', 'end', 'false', 'for', 'function',
    'goto', 'if', 'in', 'local', 'nil', 'not', 'or', 'repeat', 'return',
    'then', 'true', 'until', 'while',
}

-- The table behind `v`, by __index; nil when there is none to look into.
local function behind(v)
    local meta = getmetatable(v)
    local index = type(meta) == 'table' and rawget(meta, '__index')
    return type(index) == 'table' and index or nil
end

local function field(v, name)
    for _ = 1, CHAIN_MAX do
        if type(v) == 'table' then
            local found = rawget(v, name)
            if found ~= nil then
                return found
            end
        end
        v = behind(v)
        if v == nil then
            return nil
        end
    end
end

local function is_callable(v)
    if type(v) == 'function' then
        return true
    end
    local meta = getmetatable(v)
    return type(meta) == 'table' and rawget(meta, '__call') ~= nil
end

local Found = {}
Found.__index = Found

-- What a terminal would obey is not shown to one.
function Found:add(text)
    if not self.seen[text] and self.count < CANDIDATES_MAX and not text:find('%c') then
        self.seen[text] = true
        self.count = self.count + 1
        self[self.count] = text
    end
end

-- The keys of `v` that begin with `prefix`, and of what is behind it.
local function add_keys(found, v, prefix, callable)
    local keys = 0
    for _ = 1, CHAIN_MAX do
        if type(v) == 'table' then
            for k, x in next, v do
                keys = keys + 1
                if keys > KEYS_MAX then
                    return
                end
                if type(k) == 'string' and k:sub(1, #prefix) == prefix
                        and k:find('^[%a_][%w_]*$')
                        and (not callable or is_callable(x)) then
                    found:add(is_callable(x) and k .. '(' or k)
                end
            end
        end
        v = behind(v)
        if v == nil then
            return
        end
    end
end

local function add_modules(found, prefix, quote)
    for _, t in pairs({ loaded, preload }) do
        for name in next, t do
            if type(name) == 'string' and name:sub(1, #prefix) == prefix
                    and name ~= '_G' then
                found:add(name .. quote)
            end
        end
    end
    each_file(prefix, function(name)
        found:add(name .. quote)
    end)
end

local function add_words(found, words, prefix)
    for i = 1, #words do
        if words[i]:sub(1, #prefix) == prefix then
            found:add(words[i])
        end
    end
end

-- The value that `path` ("a.b" or "a:b" before the last name) leads to.
local function walk(path)
    local v = _G
    for name in path:gmatch('[%a_][%w_]*') do
        v = field(v, name)
        if v == nil then
            return nil
        end
    end
    return v
end

local function search(found, text)
    local quote, prefix = text:match('require%s*%(?%s*(["\'])([%w_%.%-/]*)$')
    if quote ~= nil then
        add_modules(found, prefix, quote)
        return #prefix
    end
    if text:find('^%s*\\') then
        prefix = text:match('^%s*(\\.*)$')
        add_words(found, commands, prefix)
        return #prefix
    end
    local before, tail = text:match('^(.-)([%a_][%w_%.:]*)$')
    if tail == nil then
        before, tail = text, ''
    end
    -- A field of something that would have to be evaluated first.
    if before:find('[%.:]%s*$') or before:find('[%w_%)%]"\']$') then
        return 0
    end
    local path, sep, name = tail:match('^(.*)([%.:])([%w_]*)$')
    if path == nil then
        add_words(found, keywords, tail)
        add_keys(found, _G, tail, false)
        return #tail
    end
    local v = walk(path)
    if v ~= nil then
        add_keys(found, v, name, sep == ':')
    end
    return #name
end

--- Returns how many bytes of the end of `text` the candidates replace, and the
-- candidates, sorted.
return function(text, state)
    if state.no_completion then
        return 0, {}
    end
    local found = setmetatable({ count = 0, seen = {} }, Found)
    local size = search(found, text)
    local list = {}
    for i = 1, found.count do
        list[i] = found[i]
    end
    sort(list)
    return size, list
end
