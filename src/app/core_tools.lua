-- What the module `core` has of functions that need no request, put together (require
-- 'neap.core_tools', which is no public module).

--- The page `core`: what scripts of an application use, by the names of HAProxy's Lua.
--
-- Functions that wait let other fibers run meanwhile; where a fiber cannot wait, because
-- a function in C stands between, the error says so. Wrong arguments throw an error of
-- type IllegalParams. Times of functions that say so are in milliseconds.

local pairs, require = pairs, require

local M = {
    -- Globals of scripts.
    classes = {
        filter = {
            CONTINUE = 1, WAIT = 0, ERROR = -1,
        },
    },
}

for _, part in pairs({ 'text', 'flow', 'queue', 'log', 'process' }) do
    for name, value in pairs(require('neap.core_' .. part)) do
        M[name] = value
    end
end

return M
