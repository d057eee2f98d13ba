-- The module `core`: what scripts of an application register and use, by the names of
-- HAProxy's Lua. In the states that load files it is a global, too, as are `act`,
-- `filter` and the classes.
--
-- Functions that wait let other fibers run meanwhile; where a fiber cannot wait, because
-- a function in C stands between, the error says so. Wrong arguments throw an error of
-- type IllegalParams. Times of functions that say so are in milliseconds.
--
--     core.register_service('hello', 'http', function(applet)
--         applet:set_status(200)
--         applet:start_response()
--         applet:send('hello\n')
--     end)
local c = ...

local act = require('neap.act')
local handlers = require('neap.handlers')
local states = require('neap.states')
require('neap.remote') -- how functions of other states are served

local usage = c.usage
local error, ipairs, pairs, pcall, type = error, ipairs, pairs, pcall, type
local debug, select, setmetatable = debug, select, setmetatable
local tonumber, tostring, unpack, xpcall = tonumber, tostring, unpack, xpcall
local concat, sort = table.concat, table.sort

local M = {
    --- core.thread -> number
    -- Which state this is: 0 is the one that all workers share, 1 and so on are the
    -- workers' own.
    thread = states.id,
}


local internal = { classes = true, wake = true }

for name, value in pairs(require('neap.core_tools')) do
    M[name] = not internal[name] and value or nil
end

local function check_function(call, f)
    if type(f) ~= 'function' then
        usage(('core.%s: a function is wanted, not %s'):format(call, type(f)))
    end
end

local function check_name(call, name)
    if type(name) ~= 'string' or name == '' then
        usage(('core.%s: a name is wanted'):format(call))
    end
end

--- core.register_init(f)
-- Have @f() called once when all files are loaded, in the shared state first; the
-- server listens when all have returned. An error stops the start. It may wait.
-- Yields: no. Throws: the state has been started.
function M.register_init(f)
    check_function('register_init(f)', f)
    states.init(f)
end

local facilities = {
    ['tcp-req'] = true, ['tcp-res'] = true, ['http-req'] = true,
    ['http-res'] = true, ['http-after-res'] = true,
}

-- Actions of this state: {name = {facility = {f, how many arguments}}}.
local actions = {}

-- The function of an action that has others for other facilities.
local function by_facility(sides)
    return function(txn, ...)
        local facility = txn._res and 'http-res' or txn._req and 'http-req' or 'tcp-req'
        return sides[facility][1](txn, ...)
    end
end

