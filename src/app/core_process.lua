-- A part of the module `core`: what belongs to the whole process.
local c = ...

local args = require('neap.args')

local pairs, type = pairs, type

local M = {}

-- As HAProxy calls them.
local aliases = {
    Version = 'version', Pid = 'pid', Uptime_sec = 'uptime', Nbthread = 'workers',
    ['Ulimit-n'] = 'descriptors_limit', Stopping = 'ending', Tainted = 'taints',
}

--- core.get_info() -> table
-- The process: what the console's `show info` tells, by those names (`version`, `pid`,
-- `uptime`, `workers`, `memory`, `descriptors`, `taints` and so on); and by HAProxy's, as far as
-- there is the same here: `Name`, `Version`, `Pid`, `Uptime_sec`, `Nbthread`, `Ulimit-n`,
-- `Stopping`, `Tainted`. What is not known is not in it. Yields: no.
function M.get_info()
    local info = c.info()
    for name, own in pairs(aliases) do
        info[name] = info[own]
    end
    info.Name = 'neap'
    info.Stopping = info.ending and 1 or 0
    return info
end

local function check_name(name, f)
    if type(name) ~= 'string' then
        args.wanted(1, f, 'string', name)
    elseif not name:find('^proc%.[%w_.]+$') or #name > 255 then
        args.bad(1, f, "a name is 'proc.' with letters, digits and underscores "
            .. 'behind, 255 bytes at most: other variables belong to a request '
            .. 'or its connection')
    end
    return name
end

--- core.get_var(name) -> string | number | boolean | nil
-- The variable @name of the process, which begins with `proc.`; nil: it is not set.
-- Yields: no. Throws: another scope.
function M.get_var(name)
    return c.get_var(check_name(name, 'get_var'))
end

--- core.set_var(name, value, [if_there]) -> boolean
-- Give the variable @name of the process, which begins with `proc.`, the @value, a
-- string, a number or a boolean, for all states; nil removes it. With true for
-- @if_there only if it is set, or the configuration names it. False: it is not. Yields: no. Throws: another scope,
-- another type; there are 65536 variables, or 16 MiB in them.
function M.set_var(name, value, if_there)
    check_name(name, 'set_var')
    local kind = type(value)
    if kind ~= 'string' and kind ~= 'number' and kind ~= 'boolean'
        and kind ~= 'nil' then
        args.bad(2, 'set_var', ('a string, a number or a boolean expected, got %s: '
            .. 'other values cannot go from one state to another'):format(kind))
    end
    return c.set_var(name, value, if_there and true or false)
end

return M
