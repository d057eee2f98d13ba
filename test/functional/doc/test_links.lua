-- Every link from page to page leads somewhere: to a file that is there, and to
-- a heading that it has; and the index leads to every page.
local tap = require('tap')

local top = assert(os.getenv('NEAP_SOURCE_DIR'))

local function read(path)
    local file = io.open(path)
    if file == nil then
        return nil
    end
    local text = file:read('*a')
    file:close()
    return text
end

local function exists(path)
    return os.rename(path, path) ~= nil
end

-- Text without its code, in which brackets are no links.
local function prose(text)
    local out, in_fence = {}, false
    for line in text:gmatch('[^\n]*') do
        if line:find('^```') then
            in_fence = not in_fence
        elseif not in_fence and not line:find('^    ') then
            out[#out + 1] = line
        end
    end
    return table.concat(out, '\n'):gsub('`[^`]*`', '')
end

local function anchors(text)
    local found = {}
    for heading in ('\n' .. text):gmatch('\n#+ ([^\n]*)') do
        heading = heading:lower():gsub('[^%w_%- ]', ''):gsub(' ', '-')
        found[heading] = true
    end
    return found
end

local function folder(path)
    return path:match('^(.*)/') or '.'
end

-- What is wrong with the link, or nil.
local function fault(page, target)
    local file, anchor = target:match('^([^#]*)#?(.*)$')
    local path = file == '' and page or folder(page) .. '/' .. file
    if not exists(path) then
        return 'there is no ' .. file
    end
    if anchor ~= '' and not anchors(read(path))[anchor] then
        return 'no heading for #' .. anchor
    end
end

local pages = io.popen(('cd %q && find . -name .git -prune -o '
    .. "-path './build*' -prune -o -name '*.md' -print | sort"):format(top))
local count = 0
for page in pages:lines() do
    page = page:gsub('^%./', '')
    for target in prose(read(top .. '/' .. page)):gmatch('%]%(([^%s)]+)%)') do
        if not target:find('^%a+://') then
            count = count + 1
            local wrong = fault(top .. '/' .. page, target)
            if wrong ~= nil then
                tap.ok(false, ('%s: %s: %s'):format(page, target, wrong))
            end
        end
    end
end
pages:close()

-- The index knows every page that is written by hand.
local index = read(top .. '/doc/README.md')
local written = io.popen(('cd %q/doc && ls *.md internals/*.md'):format(top))
for page in written:lines() do
    if page ~= 'README.md' then
        tap.ok(index:find('](' .. page .. ')', 1, true),
            'doc/README.md leads to ' .. page)
    end
end
written:close()

tap.ok(count > 50, count .. ' links were followed')
tap.done()
