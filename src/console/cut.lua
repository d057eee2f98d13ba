-- What a person is shown of values that are too large for a screen: a copy with
-- "..." in place of the rest. Values that are small enough are not copied.

local type, next, rawget, pcall = type, next, rawget, pcall
local setmetatable, getmetatable = setmetatable, debug.getmetatable
local format = string.format

local DEPTH_MAX = 8      -- tables inside each other
local ENTRIES_MAX = 100  -- of one table
local STRING_MAX = 1000  -- bytes of one string
local TOTAL_MAX = 20000  -- bytes of all, about
local COUNT_MAX = 1000000

local function serializer(v)
    local meta = getmetatable(v)
    return type(meta) == 'table' and rawget(meta, '__serialize') or nil
end

-- Whether a part of `v` is to be cut; `state` counts.
local function is_large(v, depth, state)
    if type(v) == 'string' then
        state.total = state.total + #v
        return #v > STRING_MAX or state.total > TOTAL_MAX
    end
    state.total = state.total + 8
    if type(v) ~= 'table' then
        return state.total > TOTAL_MAX
    elseif state.seen[v] then
        return false
    elseif depth > DEPTH_MAX then
        return next(v) ~= nil
    end
    local f = serializer(v)
    if type(f) == 'function' then
        local ok, other = pcall(f, v)
        return ok and rawget(state.seen, v) == nil
            and other ~= v and is_large(other, depth + 1, state)
    end
    state.seen[v] = true
    local count = 0
    for k, x in next, v do
        count = count + 1
        if count > ENTRIES_MAX or is_large(k, depth + 1, state)
                or is_large(x, depth + 1, state) then
            return true
        end
    end
    return false
end

local function cut_string(v)
    local size = STRING_MAX
    while size > 0 and v:byte(size + 1) >= 0x80 and v:byte(size + 1) < 0xc0 do
        size = size - 1 -- not inside a character
    end
    return format('%s... (%d bytes)', v:sub(1, size), #v)
end

local function count_more(v, shown)
    local count = 0
    for _ in next, v do
        count = count + 1
        if count >= COUNT_MAX then
            break
        end
    end
    return format('... (%d%s more)', count - shown,
        count >= COUNT_MAX and ' or' or '')
end

local copy

local function copy_table(v, depth, state)
    local f = serializer(v)
    if type(f) == 'function' then
        local ok, other = pcall(f, v)
        if not ok or other == v then
            return v
        end
        return copy(other, depth + 1, state)
    end
    local made, shown, length = {}, 0, 0
    state.seen[v] = made
    if f ~= nil then
        setmetatable(made, {__serialize = f})
    end
    -- First what lies in order, so that a cut list remains a list.
    while rawget(v, length + 1) ~= nil and shown < ENTRIES_MAX
            and state.total <= TOTAL_MAX do
        length = length + 1
        shown = shown + 1
        made[length] = copy(rawget(v, length), depth + 1, state)
    end
    local is_whole = true
    for k, x in next, v do
        local listed = type(k) == 'number' and k >= 1 and k <= length
            and k % 1 == 0
        if not listed then
            if shown >= ENTRIES_MAX or state.total > TOTAL_MAX then
                is_whole = false
                break
            end
            shown = shown + 1
            if type(k) == 'string' and #k > STRING_MAX then
                k = cut_string(k)
            end
            state.total = state.total + (type(k) == 'string' and #k or 8)
            made[k] = copy(x, depth + 1, state)
        end
    end
    if not is_whole then
        local is_list = shown == length
        made[is_list and length + 1 or '...'] = count_more(v, shown)
    end
    return made
end

function copy(v, depth, state)
    if type(v) == 'string' then
        state.total = state.total + #v
        if #v > STRING_MAX then
            state.total = state.total - #v + STRING_MAX
            return cut_string(v)
        end
        return v
    end
    state.total = state.total + 8
    if type(v) ~= 'table' then
        return v
    elseif state.seen[v] ~= nil then
        return state.seen[v]
    elseif depth > DEPTH_MAX and next(v) ~= nil then
        return '...'
    end
    return copy_table(v, depth, state)
end

--- The values to be shown for results[1] to results[count], their number, and
-- whether something was cut.
return function(results, count)
    local state = {total = 0, seen = {}}
    local large = count > ENTRIES_MAX
    for i = 1, count do
        large = large or is_large(results[i], 1, state)
    end
    if not large then
        return results, count, false
    end
    state = {total = 0, seen = {}}
    local made = {}
    for i = 1, count do
        if i > ENTRIES_MAX or state.total > TOTAL_MAX then
            made[i] = format('... (%d more)', count - i + 1)
            return made, i, true
        end
        made[i] = copy(results[i], 1, state)
    end
    return made, count, true
end
