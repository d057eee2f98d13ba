-- A part of the module `core`: lines into the server's log, by the levels of syslog.
local c = ...

local args = require('neap.args')

local select = select

local M = {
    --- core.silent
    -- No level: what has it is not logged. -1, for the level of a request's line.
    silent = -1,
    --- core.emerg
    -- core.alert
    -- core.crit
    -- core.err
    -- core.warning
    -- core.notice
    -- core.info
    -- core.debug
    -- Levels, from 0 to 7. The log has them as `fatal`, `crit`, `crit`, `error`, `warn`,
    -- `info`, `info` and `debug`; the first three are written whenever errors are.
    emerg = 0, alert = 1, crit = 2, err = 3, warning = 4, notice = 5, info = 6,
    debug = 7,
}

--- core.log(level, message)
-- Log the string @message as a line of @level, from 0 to 7. What cannot be printed is a
-- dot in it, and beyond 16384 bytes it is cut. Yields: no. Throws: no such level.
function M.log(...)
    args.count(select('#', ...), 2, 'log')
    local level, message = ...
    args.whole(level, 0, 7, 1, 'log')
    c.write(level, args.text(message, 2, 'log'))
end

local function logger(name, level)
    return function(...)
        args.count(select('#', ...), 1, name)
        c.write(level, args.text((...), 1, name))
    end
end

--- core.Debug(message)
-- core.Info(message)
-- core.Warning(message)
-- core.Alert(message)
-- `core.log()` of @message with this level. Yields: no.
M.Debug = logger('Debug', M.debug)
M.Info = logger('Info', M.info)
M.Warning = logger('Warning', M.warning)
M.Alert = logger('Alert', M.alert)

return M
