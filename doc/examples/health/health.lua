-- Which servers are there: looked after by a task, for server.yaml beside this.
local addresses = { ... }
local PAUSE_MS, TIMEOUT_S = 500, 1

local found = {} -- by address: whether it is there

core.register_init(function()
    core.set_var('proc.alive', 0) -- nothing is known yet
end)

local function is_there(address)
    local socket = core.tcp()
    socket:settimeout(TIMEOUT_S)
    local ok = socket:connect(address)
    socket:close()
    return ok ~= nil
end

local function check()
    while true do
        local alive = 0
        for _, address in ipairs(addresses) do
            local there = is_there(address)
            if found[address] ~= there then
                core.Info(('%s is %s'):format(address, there and 'up' or 'down'))
                found[address] = there
            end
            alive = alive + (there and 1 or 0)
        end
        core.set_var('proc.alive', alive)
        core.msleep(PAUSE_MS)
    end
end

-- A task that fails is started again, after two seconds.
core.register_task(check):restart('on-failure', 2)

core.register_service('health', 'http', function(applet)
    applet:start_response()
    for _, address in ipairs(addresses) do
        applet:send(('%s %s\n'):format(address, found[address] and 'up' or 'down'))
    end
end)
