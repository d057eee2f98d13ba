-- Writes reference pages, in Markdown, from what was read.
local render = {}

local notice = '<!-- Made by doc/tools/reference/generate.lua from the comments of the '
    .. 'code:\n     change those, then run it. -->\n\n'

-- Gives a function to call for each line of a text: `@name` of an argument becomes
-- *name*, and no word in angle brackets is taken for a tag; code stays as it is,
-- also where it begins in the line before.
local function inliner()
    local in_code = false
    return function(line)
        if line == '' or line:find('^    ') or line:find('^\t') then
            in_code = false
            return line
        end
        local out = {}
        for part, tick in (line .. '\0'):gmatch('([^`%z]*)([`%z])') do
            if not in_code then
                part = part:gsub('<([%w_/.]+%.h)>', '`<%1>`')
                    :gsub('%f[<`]<%f[%a]', '\\<')
                part = (' ' .. part):gsub('@a ([%a_][%w_]*)', '*%1*')
                    :gsub('([^%w_])@([%a_][%w_]*)', '%1*%2*'):sub(2)
            end
            out[#out + 1] = part
            if tick == '`' then
                out[#out + 1] = '`'
                in_code = not in_code
            end
        end
        return table.concat(out)
    end
end

local function add_text(out, text)
    local inline = inliner()
    for _, line in ipairs(text) do
        out[#out + 1] = inline(line)
    end
end

-- GitHub's and most others' way to make an anchor of a heading.
local function anchor(heading)
    return (heading:lower():gsub('[^%w_%- ]', ''):gsub(' ', '-'))
end

-- The first sentence, for the list at the top.
local function summary(entry)
    local text, inline = {}, inliner()
    for _, line in ipairs(entry.text) do
        if line == '' then
            break
        end
        text[#text + 1] = inline(line)
    end
    text = table.concat(text, ' ')
    return text:match('^(.-%.)%s') or text
end

local function add_list(out, entries)
    if #entries < 3 and not (entries[1] or {}).same_as then
        return
    end
    out[#out + 1] = '| | |'
    out[#out + 1] = '|---|---|'
    for _, e in ipairs(entries) do
        out[#out + 1] = ('| [`%s`](#%s) | %s |'):format(
            e.name, anchor((e.same_as or e).name), (summary(e):gsub('|', '\\|')))
    end
    out[#out + 1] = ''
end

local function add_signature(out, e)
    local signature = e.name .. (e.args or '')
    if e.returns ~= nil and #signature + #e.returns > 70 then
        out[#out + 1] = '    ' .. signature
        out[#out + 1] = '        -> ' .. e.returns
    elseif e.returns ~= nil then
        out[#out + 1] = '    ' .. signature .. ' -> ' .. e.returns
    else
        out[#out + 1] = '    ' .. signature
    end
end

local function add_entry(out, e)
    if e.same_as ~= nil then
        return
    end
    out[#out + 1] = '### ' .. e.name
    out[#out + 1] = ''
    if e.args ~= nil or e.returns ~= nil or #e.also > 0 then
        add_signature(out, e)
        for _, other in ipairs(e.also) do
            add_signature(out, other)
        end
        out[#out + 1] = ''
    end
    add_text(out, e.text)
    out[#out + 1] = ''
end

local function finish(out)
    local text = notice .. table.concat(out, '\n') .. '\n'
    return (text:gsub('\n\n\n+', '\n\n'):gsub('\n+$', '\n'))
end

-- page = {name, intro = {lines}, groups = {{title, entries}}}
function render.page(page)
    local out = { '# ' .. page.name, '' }
    add_text(out, page.intro)
    out[#out + 1] = ''
    for _, group in ipairs(page.groups) do
        if group.title ~= nil then
            out[#out + 1] = '## ' .. group.title
            out[#out + 1] = ''
            add_text(out, group.intro or {})
            out[#out + 1] = ''
        end
        add_list(out, group.entries)
        for _, e in ipairs(group.entries) do
            add_entry(out, e)
        end
    end
    return finish(out)
end

function render.header(header)
    local out = { '# ' .. header.title, '' }
    add_text(out, header.intro)
    out[#out + 1] = ''
    local i = 1
    while i <= #header.items do
        local item = header.items[i]
        if item.text ~= nil and not item.text.doc then
            goto next -- told to be no part of the interface
        elseif item.code == nil then
            add_text(out, item.text)
        else
            -- Declarations under one comment make one entry.
            out[#out + 1] = '### ' .. item.name
            out[#out + 1] = ''
            out[#out + 1] = '```c'
            for _, line in ipairs(item.code) do
                out[#out + 1] = line
            end
            while header.items[i + 1] ~= nil and item.text ~= nil
                and header.items[i + 1].text == item.text do
                i = i + 1
                for _, line in ipairs(header.items[i].code) do
                    out[#out + 1] = line
                end
            end
            out[#out + 1] = '```'
            out[#out + 1] = ''
            add_text(out, item.text or {})
        end
        out[#out + 1] = ''
        ::next::
        i = i + 1
    end
    return finish(out)
end

function render.index(rows)
    local out = {
        '# Reference', '',
        'Made from the comments of the code; each test run compares these pages',
        'with the comments, and what they list with what the program offers.', '',
        '| page | |', '|---|---|',
    }
    for _, row in ipairs(rows) do
        out[#out + 1] = ('| [%s](%s) | %s |'):format(row.name, row.file, row.text)
    end
    return table.concat(out, '\n') .. '\n'
end

render.summary = summary

return render
