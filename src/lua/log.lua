-- The module `log`: lines into the server's log.
--
--     local log = require('log')
--     log.info('%d users', 3)
--     log.error(err)
--     log.info({user = 'ann', ms = 12})     -- as JSON
--
-- Where the log goes and how it looks is set when the server starts:
-- `--log-file`, `--log-level`, `--log-format`. Names are those of Tarantool's
-- public documentation. Writing never waits: a line that cannot be written, as
-- on a full disk, is counted, and the count is logged when there is room again.
local c = ...

local usage = c.usage

local ipairs, pairs, setmetatable = ipairs, pairs, setmetatable
local type, select, tostring, pcall = type, select, tostring, pcall
local format = string.format
local write, level = c.write, c.level

local M = {}

-- A format that does not fit its arguments must not cost the message.
local function text_of(fmt, ...)
    if type(fmt) == 'table' then
        local ok, text = pcall(require('json').encode, fmt)
        return ok and text or tostring(fmt)
    end
    fmt = tostring(fmt)
    if select('#', ...) == 0 then
        return fmt
    end
    local ok, text = pcall(format, fmt, ...)
    if ok then
        return text
    end
    local parts = { fmt }
    for i = 1, select('#', ...) do
        parts[#parts + 1] = tostring((select(i, ...)))
    end
    return table.concat(parts, ' ')
end

local function writer(name)
    local number = c.parse(name)
    return function(...)
        if number <= level() then
            write(number, text_of(...))
        end
    end
end

--- log.error(format, ...)
-- Log a line of the level "error". @format and the arguments behind it are
-- those of string.format(); without arguments it is the text itself. A table
-- is logged as JSON. Yields: no.
M.error = writer('error')

--- log.warn(format, ...)
-- Log a line of the level "warn"; @format as for `log.error()`. Yields: no.
M.warn = writer('warn')

--- log.info(format, ...)
-- Log a line of the level "info"; @format as for `log.error()`. Yields: no.
M.info = writer('info')

--- log.verbose(format, ...)
-- Log a line of the level "verbose"; @format as for `log.error()`. Yields: no.
M.verbose = writer('verbose')

--- log.debug(format, ...)
-- Log a line of the level "debug"; @format as for `log.error()`. Yields: no.
M.debug = writer('debug')

--- log.level([level]) -> number
-- The highest level that is logged; with @level, a number or a name, sets it:
-- "fatal" 0, "syserror" 1, "error" 2, "crit" 3, "warn" 4, "info" 5,
-- "verbose" 6, "debug" 7. Yields: no. Throws: no such level.
function M.level(new)
    if type(new) == 'string' then
        local number = c.parse(new)
        if number == nil then
            usage(("log.level: there is no level '%s'"):format(new))
        end
        new = number
    end
    return level(new)
end

local cfg_mt = {}

-- What is set when the server starts.
local fixed = { log = '--log-file', format = '--log-format' }

--- log.cfg -> table
-- `log.cfg({level = 'debug'})` sets the level, as `log.level()` does, and `log.cfg.level`
-- is the number that it has. What else it may be given in scripts for Tarantool is refused,
-- `log` and `format`, for that is set when the server starts, or changes nothing:
-- `nonblock`.
M.cfg = setmetatable({}, cfg_mt)

function cfg_mt.__index(_, name)
    return name == 'level' and level() or nil
end

function cfg_mt.__call(_, options)
    if options ~= nil and type(options) ~= 'table' then
        usage('log.cfg(options): a table is wanted')
    end
    for name in pairs(options or {}) do
        if fixed[name] ~= nil then
            usage(("log.cfg: '%s' is set when the server starts, by %s"):format(name,
                fixed[name]))
        elseif name ~= 'level' and name ~= 'nonblock' then
            usage(("log.cfg: there is no option '%s'"):format(tostring(name)))
        end
    end
    if options ~= nil and options.level ~= nil then
        M.level(options.level)
    end
end

--- log.new(name) -> logger
-- A logger with the functions `error()` to `debug()`, whose lines begin with @name.
-- Yields: no. Throws: the name is no text.
function M.new(name)
    if type(name) ~= 'string' or name == '' then
        usage('log.new(name): a name is wanted')
    end
    local logger = {}
    for _, kind in ipairs({ 'error', 'warn', 'info', 'verbose', 'debug' }) do
        local number = c.parse(kind)
        logger[kind] = function(...)
            if number <= level() then
                write(number, name .. ': ' .. text_of(...))
            end
        end
    end
    return logger
end

--- log.pid() -> number
-- Of a process that the log goes to: 0, there is none. Yields: no.
function M.pid()
    return 0
end

--- log.reopen()
-- Open the log file again under its name, after a rotation. Yields: no.
-- Throws: it cannot be opened; the log goes on into the old file.
M.reopen = c.reopen

--- log.rotate()
-- As `log.reopen()`. Yields: no. Throws: as that.
M.rotate = c.reopen

return M
