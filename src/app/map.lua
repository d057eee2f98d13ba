-- A part of the module `core`: the classes Map and Patref of scripts, and what
-- expressions use of them (require 'neap.map', which is no public module). The tables
-- are those of patref.h: of the whole process, read once, under the name of their file.
local c = ...

local args = require('neap.args')

local error, ipairs, pairs, setmetatable = error, ipairs, pairs, setmetatable
local tonumber, tostring, type = tonumber, tostring, type
local rawget, select, getmetatable = rawget, select, debug.getmetatable
local c_match, c_get = c.match, c.get
local VALUE, EXPANDED, KEY = 0, 1, 2 -- what is wanted of a match: patref.h

local M = {}

-- As text that is looked up; nil: there is nothing like that.
local function text_of(value)
    if type(value) == 'string' then
        return value
    elseif type(value) == 'number' then
        return value % 1 == 0 and ('%.0f'):format(value) or tostring(value)
    elseif type(value) == 'boolean' then
        return value and '1' or '0'
    end
end

-- --- for expressions ---

-- What comes out of a map's text.
local types = {
    str = function(text) return text end,
    int = function(text)
        return text:find('^%s*-?%d+%s*$') and tonumber(text) or nil
    end,
    ip = function(text)
        return require('neap.core_text').parse_addr(text) and text or nil
    end,
}
types.key = types.str

local function parse_kind(kind)
    if kind == 'regm' then
        return c.parse_method('reg'), types.str, EXPANDED, 'str'
    end
    local method, out = kind:match('^(%l+)_(%l+)$')
    local number = c.parse_method(method or kind)
    if number ~= nil and types[out or 'str'] then
        return number, types[out or 'str'], out == 'key' and KEY or VALUE, out or 'str'
    end
    args.bad(1, 'map', ("there is no map_%s: it is str, beg, end, sub, dir, dom, "
        .. 'reg, ip, int or len, and maybe _str, _int, _ip or _key for what comes out; or regm')
        :format(kind))
end

local function place_of(name, key)
    return ("map '%s': the value of '%s'"):format(name, key)
end

-- Each value is of the type that is wanted.
local function check_values(box, name, read, out)
    if out == 'str' or out == 'key' then
        return
    end
    local cursor = c.walk(box)
    local pairs_of = c.next(cursor, true)
    while pairs_of ~= nil do
        for i = 1, #pairs_of, 2 do
            if read(pairs_of[i + 1]) == nil then
                error(('%s is no %s: %s'):format(place_of(name, pairs_of[i]),
                    out == 'int' and 'whole number' or 'IP address',
                    pairs_of[i + 1]), 0)
            end
        end
        pairs_of = c.next(cursor, true)
    end
end

-- converter(kind, file, [default]) -> f(value) -> string | number | nil: the
-- look-up of `map_KIND(file[,default])`. Throws what is wrong with the file, by its line.
function M.converter(kind, file, default)
    local method, read, wanted, out = parse_kind(args.text(kind, 1, 'converter'))
    local box = c.open(args.text(file, 2, 'converter'), true)
    c.use(box, method, false)
    check_values(box, file, read, out)
    if default ~= nil then
        default = read(args.text(default, 3, 'converter'))
        if default == nil then
            args.bad(3, 'converter', 'the default is not of the type that comes out')
        end
    end
    return function(value)
        local text = text_of(value)
        local found = text ~= nil and c_match(box, text, method, false, wanted) or nil
        if found ~= nil then
            found = read(found)
        end
        if found == nil then
            return default
        end
        return found
    end
end

