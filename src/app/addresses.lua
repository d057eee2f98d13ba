-- Addresses as a configuration has them (require 'neap.addresses', which is no public
-- module): `fd:NAME` stands for those of sockets that a service manager has given.
local config = require('neap.config')

local error, ipairs, type = error, ipairs, type

local M = {}

-- of(map) -> list: its `address`, one text or several. One that several sockets have been
-- given for is there as often: who listens takes another one each time. Throws: nothing
-- has that name.
function M.of(map)
    local addresses, list, seen = map.address, {}, {}
    for _, address in ipairs(type(addresses) == 'table' and addresses or
            { addresses }) do
        local name = address:match('^fd:(.*)$')
        local found = name and config.inherited(name) or { address }
        if found[1] == nil then
            error(("%s: no socket named '%s' has been given to the process " ..
                "(systemd: FileDescriptorName=)"):format(config.place(map, 'address'),
                name), 0)
        end
        for _, each in ipairs(found) do
            local given = config.given(each)
            for _ = 1, given == 0 and 1 or seen[each] and 0 or given do
                list[#list + 1] = each
            end
            seen[each] = true
        end
    end
    return list
end

return M
