-- A transaction without a server: what expressions ask of one.
local M = {}

local request_mt = { __index = {
    fields = function(self) return self.list end,
    tls_info = function(self) return self.tls end,
    header = function(self, name)
        local all
        for i = 1, #self.list, 2 do
            if self.list[i] == name then
                all = all and all .. (name == 'cookie' and '; ' or ', ') ..
                    self.list[i + 1] or self.list[i + 1]
            end
        end
        return all
    end,
} }

local txn_mt = { __index = {
    get_var = function(self, name) return self.vars[name] end,
    set_var = function(self, name, value) self.vars[name] = value end,
    unset_var = function(self, name) self.vars[name] = nil end,
} }

--- new(more) -> txn: with the fields of @more in its request.
function M.new(more)
    local req = {
        method = 'GET', target = '/a/b.html?x=1&y=2', scheme = 'http', proto = { 1, 1 },
        peer = { host = '192.0.2.7', port = 4711 }, body = 'the body',
        own_address = { host = '127.0.0.1', port = 8080 },
        list = { 'host', 'Example.com', 'x-n', '12', 'x-l', 'a, b', 'x-l', 'c' },
    }
    for name, value in pairs(more or {}) do
        req[name] = value
    end
    return setmetatable({
        _req = setmetatable(req, request_mt), vars = { ['txn.n'] = 5, ['txn.s'] = 'text' },
        listener = { name = 'web' },
    }, txn_mt)
end

return M
