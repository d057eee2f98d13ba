-- What the module `core` has of functions that need no request, put together (require
-- 'neap.core_tools', which is no public module).

--- The page `core`.

local error, pairs, require, setmetatable = error, pairs, require, setmetatable

local map = require('neap.map')

-- What HAProxy has and this server has not: whoever looks into it is told so.
local function out(name, why)
    local function refuse()
        error(('%s: not in this server: %s'):format(name, why), 2)
    end
    return setmetatable({}, {
        __index = refuse,
        __call = refuse,
        __pairs = function()
            error(('%s: not in this server: %s'):format(name, why), 3)
        end,
        __newindex = function()
            error(name .. ' cannot be written', 2)
        end,
    })
end

local M = {
    -- Globals of scripts.
    classes = {
        Map = map.Map,
        -- That of Lua 5.1 knows no __pairs.
        pairs = map.pairs,
        Regex = require('neap.regex_class'),
        CertCache = out('CertCache', 'a reload reads certificate files again'),
        ACME = out('ACME', 'it asks for no certificates'),
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

--- core.proxies -> table
-- HAProxy's: there are none here, so that a look into it throws.
M.proxies = out('core.proxies', 'there are no proxies')

--- core.frontends -> table
-- The same.
M.frontends = out('core.frontends', 'there are no frontends')

--- core.backends -> table
-- The same.
M.backends = out('core.backends', 'there are no backends')

--- core.use_native_mailers_config()
-- HAProxy's; throws, as this server sends no mail. Yields: no.
function M.use_native_mailers_config()
    error('core.use_native_mailers_config: not in this server: it sends no '
        .. 'mail', 2)
end

return M
