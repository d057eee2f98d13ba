-- The files that a configuration names: can they be used? (require 'neap.config_files',
-- which is no public module.) Scripts, maps and patterns are read where they are used.
local c = ...

local config = require('neap.config')

local ipairs, pairs, type = ipairs, pairs, type

local M = {}

-- What is wrong, with its place; @found is a list of such lines.
local function tell(found, place, text)
    found[#found + 1] = ('%s: %s'):format(place, text)
end

local function check_path(found, map, key, wanted)
    local why = c.path_is(map[key], wanted == 'folder')
    if why then
        tell(found, config.place(map, key), ('%s: %s'):format(key == 'file' and key
            or wanted, why))
    end
end

-- Which option the text of an error names: by its file, or by its name.
local function culprit(tls, text)
    for _, key in ipairs({ 'key_file', 'cert_file', 'ca_file', 'ca_path' }) do
        if tls[key] and text:find("'" .. tls[key] .. "'", 1, true) then
            return key
        end
    end
    local key = text:match('^tls: ([%w_]+)')
    return key and tls[key] ~= nil and key or nil
end

-- Without `sni`, whose tables are checked by themselves.
local function check_tls(found, tls)
    local own = {}
    for name, value in pairs(tls) do
        if name ~= 'sni' and name ~= 'handshake_timeout' then
            own[name] = value
        end
    end
    local ok, err = require('socket').tls_server(own)
    if not ok then
        err = tostring(err)
        tell(found, config.place(tls, culprit(tls, err)), err)
    end
    for _, other in pairs(tls.sni or {}) do
        check_tls(found, other)
    end
end

-- The folder that @path is to be made in.
local function check_folder(found, place, what, path)
    local folder = path:match('^(.+)/[^/]*$')
    local why = folder and c.path_is(folder, true, true)
    if why then
        tell(found, place, ('%sthe folder %s'):format(what, why))
    end
end

local function check_addresses(found, own, what)
    local map, key = own, 'address'
    for i, address in ipairs(type(own.address) == 'table' and own.address or
            { own.address }) do
        if type(own.address) == 'table' then
            map, key = own.address, i
        end
        local place = config.place(map, key)
        local path = address:match('^unix:([^@].*)$')
        local host = address:match('^%[(.*)%]:%d+$') or
            not address:find('^fd:') and address:match('^(.+):%d+$')
        if path then
            check_folder(found, place, what, path)
        elseif host and not address:find('^unix:') and not c.is_host(host) then
            tell(found, place, ("%sHOST is an address, 'localhost' or '*', not '%s'")
                :format(what, host))
        end
    end
end

-- Whom a console's socket belongs to.
local function check_owner(found, own, key, what, known)
    local name = own[key]
    if name and not name:find('^%d+$') and not known(name) then
        tell(found, config.place(own, key), ("console: %s: there is no %s '%s'")
            :format(key, what, name))
    end
end

local function check_rules(found, rules)
    for _, rule in ipairs(rules or {}) do
        if rule.static then
            check_path(found, rule, 'static', 'folder')
        end
        local answer = rule['return']
        if type(answer) == 'table' and answer.file then
            check_path(found, answer, 'file', 'file')
        end
    end
end

-- check() -> list of what is wrong, a line each that begins with its place
function M.check()
    local found = {}
    local tree = config.tree() or {}
    if tree.log and tree.log.file then
        check_folder(found, config.place(tree.log, 'file'), 'log.file: ', tree.log.file)
    end
    for _, console in ipairs(tree.console or {}) do
        check_addresses(found, console, 'console: ')
        check_owner(found, console, 'owner', 'user', c.is_user)
        check_owner(found, console, 'group', 'group', c.is_group)
        if console.tls then
            check_tls(found, console.tls)
        end
    end
    for _, listener in ipairs(tree.listeners or {}) do
        check_addresses(found, listener, 'address: ')
        if listener.tls then
            check_tls(found, listener.tls)
        end
        for prefix in pairs(listener.static or {}) do
            check_path(found, listener.static, prefix, 'folder')
        end
        check_rules(found, listener.rules)
    end
    return found
end

return M
