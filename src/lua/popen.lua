-- The module `popen`: other programs, with pipes to them.
--
-- Names, arguments and return values are those of Tarantool's public
-- documentation. No function keeps other fibers waiting: a thread of the pool
-- starts the child, and the loop waits for pipes and for its end.
--
-- Wrong usage and a handle that is closed throw an error of type IllegalParams;
-- what the system refuses is `nil, err`. A handle that is collected is closed, which
-- kills its child (not with `keep_child`).
local c = ...

local clock = require('fiber').clock

local M = {
    --- popen.opts -> table
    -- What a stream of the child is: `INHERIT`, `PIPE`, `DEVNULL` or `CLOSE`.
    opts = {
        INHERIT = 'inherit', PIPE = 'pipe', DEVNULL = 'devnull',
        CLOSE = 'close',
    },
    --- popen.signal -> table
    -- The numbers of signals: `popen.signal.SIGTERM` is 15.
    signal = c.signals,
    --- popen.state -> table
    -- How a child is: `ALIVE`, `EXITED` or `SIGNALED`.
    state = {ALIVE = 'alive', EXITED = 'exited', SIGNALED = 'signaled'},
    --- popen.stream -> table
    -- How our end of a pipe is: `OPEN` or `CLOSED`.
    stream = {OPEN = 'open', CLOSED = 'closed'},
}

local usage = c.usage
local ETIMEDOUT, END = -110, 3
local streams = {'stdin', 'stdout', 'stderr'}
local actions = {inherit = 0, pipe = 1, devnull = 2, close = 3}

-- The options that are yes or no: the bit, and what they are unless given.
local switches = {
    shell = {1, false},
    setsid = {2, false},
    close_fds = {4, true},
    restore_signals = {8, true},
    group_signal = {16, false},
    keep_child = {32, false},
}

local signal_names = {}
for name, number in pairs(M.signal) do
    local known = signal_names[number]
    -- Those of two names: SIGIO, SIGIOT and SIGPOLL are SIGIO and SIGABRT.
    if known == nil or name < known then
        signal_names[number] = name
    end
end

-- What is known of each handle: its options and command.
local known = setmetatable({}, {__mode = 'k'})

-- --- options ---

local function check_switch(opts, name)
    local value = opts[name]
    if value == nil then
        return switches[name][2]
    elseif type(value) ~= 'boolean' then
        usage(('popen.new: wrong parameter "opts.%s": expected boolean, got %s')
            :format(name, type(value)))
    end
    return value
end

local function check_options(opts)
    if type(opts) ~= 'table' then
        usage(('popen.new: wrong parameter "opts": expected table or nil, '
            .. 'got %s'):format(type(opts)))
    end
    local checked = {}
    for name in pairs(opts) do
        if switches[name] == nil and name ~= 'stdin' and name ~= 'stdout'
            and name ~= 'stderr' and name ~= 'env' then
            usage(('popen.new: unknown option %s'):format(tostring(name)))
        end
    end
    for _, name in ipairs(streams) do
        local action = opts[name] == nil and M.opts.INHERIT or opts[name]
        if actions[action] == nil then
            usage(('popen.new: wrong parameter "opts.%s": expected one of '
                .. 'popen.opts, got %s'):format(name, tostring(action)))
        end
        checked[name] = action
    end
    for name in pairs(switches) do
        checked[name] = check_switch(opts, name)
    end
    if checked.group_signal and not checked.setsid then
        usage('popen.new: group signal is set, while setsid is not')
    end
    return checked
end

local function check_argv(argv)
    if type(argv) ~= 'table' then
        usage(('popen.new: wrong parameter "argv": expected table, got %s')
            :format(type(argv)))
    elseif #argv == 0 then
        usage('popen.new: wrong parameter "argv": it is empty')
    end
    for i = 1, #argv do
        if type(argv[i]) ~= 'string' then
            usage(('popen.new: wrong parameter "argv[%d]": expected string, '
                .. 'got %s'):format(i, type(argv[i])))
        end
    end
end

