-- The option `access_log` of the module `http.server`.
local c = ...

local usage = c.usage

local M = {}

local known = {
    path = 'string', sink = 'function', format = 'string', buffer = 'number',
    flush_interval = 'number', queue = 'number',
}
local only_file = { format = true, buffer = true, flush_interval = true }
local formats = { combined = true, json = true }

local function wrong(...)
    usage('http.server.new: access_log: ' .. string.format(...))
end

local function within(options, name, low, high)
    local n = options[name]
    if not (n >= low and n <= high) then
        wrong('%s is a number from %g to %g', name, low, high)
    end
end

-- What the option says, checked: a table with `path` or `sink`.
function M.options(value)
    if type(value) == 'string' then
        value = { path = value }
    elseif type(value) == 'function' then
        value = { sink = value }
    end
    local out = { format = 'combined', buffer = 2 ^ 20, flush_interval = 0.5,
                  queue = 10000 }
    for name, v in pairs(value) do
        if known[name] == nil then
            wrong("there is no '%s'", tostring(name))
        elseif type(v) ~= known[name] then
            wrong('%s is a %s, not %s', name, known[name], type(v))
        elseif value.sink and only_file[name] or value.path and name == 'queue' then
            wrong('%s is nothing for a %s', name, value.sink and 'sink' or 'path')
        end
        out[name] = v
    end
    if (out.path == nil) == (out.sink == nil) then
        wrong('a path or a sink is wanted')
    elseif not formats[out.format] then
        wrong("format is 'combined' or 'json', not '%s'", out.format)
    end
    within(out, 'buffer', 2 ^ 16, 2 ^ 30)
    within(out, 'flush_interval', 0.001, 3600)
    within(out, 'queue', 1, 1e6)
    return out
end

-- What a fiber runs to give @sink, one after the other, all that @next(@server)
-- gives.
function M.teller(next, server, sink)
    return function()
        for access in next, server do
            sink(access)
        end
    end
end

return M
