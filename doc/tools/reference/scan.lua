-- Reads the doc comments of Lua halves and C halves. The convention is told in
-- doc/internals/doc-comments.md.
local scan = {}

local function lines_of(path)
    local lines = {}
    local file = assert(io.open(path))
    for line in file:lines() do
        lines[#lines + 1] = line
    end
    file:close()
    return lines
end

local function trim_blank(text)
    while text[1] == '' do
        table.remove(text, 1)
    end
    while text[#text] == '' do
        table.remove(text)
    end
    return text
end

-- A line that is a signature and nothing else: `fiber.sleep(seconds)`,
-- `channel:get([timeout]) -> value | nil`, `err.message`, `#mp`.
local function parse_signature(line)
    local name, args, rest = line:match('^([%a_][%w_.:]*)(%b())%s*(.*)$')
    if name ~= nil then
        if rest ~= '' and not rest:find('^%->%s*%S') then
            return nil
        end
        return { name = name, args = args, returns = rest:match('^%->%s*(.*)') }
    end
    name, rest = line:match('^([%a_][%w_]*%.[%w_.]*[%w_])%s*(.*)$')
    if name ~= nil and (rest == '' or rest:find('^%->%s*%S')) then
        return { name = name, returns = rest:match('^%->%s*(.*)') }
    end
end

-- What a comment introduces: its kind, its name, and the rest of the line.
local function parse_intro(line)
    for _, kind in ipairs { 'module', 'page' } do
        local name, rest =
            line:match('^The ' .. kind .. ' `([%w_.]+)`[:,]%s*(.*)$')
        if name ~= nil then
            return kind, name, rest
        end
    end
end

-- The arguments a signature names: not those in braces, which are fields.
local function argument_names(args)
    local names = {}
    args = args:sub(2, -2):gsub('%b{}', ''):gsub('=[^,%])]*', '')
    for name in args:gmatch('[%a_][%w_]*') do
        names[#names + 1] = name
    end
    return names
end

local function new_entry(signature, doc, text, place)
    return {
        name = signature.name,
        args = signature.args,
        returns = signature.returns,
        module = doc.module,
        text = text,
        place = place,
        arguments = signature.args and argument_names(signature.args) or {},
    }
end

-- `function M.sleep(seconds)` below a comment that has no signature itself:
-- M stands for the module.
local function signature_of_code(line, module)
    local name, args = (line or ''):match('^function%s+([%w_.:]+)(%b())')
    if name == nil then
        return nil
    end
    local owner, sep, key = name:match('^([%w_]+)([.:])([%w_]+)$')
    if owner == nil or module == nil then
        return nil -- a file of no module is not public
    end
    if owner == 'M' then
        owner = module
    end
    return { name = owner .. sep .. key, args = args }
end

-- The signatures a comment begins with are taken out of it.
local function take_signatures(text)
    local signatures = {}
    while text[1] ~= nil do
        local signature = parse_signature(text[1])
        if signature == nil then
            break
        end
        table.remove(text, 1)
        if signature.returns == nil and (text[1] or ''):find('^%s*%->%s*%S') then
            signature.returns = table.remove(text, 1):match('^%s*%->%s*(.*)')
        end
        signatures[#signatures + 1] = signature
    end
    return signatures
end

-- Takes one comment: an introduction, an entry, or nothing of ours. `code` is
-- the line behind it.
local function take_comment(doc, text, code, place)
    text = trim_blank(text)
    local kind, name, rest = parse_intro(text[1] or '')
    if kind ~= nil then
        doc.module = name
        table.remove(text, 1)
        if rest ~= '' then
            rest = rest:sub(1, 1):upper() .. rest:sub(2)
            table.insert(text, 1, rest)
        end
        doc.intros[#doc.intros + 1] =
            { kind = kind, name = name, text = trim_blank(text), place = place }
        return
    end
    local signatures = take_signatures(text)
    if #signatures == 0 then
        signatures[1] = signature_of_code(code, doc.module)
    end
    -- Further names share the text of the first one.
    local main
    for _, signature in ipairs(signatures) do
        local entry = new_entry(signature, doc, text, place)
        entry.same_as = main
        main = main or entry
        doc.entries[#doc.entries + 1] = entry
    end
    trim_blank(text)
end

-- Comments that open with three dashes, and the file's opening comment.
function scan.lua_file(path, doc)
    local lines = lines_of(path)
    local i = 1
    -- "The requests of the module `x`": a file that is a part of it
    doc.module = (lines[1] or ''):match('^%-%- .*module `([%w_.]+)`')
    while i <= #lines do
        local first = lines[i]:match('^%s*%-%-%-%s?(.*)$')
        if first == nil and i == 1 then
            first = lines[i]:match('^%-%-%s?(The .*)$')
        end
        if first ~= nil and not first:find('^%-') then
            local text, place = { first }, path .. ':' .. i
            i = i + 1
            while i <= #lines do
                local more = lines[i]:match('^%s*%-%-%s?(.*)$')
                if more == nil or more:sub(1, 1) == '-' then
                    break
                end
                text[#text + 1] = more
                i = i + 1
            end
            -- An argument list may go on for some lines.
            local code = lines[i] or ''
            for j = i + 1, i + 4 do
                if not code:find('%([^)]*$') then
                    break
                end
                code = code .. ' ' .. (lines[j] or ''):match('^%s*(.*)$')
            end
            take_comment(doc, text, code, place)
        else
            i = i + 1
        end
    end
end

-- Comments that open with a slash and three stars; the opening comment names
-- the module the file belongs to.
function scan.c_file(path, doc)
    local lines = lines_of(path)
    local i = 1
    doc.module = nil
    -- "The C half of the module `fiber`", "what the module `x` .."
    local head = table.concat(lines, ' ', 1, math.min(#lines, 12))
    head = head:match('^/%*(.-)%*/') or ''
    doc.module = head:match('module `([%w_.]+)`') or head:match('page `([%w_.]+)`')
    while i <= #lines do
        local first = lines[i]:match('^%s*/%*%*%*%s?(.*)$')
        if first ~= nil then
            local text, place = {}, path .. ':' .. i
            local line = first
            while true do
                local last = line:match('^(.-)%s*%*/%s*$')
                text[#text + 1] = last or line
                i = i + 1
                if last ~= nil or i > #lines then
                    break
                end
                line = lines[i]:match('^%s*%*/') and '*/'
                    or lines[i]:match('^%s*%* ?(.*)$') or lines[i]
            end
            take_comment(doc, text, nil, place)
        else
            i = i + 1
        end
    end
end

function scan.new()
    return { intros = {}, entries = {} }
end

return scan