local function check_env(env)
    if env == nil then
        return nil
    elseif type(env) ~= 'table' then
        usage(('popen.new: wrong parameter "opts.env": expected table or nil, '
            .. 'got %s'):format(type(env)))
    end
    local list = {}
    for key, value in pairs(env) do
        if type(key) ~= 'string' or type(value) ~= 'string' then
            usage(('popen.new: wrong parameter "opts.env[%s]": expected a '
                .. 'string for a string'):format(tostring(key)))
        elseif key == '' or key:find('[=%z]') or value:find('%z') then
            usage(('popen.new: wrong parameter "opts.env[%q]": no name and '
                .. 'value of a variable'):format(key))
        end
        list[#list + 1] = key .. '=' .. value
    end
    return list
end

local function command_of(argv)
    local words = {}
    for i, word in ipairs(argv) do
        words[i] = word:find(' ', 1, true) and "'" .. word .. "'" or word
    end
    return table.concat(words, ' ')
end

local function started(command, opts, ok, handle, err)
    if ok ~= true then
        c.start_failed(ok)
    elseif handle == nil then
        return nil, err
    end
    known[handle] = {command = command, opts = opts}
    return handle
end

--- popen.new(argv, [opts]) -> ph | nil, err
-- Start the program `argv[1]`, a path, with the other strings of @argv as its
-- arguments. @opts may have `stdin`, `stdout` and `stderr`, see `popen.opts` (inherited
-- unless given); `env`, all the child's variables by their names (ours unless
-- given); and, true or false: `shell`, the shell runs `argv[1]` as a command (false);
-- `setsid`, in a session of its own (false); `close_fds`, it gets no other
-- descriptor (true); `restore_signals`, each does what it does by default (true);
-- `group_signal`, signals go to all of its session's first group, which wants `setsid`
-- (false); `keep_child`, it lives on without the handle (false). Yields: until it is
-- started. Throws: cancelled, and then it is killed.
function M.new(argv, opts)
    check_argv(argv)
    opts = opts == nil and {} or opts
    local checked = check_options(opts)
    local env = check_env(opts.env)
    local flags, ways = 0, 0
    for name, switch in pairs(switches) do
        flags = flags + (checked[name] and switch[1] or 0)
    end
    for i, name in ipairs(streams) do
        ways = ways + actions[checked[name]] * 4 ^ (i - 1)
    end
    local all = {}
    if checked.shell then
        all = {'sh', '-c'}
    end
    for i = 1, #argv do
        all[#all + 1] = argv[i]
    end
    return started(command_of(all), checked, c.new(all, ways, flags, env))
end

--- popen.shell(command, [mode]) -> ph | nil, err
-- Have the shell run @command, in a session of its own, which gets signals as a
-- whole. The letters of @mode say what is a pipe: `w` its input, `r` its output, `R`
-- its errors. Yields: until it is started. Throws: cancelled.
function M.shell(command, mode)
    if type(command) ~= 'string' or mode ~= nil and type(mode) ~= 'string' then
        usage('popen.shell: wrong parameter, use: popen.shell(command[, mode])')
    elseif mode ~= nil and mode:find('[^wrR]') then
        usage(('popen.shell: wrong parameter: mode is of the letters w, r and '
            .. 'R, not %q'):format(mode))
    end
    local function way(letter)
        return mode ~= nil and mode:find(letter, 1, true)
            and M.opts.PIPE or M.opts.INHERIT
    end
    return M.new({command}, {
        shell = true, setsid = true, group_signal = true,
        stdin = way('w'), stdout = way('r'), stderr = way('R'),
    })
end

-- --- handles ---

local methods = {}

-- Which stream, by its number; it must be a pipe.
local function pipe_of(self, i, what)
    c.check(self)
    if known[self].opts[streams[i + 1]] ~= M.opts.PIPE then
        usage(('popen: handle does not support %s %s'):format(what,
            streams[i + 1]))
    end
    return i
end

local function check_call(name, opts)
    if opts ~= nil and type(opts) ~= 'table' then
        usage(('popen: ph:%s(): opts is a table, not %s'):format(name,
            type(opts)))
    end
    opts = opts or {}
    local timeout = opts.timeout
    if timeout ~= nil and (type(timeout) ~= 'number' or timeout ~= timeout) then
        usage(('popen: ph:%s(): opts.timeout is a number'):format(name))
    end
    for _, stream in ipairs(streams) do
        if opts[stream] ~= nil and type(opts[stream]) ~= 'boolean' then
            usage(('popen: ph:%s(): opts.%s is a boolean'):format(name, stream))
        end
    end
    return opts, timeout and clock() + timeout
end

-- Nil when it is worth another look; else nil and the error.
local function wait_for(self, what, deadline)
    local left = deadline and math.max(deadline - clock(), 0)
    local status = c.wait(self, what, left)
    if status == 0 then
        return true
    elseif status == ETIMEDOUT then
        local _, err = pcall(c.failed, status)
        return nil, err
    end
    c.failed(status)
end

--- ph:read([opts]) -> string | nil, err
-- What the child has written by now, waiting for the first byte of it; up to 64
-- KiB. An empty string: nobody can write into the pipe any more. @opts may have
-- `stdout` (true unless given) or `stderr`, which is to be read, and `timeout` in
-- seconds, after which it is an error of type TimedOut. Yields: until there is
-- something. Throws: cancelled.
function methods:read(opts)
    c.check(self)
    local deadline
    opts, deadline = check_call('read', opts)
    if opts.stdout and opts.stderr then
        usage('popen: ph:read(): opts.stdout and opts.stderr are both set')
    elseif opts.stdout == false and not opts.stderr then
        usage('popen: ph:read(): neither opts.stdout nor opts.stderr is set')
    end
    local i = pipe_of(self, opts.stderr and 2 or 1, 'read from')
    while true do
        local data, err = c.read(self, i)
        if data ~= false then
            return data, err
        end
        local ok
        ok, err = wait_for(self, i, deadline)
        if not ok then
            return nil, err
        end
    end
end

--- ph:write(data, [opts]) -> true | nil, err
-- Write all of @data to the child's input. @opts may have `timeout` in seconds, after
-- which it is an error of type TimedOut; what was written until then is. Yields: until
-- the pipe has taken it. Throws: cancelled.
function methods:write(data, opts)
    c.check(self)
    if type(data) ~= 'string' then
        usage(('popen: ph:write(): a string is wanted, not %s')
            :format(type(data)))
    end
    local deadline
    opts, deadline = check_call('write', opts)
    pipe_of(self, 0, 'write to')
    local from = 0
    while from < #data do
        local n, err = c.write(self, data, from)
        if n == nil then
            return nil, err
        end
        from = from + n
        if n == 0 then
            local ok
            ok, err = wait_for(self, 0, deadline)
            if not ok then
                return nil, err
            end
        end
    end
    return true
end

--- ph:shutdown(opts) -> true
-- Close our ends of those of `stdin`, `stdout` and `stderr` that are true in @opts: the
-- child reads the end of its input. Each must have been a pipe; closed already is
-- fine. A fiber that waits for one throws. Yields: no.
function methods:shutdown(opts)
    c.check(self)
    opts = check_call('shutdown', opts)
    local chosen = {}
    for i, name in ipairs(streams) do
        if opts[name] then
            chosen[#chosen + 1] = pipe_of(self, i - 1, 'shutdown of')
        end
    end
    if #chosen == 0 then
        usage('popen: ph:shutdown(): neither stdin, stdout nor stderr is chosen')
    end
    for _, i in ipairs(chosen) do
        c.shutdown(self, i)
    end
    return true
end

--- ph:signal(number) -> true | nil, err
-- Send the child, or with `group_signal` all of its group, the signal @number, see
-- `popen.signal`. None is sent when it has ended. Yields: no.
function methods:signal(number)
    c.check(self)
    if type(number) ~= 'number' then
        usage(('popen: ph:signal(): a number is wanted, not %s')
            :format(type(number)))
    end
    return c.signal(self, number)
end

--- ph:terminate() -> true | nil, err
-- `ph:signal()` with SIGTERM. Yields: no.
function methods:terminate()
    return c.signal(self, M.signal.SIGTERM)
end

--- ph:kill() -> true | nil, err
-- `ph:signal()` with SIGKILL. Yields: no.
function methods:kill()
    return c.signal(self, M.signal.SIGKILL)
end

local function status_of(self)
    local state, number = c.status(self)
    if state == 'exited' then
        return {state = state, exit_code = number}
    elseif state == 'signaled' then
        return {
            state = state, signo = number,
            signame = signal_names[number] or 'SIG' .. number,
        }
    end
    return {state = M.state.ALIVE}
end

--- ph:wait([timeout]) -> table | nil, err
-- Wait for the end of the child, for @timeout seconds (for ever, unless given), and
-- tell its `status`. Yields: until it has ended. Throws: cancelled.
function methods:wait(timeout)
    local _, deadline = check_call('wait', {timeout = timeout})
    while c.status(self) == nil do
        local ok, err = wait_for(self, END, deadline)
        if not ok then
            return nil, err
        end
    end
    return status_of(self)
end

local function stream_of(self, i)
    if known[self].opts[streams[i + 1]] ~= M.opts.PIPE then
        return nil
    end
    return c.is_open(self, i) and M.stream.OPEN or M.stream.CLOSED
end

local function copy(t)
    local new = {}
    for key, value in pairs(t) do
        new[key] = value
    end
    return new
end

-- The fields, made when they are asked for.
local fields = {
    pid = c.pid,
    command = function(self) c.check(self) return known[self].command end,
    opts = function(self) c.check(self) return copy(known[self].opts) end,
    status = status_of,
    stdin = function(self) c.check(self) return stream_of(self, 0) end,
    stdout = function(self) c.check(self) return stream_of(self, 1) end,
    stderr = function(self) c.check(self) return stream_of(self, 2) end,
}

--- ph:info() -> table
-- All about it: `pid` (nil when it has ended, but never before its maker has waited for
-- something), `command`, `opts` as they were given,
-- `status`: `{state=, exit_code=, signo=, signame=}`, and for each of `stdin`, `stdout`
-- and `stderr` that is a pipe how our end is. `ph.pid` and its like are the same one by
-- one. Yields: no.
function methods:info()
    local info = {}
    for name, f in pairs(fields) do
        info[name] = f(self)
    end
    return info
end

--- ph:close() -> true | nil, err
-- Close the pipes and kill the child, or with `group_signal` all of its group, unless
-- it has ended or was to be kept (`keep_child`). The handle is closed in any case; a
-- fiber that waits with it throws. Yields: no.
function methods:close()
    return c.close(self)
end

local meta = c.meta

function meta.__index(self, key)
    local method = methods[key]
    if method ~= nil then
        return method
    end
    local field = fields[key]
    return field ~= nil and field(self) or nil
end

meta.__serialize = methods.info

return M
