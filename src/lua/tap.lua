-- The module `tap`: tests that tell their results as TAP version 13.
--
-- Names, arguments and return values are those of Tarantool's public
-- documentation. Results go to the default output, a line each, which `prove`
-- and the like read; below one that failed, as YAML, stand its details: what was
-- there, what was expected, what the caller adds in the table @extra and, unless
-- `trace` is false, where it was. A test has a plan, the number of its results,
-- and may have tests inside, each of which is one result of the outer.
--
-- A file of this name that `require()` finds goes before the module, unless it is the
-- script itself.
local ffi = require('ffi')
local yaml = require('yaml').new()

yaml.cfg({
    encode_invalid_numbers = true,
    encode_load_metatables = true,
    encode_use_tostring = true,
    encode_invalid_as_nil = true,
    encode_deep_as_nil = true,
})

local error, getinfo, getmetatable, ipairs = error, debug.getinfo, getmetatable, ipairs
local next, pairs, rawget, setmetatable = next, pairs, rawget, setmetatable
local tonumber, tostring, type = tonumber, tostring, type
local concat, format, sort, write = table.concat, string.format, table.sort, io.write

local FRAMES_MAX = 64

local methods = {}
local test_meta = {__index = methods}

-- --- output ---

local function indent(test)
    return (' '):rep(4 * test.level)
end

-- Details in an order to be read in; others come first, by their names.
local places = {
    path = 1, strict = 2, expected = 3, unexpected = 3, got = 4, planned = 5,
    run = 6, failed = 6, filename = 7, line = 8, trace = 9,
}

local function comes_before(a, b)
    local i, j = places[a] or 0, places[b] or 0
    if i ~= j then
        return i < j
    end
    return tostring(a) < tostring(b)
end

