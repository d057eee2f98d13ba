-- TAP for functional tests: checks that print a line each, and the plan at the
-- end. A test that stops early prints no plan, which run.sh counts as failed.
--
--     local tap = require('tap')
--     tap.is(1 + 1, 2, 'addition')
--     tap.done()

local tap = {}

local count = 0

local function show(v, depth)
    if type(v) == 'string' then
        return string.format('%q', v)
    end
    if type(v) ~= 'table' or (depth or 0) > 3 then
        return tostring(v)
    end
    local parts = {}
    for k, x in pairs(v) do
        parts[#parts + 1] = tostring(k) .. ' = ' .. show(x, (depth or 0) + 1)
    end
    table.sort(parts)
    return '{' .. table.concat(parts, ', ') .. '}'
end

local function place()
    for level = 2, 10 do
        local info = debug.getinfo(level, 'Sl')
        if info and not info.short_src:find('tap.lua', 1, true) then
            return info.short_src .. ':' .. info.currentline
        end
    end
    return '?'
end

--- Prints a comment of the test, line by line.
function tap.diag(text)
    io.stdout:write('# ', (tostring(text):gsub('\n', '\n# ')), '\n')
    io.stdout:flush()
end

--- One result: passed when `v` is neither nil nor false.
function tap.ok(v, name)
    count = count + 1
    name = (tostring(name or '')):gsub('[#\n]', ' ')
    io.stdout:write(v and 'ok ' or 'not ok ', count, ' - ', name, '\n')
    io.stdout:flush()
    if not v then
        tap.diag('at ' .. place())
    end
    return not not v
end

--- `got` equals `want` by `==`.
function tap.is(got, want, name)
    if not tap.ok(got == want, name) then
        tap.diag('got  ' .. show(got) .. '\nwant ' .. show(want))
        return false
    end
    return true
end

--- `got` differs from `other` by `~=`.
function tap.isnt(got, other, name)
    if not tap.ok(got ~= other, name) then
        tap.diag('got ' .. show(got))
        return false
    end
    return true
end

local function same(a, b)
    if type(a) ~= 'table' or type(b) ~= 'table' then
        return a == b
    end
    for k, v in pairs(a) do
        if not same(v, b[k]) then
            return false
        end
    end
    for k in pairs(b) do
        if type(a[k]) == 'nil' then -- a NULL pointer equals nil
            return false
        end
    end
    return true
end

--- Equal tables, key by key.
function tap.same(got, want, name)
    if not tap.ok(same(got, want), name) then
        tap.diag('got  ' .. show(got) .. '\nwant ' .. show(want))
        return false
    end
    return true
end

--- The text of `got` holds the Lua pattern.
function tap.like(got, pattern, name)
    if not tap.ok(tostring(got):find(pattern) ~= nil, name) then
        tap.diag('got     ' .. show(got) .. '\npattern ' .. pattern)
        return false
    end
    return true
end

--- `f()` throws, and the text of the error holds the pattern.
function tap.throws(f, pattern, name)
    local ok, err = pcall(f)
    if ok then
        tap.ok(false, name)
        tap.diag('did not throw')
        return false
    end
    return tap.like(err, pattern or '', name)
end

--- A result that says why it was not looked at.
function tap.skip(name, reason)
    count = count + 1
    io.stdout:write('ok ', count, ' - ', name, ' # SKIP ', reason, '\n')
end

--- Skips the whole test: call it before any result, then return.
function tap.skip_all(reason)
    io.stdout:write('1..0 # SKIP ', reason, '\n')
end

--- The large counts of `make soak`, or else the small ones.
function tap.soak(large, small)
    return os.getenv('NEAP_SOAK') and large or small
end

--- Prints the plan; the last call of every test.
function tap.done()
    io.stdout:write('1..', count, '\n')
    io.stdout:flush()
end

-- Names that tests written for Tarantool's `tap` know.

--- A result that passes, or fails, in itself.
function tap.pass(name)
    return tap.ok(true, name)
end

function tap.fail(name)
    return tap.ok(false, name)
end

--- As tap.same().
function tap.is_deeply(got, want, name)
    return tap.same(got, want, name)
end

--- The text of `got` does not hold the Lua pattern.
function tap.unlike(got, pattern, name)
    if not tap.ok(tostring(got):find(pattern) == nil, name) then
        tap.diag('got     ' .. show(got) .. '\npattern ' .. pattern)
        return false
    end
    return true
end

local planned

--- How many results there will be; tap.check() at the end compares.
function tap.plan(n)
    planned = n
    io.stdout:write('1..', n, '\n')
end

--- Ends a test that began with tap.plan(). True when all planned were run.
function tap.check()
    if count ~= planned then
        tap.diag('planned ' .. tostring(planned) .. ', run ' .. count)
    end
    return count == planned
end

--- Resident memory in MiB, garbage collected, unless @as_it_is.
function tap.resident(as_it_is)
    if not as_it_is then
        collectgarbage()
        collectgarbage()
    end
    local f = assert(io.open('/proc/self/statm'))
    local pages = f:read('*a'):match('^%d+ (%d+)')
    f:close()
    return tonumber(pages) * 4 / 1024
end

return tap
