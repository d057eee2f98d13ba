-- Reads the public C headers: each declaration with the comment before it.
local headers = {}

local function trim(text)
    while text[1] == '' do
        table.remove(text, 1)
    end
    while text[#text] == '' do
        table.remove(text)
    end
    return text
end

-- A declaration of a header, from the line it begins: up to its semicolon,
-- the end of its braces, or the end of a macro.
local function declaration(lines, i)
    local out, depth = {}, 0
    if lines[i]:find('^#%s*define') then
        while lines[i]:find('\\$') do
            out[#out + 1] = lines[i]
            i = i + 1
        end
        out[#out + 1] = lines[i]
        return out, i + 1
    end
    while i <= #lines do
        local line = lines[i]
        local code = line:gsub('/%*.-%*/', '')
        out[#out + 1] = line
        for brace in code:gmatch('[{}]') do
            depth = depth + (brace == '{' and 1 or -1)
        end
        i = i + 1
        if depth == 0 and (code:find(';%s*$') or code:find('^}')) then
            break
        end
    end
    return out, i
end

local function declared_name(code)
    local text = table.concat(code, ' '):gsub('%s+', ' ')
    text = text:gsub('__attribute__%s*%b()', ''):gsub('NEAP_API%s', '')
    return text:match('^#%s*define%s+([%w_]+)')
        or text:match('^struct%s+([%w_]+)%s*{')
        or text:match('^enum%s+([%w_]+)%s*{')
        or text:match('^enum%s*{%s*([%w_]+)')
        or text:match('%(%s*%*%s*([%w_]+)%s*%)%s*%(') -- a function pointer
        or text:match('([%w_]+)%s*%(')
        or text:match('([%w_]+)%s*;')
end

local function is_declaration(line)
    if line:find('^#%s*define%s') then
        return line:find('^#%s*define%s+[%w_]+%s*$') == nil -- the guard
    end
    return line:find('^[%a_]') ~= nil and not line:find('^extern%s+"C"')
        and line:find('^[%w_]+:') == nil
end

-- A public header: its opening comment, and each declaration with the comment
-- before it. A comment before an empty line is a heading of its own.
function headers.read(path)
    local lines = {}
    for line in io.lines(path) do
        lines[#lines + 1] = line
    end
    local header = { path = path, intro = {}, items = {} }
    local i, comment, place = 1, nil, nil
    while i <= #lines do
        local line = lines[i]
        if line:find('^#%s*ifdef%s+__cplusplus') then
            while not lines[i]:find('^#%s*e[ln][sd]') do -- else, endif
                i = i + 1
            end
            i = i + 1
        elseif line:find('^/%*') then
            comment, place = {}, path .. ':' .. i
            local text = line:gsub('^/%*+%s?', '')
            while true do
                local last = text:match('^(.-)%s*%*/%s*$')
                comment[#comment + 1] = last or text
                i = i + 1
                if last ~= nil or i > #lines then
                    break
                end
                text = lines[i]:match('^%s*%*/') and '*/'
                    or lines[i]:match('^%s*%* ?(.*)$') or lines[i]
            end
            comment.doc = line:find('^/%*%*') ~= nil
            trim(comment)
            if place == path .. ':1' then
                header.intro, comment = comment, nil
            elseif lines[i] == '' and comment.doc then
                header.items[#header.items + 1] =
                    { text = comment, place = place }
                comment = nil
            end
        elseif is_declaration(line) then
            local at = path .. ':' .. i
            local code
            code, i = declaration(lines, i)
            header.items[#header.items + 1] = {
                name = declared_name(code), code = code, text = comment,
                place = at,
            }
            -- Declarations in one block share the comment above them.
            if lines[i] == '' then
                comment = nil
            end
        else
            if line == '' then
                comment = nil
            end
            i = i + 1
        end
    end
    return header
end

return headers
