-- The consoles of a configuration (require 'neap.consoles', which is no public module).
-- main.c has them opened with the listeners.

local addresses = require('neap.addresses')
local config = require('neap.config')
local listen = require('console').listen
local register = require('console').register_command

local error, ipairs, pairs, pcall = error, ipairs, pairs, pcall
local tonumber, tostring = tonumber, tostring

local M = {}

-- As console.listen() takes it.
local function uri_of(address)
    local path = address:match('^unix:(.+)$')
    if path then
        return 'unix/:' .. path
    end
    return address:sub(1, 1) == ':' and '*' .. address or address
end

local function options_of(own)
    local options = {}
    for name, value in pairs(own) do
        options[name] = value
    end
    options.address = nil
    options.mode = own.mode and tonumber(own.mode, 8)
    if own.tls then
        options.tls = {}
        for name, value in pairs(own.tls) do
            options.tls[name] = value
        end
        options.tls.handshake_timeout = nil
    end
    return options
end

-- Commands that scripts have registered with core.register_cli().
local function register_commands()
    for _, own in ipairs(require('neap.handlers').commands()) do
        local run = own.run
        register(own.words, function(...)
            local ok, text = run(...)
            if not ok then
                error(text, 0)
            end
        end, own)
    end
end

-- open(): all of them. Throws: one cannot be opened, and its place.
function M.open()
    register_commands()
    local tree = config.tree()
    for _, own in ipairs(tree and tree.console or {}) do
        for _, address in ipairs(addresses.of(own)) do
            local ok, server, err = pcall(listen, uri_of(address), options_of(own))
            if not ok or server == nil then
                error(('%s: console: %s'):format(config.place(own, 'address'),
                    tostring(ok and err or server)), 0)
            end
        end
    end
end

return M