local function to_yaml(details, margin)
    local names, lines = {}, {margin .. '---\n'}
    for name in pairs(details) do
        names[#names + 1] = name
    end
    sort(names, comes_before)
    for _, name in ipairs(names) do
        local text = yaml.encode({[name] = details[name]}, {as_console = true})
        for line in text:sub(5, -5):gmatch('[^\n]*\n') do
            lines[#lines + 1] = margin .. line
        end
    end
    lines[#lines + 1] = margin .. '...\n'
    return concat(lines)
end

-- The frames from the one that asked for the result, the inmost first.
local function frames()
    local trace, level, is_ours = {}, 2, true
    while #trace < FRAMES_MAX do
        local info = getinfo(level, 'nSl')
        if info == nil then
            break
        end
        is_ours = is_ours and info.source == '=neap/tap.lua'
        if not is_ours then
            trace[#trace + 1] = {
                source = info.source, src = info.short_src, what = info.what,
                line = info.currentline, name = info.name,
                namewhat = info.namewhat,
                filename = info.source:match('^@(.*)') or 'eval',
            }
        end
        level = level + 1
    end
    return trace
end

-- One result; of one that fails the details are @extra and, before it, @more.
local function result(test, passed, message, extra, more)
    local text = indent(test) .. (passed and 'ok - ' or 'not ok - ')
        .. tostring(message) .. '\n'
    local details = {}
    if extra ~= nil and type(extra) ~= 'table' then
        error('details must be in a table, not in a ' .. type(extra), 2)
    end
    test.total = test.total + 1
    if passed then
        write(text)
        return true
    end
    test.failed = test.failed + 1
    for name, value in pairs(extra or {}) do
        details[name] = value
    end
    for name, value in pairs(more or {}) do
        details[name] = value
    end
    if test.trace then
        details.trace = frames()
        local last = details.trace[1] or {}
        details.filename, details.line = last.filename, last.line
    end
    if next(details) ~= nil then
        text = text .. to_yaml(details, indent(test) .. '  ')
    end
    write(text)
    return false
end

-- --- results ---

--- taptest:ok(condition, message, [extra]) -> boolean
-- One result, called @message: `ok` if @condition is neither nil nor false, else
-- `not ok`, and @extra is in the details. Gives which. Yields: as `io.write()`.
function methods:ok(condition, message, extra)
    return result(self, condition, message, extra)
end

--- taptest:fail(message, [extra]) -> false
-- `ok(false, @message, @extra)`. Yields: as `io.write()`.
function methods:fail(message, extra)
    return result(self, false, message, extra)
end

--- taptest:skip(message)
-- A result that passes, @message marked with `# skip`: nothing was looked at.
-- Yields: as `io.write()`.
function methods:skip(message, extra)
    result(self, true, tostring(message) .. ' # skip', extra)
end

local function equal(test, a, b)
    return a == b and not (test.strict and type(a) ~= type(b))
end

--- taptest:is(got, expected, message, [extra]) -> boolean
-- `ok(@got == @expected, @message, @extra)`. If the test is strict their types are
-- the same as well.
-- Yields: as `io.write()`.
function methods:is(got, expected, message, extra)
    return result(self, equal(self, got, expected), message, extra,
        {got = got, expected = expected})
end

--- taptest:isnt(got, unexpected, message, [extra]) -> boolean
-- The other way around: `ok(@got ~= @unexpected, @message, @extra)`.
-- Yields: as `io.write()`.
function methods:isnt(got, unexpected, message, extra)
    return result(self, not equal(self, got, unexpected), message, extra,
        {got = got, unexpected = unexpected})
end

--- taptest:like(got, pattern, message, [extra]) -> boolean
-- The text of @got holds the Lua @pattern. @message and @extra are as of `ok()`.
-- Yields: as `io.write()`. Throws: a pattern that is none.
function methods:like(got, pattern, message, extra)
    return result(self, tostring(got):match(pattern) ~= nil, message, extra,
        {got = got, expected = pattern})
end

--- taptest:unlike(got, pattern, message, [extra]) -> boolean
-- The text of @got does not hold the Lua @pattern. @message and @extra are as of
-- `ok()`. Yields: as `io.write()`. Throws: a pattern that is none.
function methods:unlike(got, pattern, message, extra)
    return result(self, tostring(got):match(pattern) == nil, message, extra,
        {got = got, expected = pattern})
end

local function is_type(name)
    return function(test, value, message, extra)
        return result(test, type(value) == name, message, extra,
            {got = type(value), expected = name})
    end
end

--- taptest:isnumber(value, message, [extra]) -> boolean
-- taptest:isstring(value, message, [extra]) -> boolean
-- taptest:istable(value, message, [extra]) -> boolean
-- taptest:isboolean(value, message, [extra]) -> boolean
-- taptest:isfunction(value, message, [extra]) -> boolean
-- The type of @value is that one. @message and @extra are as of `ok()`.
-- Yields: as `io.write()`.
methods.isnumber = is_type('number')
methods.isstring = is_type('string')
methods.istable = is_type('table')
methods.isboolean = is_type('boolean')
methods.isfunction = is_type('function')

--- taptest:isnil(value, message, [extra]) -> boolean
-- @value is nil, and neither false nor NULL. @message and @extra are as of `ok()`.
-- Yields: as `io.write()`.
function methods:isnil(value, message, extra)
    return result(self, type(value) == 'nil', message, extra,
        {got = value, expected = 'nil'})
end

-- What class of userdata: objects hide their metatables, but not their names.
local function class_of(value)
    local meta = getmetatable(value)
    if type(meta) == 'string' then
        return meta
    end
    return tostring(value):match('^[%w_.]*')
end

--- taptest:isudata(value, class, message, [extra]) -> boolean
-- @value is a userdata of the @class with this name, which is the `__metatable` of
-- its metatable or the first word of `tostring(value)`, as `fiber` and `channel`.
-- @message and @extra are as of `ok()`.
-- Yields: as `io.write()`.
function methods:isudata(value, class, message, extra)
    local expected = 'userdata<' .. class .. '>'
    local got = type(value)
    if got == 'userdata' then
        got = 'userdata<' .. class_of(value) .. '>'
    end
    return result(self, got == expected, message, extra,
        {got = got, expected = expected})
end

--- taptest:iscdata(value, ctype, message, [extra]) -> boolean
-- @value is a cdata of @ctype, a name or what `ffi.typeof()` gives. @message and
-- @extra are as of `ok()`. Yields: as `io.write()`. Throws: there is no such type.
function methods:iscdata(value, ctype, message, extra)
    local expected, got = ffi.typeof(ctype), type(value)
    local is = false
    if got == 'cdata' then
        got, is = ffi.typeof(value), ffi.istype(ctype, value)
    end
    return result(self, is, message, extra, {got = got, expected = expected})
end

-- --- tables ---

local function plain(value)
    if ffi.istype('bool', value) then
        return tonumber(value) == 1
    end
    return value
end

-- @at is where they are: {path, strict, and what contains them both}; what differs is
-- put there.
local function is_same(got, expected, at)
    got, expected = plain(got), plain(expected)
    local type_of_got, type_of_expected = type(got), type(expected)
    at.got, at.expected = got, expected
    if type_of_got == 'number' or type_of_expected == 'number' then
        return got == expected or got ~= got and expected ~= expected
    elseif type_of_got ~= type_of_expected then
        if not at.strict then
            return got == expected -- nil and NULL
        end
        at.got, at.expected = type_of_got, type_of_expected
        return false
    elseif type_of_got ~= 'table' or at.around[got] == expected then
        return got == expected or type_of_got == 'table' -- which is in itself
    end
    local path, outer = at.path, at.around[got]
    at.around[got] = expected
    for key, value in pairs(got) do
        at.path = (path or '/') .. '/' .. tostring(key)
        if not is_same(value, expected[key], at) then
            return false
        end
    end
    at.around[got], at.path = outer, path
    for key, value in pairs(expected) do
        if type(rawget(got, key)) == 'nil' and (at.strict or value ~= nil) then
            at.got, at.expected = 'nil', 'key ' .. tostring(key)
            return false
        end
    end
    at.got, at.expected = got, expected
    return true
end

--- taptest:is_deeply(got, expected, message, [extra]) -> boolean
-- @got and @expected are the same number, text or other value, or tables with
-- the same keys that have the same values, and so on. NaN is the same as NaN, a
-- 64-bit integer as that number. If the test is strict nil and NULL are not; else
-- a key with NULL is as one that is not there. Of what differs the details tell
-- the first, and in `path` where it is. Metatables do not count. @message and @extra
-- are as of `ok()`.
-- Yields: as `io.write()`.
function methods:is_deeply(got, expected, message, extra)
    local at = {strict = not not self.strict, around = {}}
    local passed = is_same(got, expected, at)
    at.around = nil
    return result(self, passed, message, extra, at)
end

-- --- tests ---

--- taptest:diag(format, ...)
-- A comment, for people: a line with `#`, of `string.format(@format, ...)`.
-- Yields: as `io.write()`.
function methods:diag(text, ...)
    write(indent(self), '# ', format(text, ...), '\n')
end

--- taptest:plan(count)
-- Say, before the first result, that there will be @count. Yields: as `io.write()`.
function methods:plan(count)
    local line = indent(self) .. format('1..%d\n', count)
    self.planned = count
    write(line)
end

--- taptest:check() -> boolean
-- End this test: true if there were as many results as planned and none failed.
-- A test inside another is a result of the outer by that; of the outermost one a
-- comment tells what was wrong. The exit code is the script's business:
-- `os.exit(test:check() and 0 or 1)`.
-- Yields: as `io.write()`. Throws: it was called before.
function methods:check()
    local outer, planned, run, failed = self.parent, self.planned, self.total,
        self.failed
    if self.checked then
        error('check called twice', 2)
    end
    self.checked = true
    if planned ~= run then
        if outer ~= nil then
            result(outer, false, 'bad plan', {planned = planned, run = run})
        else
            self:diag('bad plan: planned %d run %d', planned, run)
        end
    elseif failed > 0 then
        if outer ~= nil then
            result(outer, false, 'failed subtests',
                {planned = planned, failed = failed})
        else
            self:diag('failed subtest: %d', failed)
        end
    elseif outer ~= nil then
        result(outer, true, self.name)
    end
    return planned == run and failed == 0
end

local function start(outer, name, f, ...)
    local test = setmetatable({
        parent = outer, name = name, level = outer and outer.level + 1 or 0,
        total = 0, failed = 0, planned = 0,
        --- taptest.trace -> boolean
        -- Whether details of a result that fails tell the frames of its caller;
        -- at first true, in a test inside another as of that one.
        trace = outer == nil or outer.trace,
        --- taptest.strict -> boolean
        -- Whether nil and NULL differ for `is()`, `isnt()` and `is_deeply()`; at
        -- first false, in a test inside another as of that one.
        strict = outer ~= nil and outer.strict,
    }, test_meta)
    if f == nil then
        return test
    end
    test:diag('%s', tostring(name))
    f(test, ...)
    test:diag('%s: end', tostring(name))
    return test:check()
end

--- taptest:test(name, [f, ...]) -> taptest | boolean
-- A test inside this one, called @name. With @f: call it with the new test and the other
-- arguments, then `check()`, whose answer it gives; without: give the test, whose
-- `check()` is up to the caller. Yields: as `io.write()`; if @f does. Throws:
-- what @f throws.
function methods:test(name, f, ...)
    return start(self, name, f, ...)
end

local M = {}

--- tap.test(name, [f, ...]) -> taptest | boolean
-- The outermost test, called @name; with @f it is run as by `taptest:test()`.
-- Yields: as `io.write()`; if @f does. Throws: what @f throws.
function M.test(name, f, ...)
    write('TAP version 13\n')
    return start(nil, name, f, ...)
end

return M
