-- What the module `core` has of functions that need no request, put together (require
-- 'neap.core_tools', which is no public module).

--- The page `core`.

local pairs, require = pairs, require

local map = require('neap.map')

local M = {
    -- Globals of scripts.
    classes = {
        Map = map.Map,
        -- That of Lua 5.1 knows no __pairs.
        pairs = map.pairs,
        Regex = require('neap.regex_class'),
    },
}

for _, part in pairs({ 'text', 'flow', 'queue', 'log', 'process', 'socket',
                         'httpclient' }) do
    for name, value in pairs(require('neap.core_' .. part)) do
        M[name] = value
    end
end

for _, name in pairs({ 'get_patref', 'add_acl', 'del_acl', 'set_map', 'del_map' }) do
    M[name] = map[name]
end
M.event_sub = require('neap.core_events').event_sub

return M