-- read_all() -> what install_all() wants, array of texts: read all files of maps and ACLs
-- again. Those with an error stay as they are, and it is told.
function M.read_all()
    local boxes, errors = {}, {}
    for _, name in ipairs(c.names()) do
        if not name:find('^virt@') then
            local box = c.find(name)
            local ok, err = c.read(box)
            if ok then
                boxes[#boxes + 1] = box
            else
                errors[#errors + 1] = err
            end
        end
    end
    return boxes, errors
end

-- install_all(boxes) -> array of texts: what was read is there for all.
function M.install_all(boxes)
    local errors = {}
    for _, box in ipairs(boxes) do
        local ok, err = c.install(box)
        if not ok then
            errors[#errors + 1] = err
        end
    end
    return errors
end

-- acl(file, method, [fold]) -> f(value) -> boolean: of a condition with `-f FILE`, and
-- with `-i` for @fold.
function M.acl(file, method, fold)
    local number = c.parse_method(args.text(method, 2, 'acl'))
    if number == nil then
        args.bad(2, 'acl', ("there is no method '%s'"):format(method))
    end
    local box = c.open(args.text(file, 1, 'acl'), false)
    fold = fold and true or false
    c.use(box, number, fold)
    return function(value)
        local text = text_of(value)
        return text ~= nil and c_match(box, text, number, fold, VALUE) == true
    end
end

-- --- Map ---

local Map = {
    _str = 'str', _beg = 'beg', _end = 'end', _sub = 'sub', _dir = 'dir',
    _dom = 'dom', _reg = 'reg', _ip = 'ip', _int = 'int', _len = 'len',
    str = 'str', beg = 'beg', sub = 'sub', dir = 'dir', dom = 'dom', reg = 'reg',
    ip = 'ip', int = 'int', len = 'len',
}
local map = {}
local map_mt = args.class('Map', map)

M.Map = Map

--- Map.new(file, [method]) -> map
-- The map in @file, a line for each key with its value behind blanks, which is read when
-- it is first asked for, by whichever state. @method says what of a text is compared with
-- a key: `Map._str` (all of it), `Map._beg` (its begin; the longest key), `Map._end`,
-- `Map._sub` (any part), `Map._dir` and `Map._dom` (whole parts between slashes, between
-- dots), `Map._reg` (regular expressions), `Map._ip` (networks; the smallest), `Map._int`
-- (numbers, and ranges `10:20`, `:20`, `10:`) or `Map._len` (of its length). Of the others
-- the first in the file counts. A name such as `virt@x` is a map without a file, and
-- `opt@` before a file allows for none. Yields: no. Throws: what is wrong with the file,
-- with the line.
function Map.new(file, method)
    local name = args.text(file, 1, 'new')
    local number = c.parse_method(method == nil and 'str'
        or type(method) == 'string' and method or '')
    if number == nil then
        args.bad(2, 'new', 'one of Map._str, Map._beg .. expected')
    end
    local box = c.open(name, true)
    c.use(box, number, false)
    return setmetatable({ box = box, method = number }, map_mt)
end

local function look_up(self, key, f)
    args.object(self, map_mt, f)
    local text = text_of(key)
    if text == nil then
        args.wanted(1, f, 'string', key)
    end
    return (c_match(self.box, text, self.method, false, VALUE))
end

--- map:lookup(text) -> string | nil
-- The value of the key that @text matches. Yields: no.
function map:lookup(text)
    return look_up(self, text, 'lookup')
end

--- map:slookup(text) -> string
-- The same; an empty string when @text matches none. Yields: no.
function map:slookup(text)
    return look_up(self, text, 'slookup') or ''
end

-- --- Patref ---

local patref = {}
local patref_mt = args.class('Patref', patref)

local function check(self, f)
    return args.object(self, patref_mt, f).box
end

-- Methods first, then keys.
function patref_mt.__index(self, key)
    local method = patref[key]
    if method ~= nil then
        return method
    end
    local text = text_of(key)
    return text ~= nil and c_get(rawget(self, 'box'), text) or nil
end

function patref_mt.__newindex()
    args.bad(1, 'Patref', 'use ref:set(key, value) or ref:add(key, value)')
end

local function open_ref(name, f)
    local box = c.find(args.text(name, 1, f))
    if box == nil then
        args.bad(1, f, ("there is no map or ACL '%s'"):format(name))
    end
    return box
end

--- core.get_patref(name) -> patref
-- The map or ACL @name, which is its file's name: what all states look up. `ref[key]` is
-- the value of a key (true in an ACL), `pairs(ref)` gives keys and values in their order.
-- Yields: no. Throws: nobody uses one of that name.
function M.get_patref(name)
    return setmetatable({ box = open_ref(name, 'get_patref') }, patref_mt)
end

--- patref:get_name() -> string
-- Its name. Yields: no.
function patref:get_name()
    return (c.about(check(self, 'get_name')))
end

--- patref:is_map() -> boolean
-- Its keys have values; false: it is an ACL. Yields: no.
function patref:is_map()
    return (select(2, c.about(check(self, 'is_map'))))
end

--- patref:size() -> number
-- How many keys it has. Yields: no.
function patref:size()
    return (select(3, c.about(check(self, 'size'))))
end

--- patref:prepare() -> true | nil, string
-- Begin a replacement: until `commit()` or `giveup()` all methods of this object work on a
-- new table, which is empty and which nobody else sees. Yields: no.
function patref:prepare()
    return c.prepare(check(self, 'prepare'))
end

--- patref:commit() -> true | nil, string
-- What was prepared takes the place of the table, for all at once. Those that were begun
-- before, by others, are gone then: their `commit()` says so, and forgets them. Yields: no.
function patref:commit()
    return c.commit(check(self, 'commit'))
end

--- patref:giveup()
-- Forget what was prepared. Yields: no.
function patref:giveup()
    c.give_up(check(self, 'giveup'))
end

--- patref:reload() -> true | nil, string
-- Read its file again and replace the table; on an error it stays. Yields: no.
function patref:reload()
    local box = check(self, 'reload')
    local ok, err = c.read(box)
    if not ok then
        return nil, err
    end
    return c.install(box)
end

--- patref:purge() -> true | nil, string
-- Take all keys out. Yields: no.
function patref:purge()
    return c.purge(check(self, 'purge'))
end

local function value_for(box, value, n, f)
    if select(2, c.about(box)) then
        return args.text(value, n, f)
    elseif value ~= nil then
        args.bad(n, f, 'the keys of an ACL have no values')
    end
end

--- patref:add(key, [value]) -> true | nil, string
-- Add @key, in a map with @value. It is there already: nil. Yields: no.
function patref:add(key, value)
    local box = check(self, 'add')
    return c.add(box, args.text(key, 1, 'add'), value_for(box, value, 2, 'add'))
end

--- patref:del(key) -> true | nil, string
-- Take @key out. It is not there: nil. Yields: no.
function patref:del(key)
    return c.del(check(self, 'del'), args.text(key, 1, 'del'))
end

--- patref:set(key, value, [force]) -> true | nil, string
-- Change the @value of @key, in a map. It is not there: nil; with true for @force it is
-- added then. Yields: no.
function patref:set(key, value, force)
    local box = check(self, 'set')
    return c.set(box, args.text(key, 1, 'set'), value_for(box, value, 2, 'set'),
        force and true or false)
end

local PIECE = 500 -- keys that are added in one go

--- patref:add_bulk(keys) -> true | nil, string
-- Add many @keys: of a map a table of keys and values, of an ACL an array. It ends at the
-- first that cannot be added. Yields: when there are more than some hundred, where that can
-- be.
function patref:add_bulk(keys)
    local box = check(self, 'add_bulk')
    local is_map, n = select(2, c.about(box)), 0
    for key, value in pairs(args.table(keys, 1, 'add_bulk')) do
        local ok, err
        if is_map then
            ok, err = c.add(box, args.text(key, 1, 'add_bulk'),
                args.text(value, 1, 'add_bulk'))
        else
            ok, err = c.add(box, args.text(value, 1, 'add_bulk'))
        end
        if not ok then
            return nil, err
        end
        n = n + 1
        if n % PIECE == 0 and coroutine.isyieldable() then
            require('fiber').yield()
        end
    end
    return true
end

--- patref:event_sub(types, f) -> event_sub
-- As `core.event_sub()` with @types and @f, for changes of this map or ACL: PAT_REF_ADD,
-- PAT_REF_DEL, PAT_REF_SET, PAT_REF_CLEAR, PAT_REF_COMMIT, or PAT_REF; they tell no
-- more. What is prepared tells nothing. Yields: no. Throws: no such type.
function patref:event_sub(types, f)
    return require('neap.core_events').patref_sub(
        (c.about(check(self, 'event_sub'))), types, f)
end

function patref_mt.__pairs(self)
    local box = check(self, 'pairs')
    local is_map = select(2, c.about(box))
    local cursor, list, at = c.walk(box), {}, 1
    return function()
        if list ~= nil and list[at] == nil then
            list, at = c.next(cursor, is_map), 1
        end
        if list == nil then
            return nil
        end
        at = at + 2
        return list[at - 2], list[at - 1]
    end
end

-- --- the old ways ---

local function change(f, name, key, ok, err)
    if not ok then
        args.bad(2, f, err)
    end
end

--- core.add_acl(name, key)
-- Add @key to the ACL @name, unless it is there. Yields: no. Throws: no such ACL.
function M.add_acl(name, key)
    local box = open_ref(name, 'add_acl')
    key = args.text(key, 2, 'add_acl')
    if c_get(box, key) == nil then
        change('add_acl', name, key, c.add(box, key))
    end
end

--- core.del_acl(name, key)
-- Take @key out of the ACL @name, if it is there. Yields: no. Throws: no such ACL.
function M.del_acl(name, key)
    c.del(open_ref(name, 'del_acl'), args.text(key, 2, 'del_acl'))
end

--- core.set_map(name, key, value)
-- Give @key in the map @name the @value; it is added when it is not there. Yields: no.
-- Throws: no such map.
function M.set_map(name, key, value)
    local box = open_ref(name, 'set_map')
    change('set_map', name, key, c.set(box, args.text(key, 2, 'set_map'),
        args.text(value, 3, 'set_map'), true))
end

--- core.del_map(name, key)
-- Take @key out of the map @name, if it is there. Yields: no. Throws: no such map.
function M.del_map(name, key)
    c.del(open_ref(name, 'del_map'), args.text(key, 2, 'del_map'))
end

-- pairs() of Lua 5.1 knows no __pairs: this one does, for scripts that walk through a
-- Patref.
do
    local pairs = pairs

    function M.pairs(t)
        local mt = getmetatable(t)
        local own = mt and rawget(mt, '__pairs')
        if own then
            return own(t)
        end
        return pairs(t)
    end
end

return M