-- What is registered for other facilities stays. The note of all: 'http-req=2,http-res='.
local function put_action(name, list, f, count)
    local sides, entry = actions[name] or {}, { f, count }
    local again, others, note = false, false, {}
    for _, facility in ipairs(list) do
        again = again or sides[facility] ~= nil
        sides[facility] = entry
    end
    for facility, one in pairs(sides) do
        others = others or one ~= entry
        note[#note + 1] = facility .. '=' .. (one[2] or '')
    end
    sort(note)
    handlers.register('action', name, others and by_facility(sides) or f,
        concat(note, ','), again and f)
    actions[name] = sides
end

--- core.register_action(name, facilities, f, [nargs])
-- Register @f(txn, ...) for rules `action: lua.NAME`, NAME being @name: @facilities are where, a list of
-- "http-req", "http-res", "tcp-req"; @nargs how many arguments a rule must give. It
-- returns a code of `act`, or nothing to go on with the next rule. Each call runs in
-- a fiber with limits of its own and may wait. For other facilities the same name may have
-- another function.
-- Yields: no. Throws: the state has been started.
function M.register_action(name, list, f, nargs)
    local call = 'register_action(name, facilities, f, [nargs])'
    check_name(call, name)
    if type(list) ~= 'table' or #list == 0 then
        usage(('core.%s: a list of facilities is wanted'):format(call))
    end
    for _, facility in ipairs(list) do
        if not facilities[facility] then
            usage(("core.%s: there is no facility '%s'"):format(call,
                tostring(facility)))
        end
    end
    check_function(call, f)
    local count = nargs ~= nil and tonumber(nargs) or nil
    if nargs ~= nil and not (count and count >= 0 and count % 1 == 0) then
        usage(('core.%s: a whole number of arguments is wanted'):format(call))
    end
    put_action(name, list, f, count)
end

--- core.register_fetches(name, f)
-- Register @f(txn, ...) for expressions `lua.NAME(arguments)`, NAME being @name; it returns a string, a number, a
-- boolean, or nil for no value, and may wait.
-- Yields: no. Throws: the state has been started.
function M.register_fetches(name, f)
    check_name('register_fetches(name, f)', name)
    check_function('register_fetches(name, f)', f)
    handlers.register('fetch', name, f)
end

--- core.register_converters(name, f)
-- Register @f(value, ...) for expressions `..,lua.NAME(arguments)`, NAME being @name; a
-- fetch otherwise. The value is a text, whatever comes before it: "1" is true.
-- Yields: no. Throws: the state has been started.
function M.register_converters(name, f)
    check_name('register_converters(name, f)', name)
    check_function('register_converters(name, f)', f)
    handlers.register('converter', name, f)
end

--- core.register_service(name, mode, f)
-- Have @f(applet, ...) answer what a rule `use-service: lua.NAME` sends it, NAME being
-- @name: with @mode "http" it gets an AppletHTTP, with "tcp" an AppletTCP.
-- Yields: no. Throws: the state has been started.
function M.register_service(name, mode, f)
    local call = 'register_service(name, mode, f)'
    check_name(call, name)
    if mode ~= 'http' and mode ~= 'tcp' then
        usage(('core.%s: mode is "http" or "tcp"'):format(call))
    end
    check_function(call, f)
    handlers.register('service', name, f, mode)
end

local levels = { user = true, operator = true, admin = true }

--- core.register_cli(words, usage, f, [options])
-- A command of the console, where it has admin commands: @words is the list of the one to
-- five words of its name, @usage its help. @f(applet, word, ...) gets an AppletTCP, whose
-- `send()` tells the operator, and the words that were typed, those of the name among
-- them; it may wait. What it throws is told to him, and logged. @options: `level`, the least
-- that the operator is: "user", "operator" (unless it is said) or "admin"; `payload`, false:
-- no lines behind "<<", which `getline()` and `receive()` read. Of the workers it is the
-- first one whose function is called.
-- Yields: no. Throws: the state has been started.
function M.register_cli(words, help, f, options, ...)
    local call = 'register_cli(words, usage, f, [options])'
    options = options or {}
    if select('#', ...) > 0 then -- options there would be missed: a level that is not asked
        usage(('core.%s: these are all arguments'):format(call))
    end
    if type(words) ~= 'table' or #words < 1 or #words > 5 then
        usage(('core.%s: a list of one to five words is wanted'):format(call))
    end
    for _, word in ipairs(words) do
        if type(word) ~= 'string' or not word:find('^[%w_.-]+$') then
            usage(("core.%s: a word is of letters, digits, '-', '_' and '.'")
                :format(call))
        end
    end
    if type(help) ~= 'string' or type(options) ~= 'table' then
        usage(('core.%s: a text is wanted as its usage, and a table of options')
            :format(call))
    end
    check_function(call, f)
    for name in pairs(options) do
        if name ~= 'level' and name ~= 'payload' then
            usage(("core.%s: there is no option '%s'"):format(call, tostring(name)))
        end
    end
    local level = options.level or 'operator'
    if not levels[level] then
        usage(('core.%s: level is "user", "operator" or "admin"'):format(call))
    end
    handlers.register('command', concat(words, ' '), f, ('%s %s %s'):format(
        level, tostring(options.payload ~= false), help))
end

--- core.register_filter(name, class, [parser])
-- Register a filter of bodies for rules `filter: lua.NAME`, NAME being @name. `class:new()`
-- makes the object of one request, or connection, whose callbacks are all optional:
-- `start_analyze(txn, channel)` and `end_analyze(txn, channel)`, `http_headers(txn,
-- http_msg)`, `http_payload(txn, http_msg)`, `http_end(txn, http_msg)`, `tcp_payload(txn,
-- channel)`; see [filters](../guide-server.md#filters). @parser(class, args) gets a class that inherits
-- from @class and the arguments of the rule and returns it, or another one, or nothing: then
-- there is no filter. Each callback runs in a fiber with limits of its own and may wait.
-- Yields: no. Throws: the state has been started.
function M.register_filter(name, class, parser)
    local call = 'register_filter(name, class, [parser])'
    check_name(call, name)
    if type(class) ~= 'table' then
        usage(('core.%s: the class is a table'):format(call))
    end
    parser = parser or function(own) return own end
    check_function(call, parser)
    require('neap.filter').register(name, class, parser)
end

--- core.done(value)
-- End the function that the server has called: it returns @value. What a pcall()
-- catches on the way is an error that says so; pass it on. Yields: no.
function M.done(value)
    act.leave(value)
end

-- --- tasks ---

local task = {}
local task_mt = { __index = task, __tostring = function() return 'Task' end }

-- Seconds between an end and the next start, after the first failure and in the end, and
-- what even one without a pause has from the second failure on.
local PAUSE, PAUSE_MAX, PAUSE_GROWS = 1, 60, 0.01

local function failed(self, text)
    self.state, self.error = 'failed', text
    c.log_error(("task '%s': %s"):format(self.name, text))
end

-- One that is over a limit gets no further than the traceback.
local function call(self)
    self.trace = nil
    local ok, err = xpcall(self.f, function(e)
        self.trace = debug.traceback(tostring(e), 2)
        return self.trace
    end, unpack(self, 1, self.n))
    if ok then
        self.state = 'ended'
    else
        require('fiber').testcancel()
        failed(self, err)
    end
end

-- Once, in a fiber of its own: so its limits begin anew, and what is over one does not
-- take with it who starts it again. False: it has been cancelled.
local function call_apart(self)
    local f = require('fiber').new(call, self)
    f:name('task')
    f:set_joinable(true)
    self.fiber = f
    local waited, ok, err = pcall(f.join, f)
    if not waited then
        if type(ok) == 'userdata' and ok.type == 'FiberIsCancelled' then
            error(ok, 0)
        end
        return false -- it has ended the process
    end
    if not ok and self.state == 'running' then
        if err.type == 'FiberIsCancelled' then
            self.state = 'cancelled'
            return false
        end
        failed(self, self.trace or tostring(err))
    end
    return self.state ~= 'cancelled'
end

-- So many have failed in a row.
local function pause_of(self, failures)
    if failures < 2 then
        return self.pause
    end
    local pause = math.min(math.max(self.pause, PAUSE_GROWS) * 2 ^ (failures - 1),
        self.pause_max)
    require('log').warn("task '%s' has failed %d times in a row: it is started again " ..
        "in %g s", self.name, failures, pause)
    return pause
end

local function run(self)
    local fiber = require('fiber')
    self.keeper = fiber.self()
    local failures, begun = 0, fiber.clock()
    while call_apart(self) and (self.policy == 'always' or
          self.policy and self.state == 'failed') do
        if self.state ~= 'failed' then
            failures = 0
        elseif fiber.clock() - begun >= self.pause_max then
            failures = 1
        else
            failures = failures + 1
        end
        fiber.sleep(pause_of(self, failures))
        self.runs = self.runs + 1
        self.state, begun = 'running', fiber.clock()
    end
end

--- core.register_task(f, ...) -> task
-- Have @f(...) run in a fiber of this state: at once, or, while files are loaded, when
-- all have been and what register_init() was given has run. With one state for each
-- worker there is one task for each: `if core.thread == 1`. An error is logged;
-- `task:restart()` says what happens then. Yields: no.
function M.register_task(f, ...)
    check_function('register_task(f, ..)', f)
    local info = debug.getinfo(f, 'S')
    local self = setmetatable({
        n = select('#', ...), f = f, state = 'new', runs = 1,
        name = ('%s:%d'):format(info.short_src, info.linedefined), ...
    }, task_mt)
    states.task(function()
        if self.state == 'new' then
            self.state = 'running'
            run(self)
        end
    end)
    return self
end

--- task:restart([when], [seconds], [most]) -> task
-- Start it again @seconds (1) after it has ended, with limits that begin anew: @when is
-- "on-failure", which is the default, "always" or "never". With each further failure in a
-- row it waits twice as long, @most (60) seconds in the end, and the log tells; one that has
-- ended well, or has run as long as that, begins with @seconds again. It is to be said
-- before the task begins. Yields: no.
function task:restart(when, seconds, most)
    when = when or 'on-failure'
    if when ~= 'on-failure' and when ~= 'always' and when ~= 'never' then
        usage('task:restart(when): "on-failure", "always" or "never" is wanted')
    end
    for _, value in pairs({ seconds or 0, most or 0 }) do
        if type(value) ~= 'number' or not (value >= 0 and value < math.huge) then
            usage('task:restart(when, seconds, most): a number from 0 is wanted')
        end
    end
    self.policy = when ~= 'never' and when or nil
    self.pause = seconds or PAUSE
    self.pause_max = math.max(most or PAUSE_MAX, self.pause)
    return self
end

--- task:status() -> string, [error]
-- "new", "running", "ended", "failed" or "cancelled", and the error it failed by.
-- Yields: no.
function task:status()
    if self.state == 'running' and self.keeper:status() == 'dead' then
        self.state = 'failed' -- over a limit
    end
    return self.state, self.error
end

--- task:cancel()
-- End it: at its next wait it meets an error. It is not started again. Yields: no.
function task:cancel()
    self.policy = nil
    if self.state == 'new' then
        self.state = 'cancelled'
    elseif self.keeper and self.keeper:status() ~= 'dead' then
        self.state = 'cancelled'
        if self.fiber:status() == 'dead' then -- it waits for its next start
            self.keeper:cancel()
        else
            self.fiber:cancel()
        end
    end
end

--- task:join([timeout]) -> boolean
-- Wait until it has ended. False: not within @timeout seconds. Yields: yes.
function task:join(timeout)
    local fiber = require('fiber')
    local due = timeout and fiber.clock() + timeout
    while self.state == 'new' or
          self.keeper and self.keeper:status() ~= 'dead' do
        if due and fiber.clock() >= due then
            return false
        end
        fiber.sleep(0.01)
    end
    return true
end

return M
