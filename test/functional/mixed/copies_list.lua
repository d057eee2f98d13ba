-- What test_copies.sh asks: all fetches that there are, from their own declarations, with all
-- their arguments: {{text = expression, name =, args =, needs =}..}. A fetch that is new takes
-- part; one whose arguments nobody has thought of here is an error.
local fetches = require('neap.sample').fetches

-- What changes from one moment to the next.
local restless = { date = true, date_us = true, rand = true, uuid = true }

-- By the name of an argument. What is no field is no cookie, and no parameter, either.
local values = {
    name = { 'x-list', 'X-Odd', 'x-number', 'x-address', 'x-token', 'a', 'none' },
    occ = { '2', '-1' }, delimiter = { '|' }, default = { 'default' }, text = { 'text' },
    n = { '5' }, value = { 'true' }, digits = { 'ff' }, method = { 'GET' }, offset = { '1' },
    unit = { 'ms' }, range = { '10' }, version = { '4' }, entry = { 'CN', 'O' },
    format = { 'rfc2253' }, case = { 'i' },
}

-- By what else is asked of it.
local special = {
    ['name:variable'] = { 'txn.text', 'txn.number', 'txn.none', 'sess.s', 'proc.p' },
    ['env name:string'] = { 'PATH', 'NO_SUCH_VARIABLE' },
    ['ipv4 address:string'] = { '192.0.2.1' }, ['ipv6 address:string'] = { '2001:db8::1' },
}

local function values_of(name, arg)
    local found = special[name .. ' ' .. arg] or special[arg] or values[arg:match('^[^:]+')]
    return found or error(('which values has the argument %s of %s?'):format(arg, name))
end

local list = {}

-- With all values of the arguments from number @i to @count; of those behind the second the
-- first one.
local function add(name, decl, args, i, count)
    if i > count then
        list[#list + 1] = {
            text = count == 0 and name or ('%s(%s)'):format(name, table.concat(args, ',')),
            name = name, args = { unpack(args) }, needs = decl.needs,
        }
        return
    end
    for n, value in ipairs(values_of(name, (decl.args[i]:gsub('%?$', '')))) do
        if i <= 2 or n == 1 then
            args[i] = value
            add(name, decl, args, i + 1, count)
            args[i] = nil
        end
    end
end

local names, seen = {}, {}
for name in pairs(fetches) do
    names[#names + 1] = name
end
table.sort(names)
for _, name in ipairs(names) do
    local decl = fetches[name]
    local all = decl.args or {}
    local skipped = seen[decl] or restless[name] -- it has several names
    seen[decl] = true
    for count = 0, skipped and -1 or #all do
        if count == #all or all[count + 1]:find('?$') then
            add(name, decl, {}, 1, count)
        end
    end
end

return list
