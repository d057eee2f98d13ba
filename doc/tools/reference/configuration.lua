-- The page of server.yaml, of what the program itself declares: `neap config schema`.
local json = require('json')

local configuration = {}

local function declared()
    local pipe = assert(io.popen('"$(readlink "/proc/$PPID/exe")" config schema'))
    local text = pipe:read('*a')
    pipe:close()
    return json.decode(text)
end

local function escape(text)
    return (text:gsub('[|<>]', { ['|'] = '\\|', ['<'] = '&lt;', ['>'] = '&gt;' }))
end

-- The map that a key stands in, and its name there.
local function split(key)
    local map, name = key:match('^(.*)%.([^.]+)$')
    return map or '', name or key
end

local function plural(name)
    local first, rest = name:match('^(%a+)(.*)$')
    return first .. (first:find('s$') and 'es' or 's') .. rest
end

local function kind(row)
    local text = row.of and ('%s of %s'):format(row.type, plural(row.of)) or row.type
    if row.type == 'map of names' then
        text = ('names of %s'):format(plural(row.of))
    end
    if row.alone then
        text = ('%s, or a %s'):format(row.of, text)
    end
    if row.choices then
        text = text .. ': ' .. table.concat(row.choices, ', ')
    elseif row.max then
        text = ('%s, %d to %d'):format(text, row.min, row.max)
    end
    if row.brief then
        text = text .. (', or its `%s` alone'):format(row.brief)
    end
    return text
end

local function explain(row)
    local text = escape(row.help or '')
    if row.variable then
        text = ('%s (%s%s)'):format(text, row.variable:find(' ') and row.variable
            or '`' .. row.variable .. '`', row.flag and ', `' .. row.flag .. '`' or '')
    end
    if row.same_as then
        text = ('%s; as [`%s`](#%s)'):format(text, row.same_as,
            row.same_as:lower():gsub('[^%w_-]', ''))
    end
    return text
end

local function default(row)
    if row.required then
        return 'needed'
    end
    return row.default and '`' .. row.default .. '`' or ''
end

local function put(out, row)
    local _, name = split(row.key)
    out[#out + 1] = ('| `%s` | %s | %s | %s |'):format(name, kind(row), default(row),
        explain(row))
end

-- Each map's rows, in the order in which maps begin.
local function by_map(rows)
    local maps, order = {}, {}
    for _, row in ipairs(rows) do
        local map = split(row.key)
        if maps[map] == nil then
            maps[map] = {}
            order[#order + 1] = map
        end
        table.insert(maps[map], row)
    end
    return maps, order
end

local places = { rules = 'in `rules` alone', response_rules = 'in `response_rules` alone' }

local function put_table(out, rows)
    out[#out + 1] = '| key | is | default | |'
    out[#out + 1] = '|---|---|---|---|'
    for _, row in ipairs(rows) do
        if row.rules and places[row.rules] then
            row.help = ('%s; %s'):format(row.help, places[row.rules])
        end
        put(out, row)
    end
    out[#out + 1] = ''
end

-- Rules have one action, and what goes with it.
local function put_rule(out, rows)
    local actions, others = {}, {}
    for _, row in ipairs(rows) do
        table.insert(row.rules and actions or others, row)
    end
    out[#out + 1] = 'Exactly one of these actions:'
    out[#out + 1] = ''
    put_table(out, actions)
    out[#out + 1] = 'And with it:'
    out[#out + 1] = ''
    put_table(out, others)
end

function configuration.page()
    local out = {
        '<!-- Made by doc/tools/reference/generate.lua from the schema in',
        '     src/config/server_schema.c: change that, then run it. -->', '',
        '# server.yaml', '',
        'All keys of a configuration. How values are written, what the environment does',
        'and how a file is checked is in the [guide](../guide-server.md). In the titles of',
        'the sections `[]` stands for each of a list, `NAME` for any name.', '',
    }
    local maps, order = by_map(declared())
    for _, map in ipairs(order) do
        if map ~= '' then
            out[#out + 1] = ('## `%s`'):format(map)
            out[#out + 1] = ''
        end
        if maps[map][1].rules or (maps[map][6] and maps[map][6].rules) then
            put_rule(out, maps[map])
        else
            put_table(out, maps[map])
        end
    end
    out[#out] = nil
    return table.concat(out, '\n') .. '\n'
end

return configuration
