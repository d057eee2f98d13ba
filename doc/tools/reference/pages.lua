-- From comments to pages: finds the sources, sorts what they say by module,
-- refuses what is missing.
local admin = require('reference.admin')
local expressions = require('reference.expressions')
local cmake = require('reference.cmake')
local configuration = require('reference.configuration')
local live = require('reference.live')
local render = require('reference.render')
local scan = require('reference.scan')

local pages = {}

local function find(pattern)
    local paths = {}
    local pipe = assert(io.popen('find ' .. pattern .. ' | LC_ALL=C sort'))
    for path in pipe:lines() do
        paths[#paths + 1] = path
    end
    pipe:close()
    return paths
end

local function scan_all()
    local doc = scan.new()
    for _, path in ipairs(find("src -name '*.lua'")) do
        scan.lua_file(path, doc)
    end
    for _, path in ipairs(find("src -name '*.c'")) do
        scan.c_file(path, doc)
    end
    return doc
end

-- 'fiber.sleep' of the module fiber is a function, and so is a name without an
-- owner; 'channel:put' and 'err.code' belong to a class.
local function owner_and_key(name, module)
    if module ~= nil and name:sub(1, #module + 1) == module .. '.'
        and not name:find('[.:]', #module + 2) then
        return nil, name:sub(#module + 2)
    end
    local owner, key = name:match('^(.*)[.:]([%w_]+)$')
    return owner, key or name
end

-- Where an entry belongs: names of Lua's own to the page `lua`, wherever they
-- are changed; `json.x` to the module json, and so those of one that is also a global;
-- a class to its file's module.
local function page_name(entry, modules)
    local owner = entry.name:match('^(.*)[.:]')
    local module = modules[owner]
    if owner == nil
        or type(_G[owner]) == 'table' and (module == nil or module.kind ~= 'module') then
        return 'lua'
    end
    return modules[owner] ~= nil and owner or entry.module or ''
end

-- What an entry must say.
local function check_entry(entry, report)
    local text = table.concat(entry.text, '\n')
    local function lack(what)
        report(('%s: %s %s'):format(entry.place, entry.name, what))
    end
    if text == '' then
        lack('has a signature and no text')
        return
    end
    if entry.args == nil then
        return -- a field
    end
    for _, name in ipairs(entry.arguments) do
        if not text:find('@' .. name .. '%f[^%w_]') then
            lack(("does not say what @%s is"):format(name))
        end
    end
    if not text:find('Yields: ') then
        lack('does not say whether it waits ("Yields: no.")')
    end
end

-- Names that share a comment are told once on each page, under the first.
local function group(entry, module)
    local comment = entry.same_as or entry
    local first = module.told[comment]
    if first == nil then
        module.told[comment] = entry
        entry.same_as, entry.also = nil, {}
    elseif first ~= entry then
        entry.same_as = first
        first.also[#first.also + 1] = entry
    end
end

local function sort_entries(doc, report)
    local modules = {}
    for _, intro in ipairs(doc.intros) do
        if modules[intro.name] ~= nil then
            report(('%s: a second introduction of %s')
                :format(intro.place, intro.name))
        end
        modules[intro.name] = {
            kind = intro.kind, name = intro.name, intro = intro.text,
            functions = {}, classes = {}, told = {},
        }
    end
    for _, entry in ipairs(doc.entries) do
        local module = modules[page_name(entry, modules)]
        if module == nil then
            report(('%s: %s belongs to no module: the file\'s opening comment '
                .. 'names none that has an introduction')
                :format(entry.place, entry.name))
        else
            if entry.same_as == nil then
                check_entry(entry, report)
            end
            group(entry, module)
            local owner, key = owner_and_key(entry.name, module.name)
            local into = module.functions
            if owner ~= nil then
                module.classes[owner] = module.classes[owner] or {}
                into = module.classes[owner]
            end
            if into[key] ~= nil then
                report(('%s: %s is documented twice')
                    :format(entry.place, entry.name))
            else
                into[key] = entry
            end
        end
    end
    return modules
end

local function sorted(entries)
    local list = {}
    for _, entry in pairs(entries) do
        list[#list + 1] = entry
    end
    table.sort(list, function(a, b)
        return a.name < b.name
    end)
    return list
end

local function sorted_keys(t)
    local keys = {}
    for key in pairs(t) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    return keys
end

local function page_of(module)
    local groups = { { entries = sorted(module.functions) } }
    for _, class in ipairs(sorted_keys(module.classes)) do
        groups[#groups + 1] =
            { title = class, entries = sorted(module.classes[class]) }
    end
    return {
        name = module.name, intro = module.intro, groups = groups,
    }
end

-- {[file name] = text} of all pages; each thing amiss is told to `report`.
function pages.make(headers, report)
    local modules = sort_entries(scan_all(), report)
    local files, rows = {}, {}
    for _, name in ipairs(sorted_keys(modules)) do
        local file = name .. '.md'
        files[file] = render.page(page_of(modules[name]))
        rows[#rows + 1] = {
            name = name, file = file,
            text = render.summary { text = modules[name].intro },
        }
    end
    for _, path in ipairs(find("src/include -name '*.h' 2>/dev/null")) do
        local header = headers.read(path)
        header.title = path:match('^src/include/(.*)$')
        for _, item in ipairs(header.items) do
            if item.code ~= nil and item.text == nil then
                report(('%s: %s has no doc comment')
                    :format(item.place, item.name or '?'))
            end
        end
        local file = header.title:gsub('/', '-') .. '.md'
        files[file] = render.header(header)
        rows[#rows + 1] = {
            name = header.title, file = file,
            text = render.summary { text = header.intro },
        }
    end
    files['expressions.md'] = expressions.page()
    rows[#rows + 1] = {
        name = 'expressions', file = 'expressions.md',
        text = 'What the rules of a configured server compute, decide by and fill in.',
    }
    files['admin.md'] = admin.page()
    rows[#rows + 1] = {
        name = 'admin commands', file = 'admin.md',
        text = 'What an operator types at the console of a server.',
    }
    files['server.yaml.md'] = configuration.page()
    rows[#rows + 1] = {
        name = 'server.yaml', file = 'server.yaml.md',
        text = 'The keys of a configuration.',
    }
    local functions = {}
    for _, path in ipairs(find("cmake/package -name '*.cmake' 2>/dev/null")) do
        for _, item in ipairs(cmake.read(path, report)) do
            functions[#functions + 1] = item
        end
    end
    if #functions > 0 then
        files['cmake.md'] = cmake.page(functions)
        rows[#rows + 1] = {
            name = 'CMake package', file = 'cmake.md',
            text = 'What `find_package(neap)` gives to whoever builds C '
                .. 'modules.',
        }
    end
    files['README.md'] = render.index(rows)
    live.check(modules, require('reference.objects'), report)
    return files
end

return pages
