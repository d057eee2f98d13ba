-- The configured server, in the state of a worker (require 'neap.server', which is
-- no public module): what the configuration declares is checked and begun here.
-- loading.c calls both functions when there is a configuration.

local config = require('neap.config')

local M = {}

-- check() -> nil, or what is wrong, a line each that begins with its place. All
-- files are loaded and their functions known; nothing is opened yet.
function M.check()
    local listeners = config.tree().listeners
    if listeners ~= nil and listeners[1] ~= nil then
        return config.place(listeners[1]) .. ': listeners: not there yet'
    end
end

-- start() -> nil, or what is wrong. All states are ready: listen.
function M.start()
end

return M
