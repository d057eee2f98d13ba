-- Modules that files would make, for completion: what package.path and package.cpath lead
-- to. Folders are read, and nothing else: no file is opened.
--
-- Folders are looked into in the order of their depth, those of all templates together, for
-- as long as a person does not notice: a tree of a hundred thousand files must not keep out
-- what lies beside it.

local c = ...

local folder, is_file, now = c.folder, c.is_file, c.now
local ipairs, rawget, setmetatable, type = ipairs, rawget, setmetatable, type
local package = package

local TEMPLATES_MAX = 100
local FOLDERS_MAX = 400 -- that are read
local DEPTH_MAX = 4     -- of folders in each other, below what was typed
local TIME_MAX = 0.02   -- seconds, of all

-- What no name has in it, of those that can be typed.
local NAME = '^[%w_%-]+$'

local Search = {}
Search.__index = Search

-- To be read: those at @path that begin with @start, of which @skip bytes are no part of the
-- name; @before stands before it.
function Search:push(path, start, skip, before, behind, depth)
    self.last = self.last + 1
    self[self.last] = { path = path, start = start, skip = skip, before = before,
        behind = behind, depth = depth }
end

function Search:push_template(template, parent, leaf)
    local before, behind = template:match('^([^?]*)%?([^?]*)$')
    if before == nil then
        return
    end
    local path, start = before:match('^(.*/)([^/]*)$')
    path, start = path or './', start or before
    if parent == '' then
        self:push(path, start .. leaf, #start, '', behind, 0)
    else
        self:push(path .. start .. parent:gsub('%.', '/'), leaf, 0, parent, behind, 0)
    end
end

-- @entry is what @from has.
function Search:look(from, kind, entry)
    local name, behind = entry:sub(from.skip + 1), from.behind
    if kind == 'f' then
        local stem = name:sub(1, -#behind - 1)
        if name == stem .. behind and stem:find(NAME) then
            self.add(from.before .. stem)
        end
    elseif name:find(NAME) then
        if behind:sub(1, 1) == '/' and is_file(from.path .. entry .. behind) then
            self.add(from.before .. name)
        end
        if from.depth < DEPTH_MAX then
            self:push(from.path .. entry .. '/', '', 0, from.before .. name .. '.', behind,
                from.depth + 1)
        end
    end
end

--- Tell @add each name that begins with @prefix.
return function(prefix, add)
    local search = setmetatable({ add = add, last = 0 }, Search)
    local parent, leaf = prefix:match('^(.*[%./])(.*)$')
    parent, leaf = parent or '', leaf or prefix
    for _, field in ipairs({ 'path', 'cpath' }) do
        local templates = rawget(package, field)
        if type(templates) == 'string' then
            for template in templates:gmatch('[^;]+') do
                if search.last >= TEMPLATES_MAX then
                    break
                end
                search:push_template(template, parent, leaf)
            end
        end
    end
    local till = now() + TIME_MAX
    local at = 1
    while at <= search.last and at <= FOLDERS_MAX and now() < till do
        local from = search[at]
        for kind, entry in folder(from.path, from.start, till):gmatch('(%l)(%Z+)') do
            search:look(from, kind, entry)
        end
        at = at + 1
    end
end
