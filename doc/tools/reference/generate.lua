-- Makes the reference pages in doc/reference from the comments of the code.
--
--     build/neap doc/tools/reference/generate.lua [--check]
--
-- Run in the top folder. With --check nothing is written: exit code 1 when a
-- page is not what the comments say, a public name has no doc comment, or a
-- documented one is not there. See doc/internals/doc-comments.md.
package.path = 'doc/tools/?.lua;' .. package.path

local headers = require('reference.headers')
local pages = require('reference.pages')

local out_dir = 'doc/reference/'
local mend = 'build/neap doc/tools/reference/generate.lua'

local function read(path)
    local file = io.open(path, 'rb')
    if file == nil then
        return nil
    end
    local text = file:read('*a')
    file:close()
    return text
end

local function write(path, text)
    local file = assert(io.open(path, 'wb'))
    assert(file:write(text))
    assert(file:close())
end

local check = arg[1] == '--check'
local problems = {}
local function report(text)
    problems[#problems + 1] = text
end

local files = pages.make(headers, report)

local names, stale = {}, 0
for name in pairs(files) do
    names[#names + 1] = name
end
table.sort(names)
for _, name in ipairs(names) do
    local path = out_dir .. name
    if read(path) ~= files[name] then
        if check then
            stale = stale + 1
            report(path .. ' is not what the comments say')
        else
            write(path, files[name])
            print('wrote ' .. path)
        end
    end
end
local listing = assert(io.popen('ls ' .. out_dir .. '*.md'))
for path in listing:lines() do
    if files[path:sub(#out_dir + 1)] == nil then
        if check then
            stale = stale + 1
            report(path .. ' belongs to nothing any more')
        else
            os.remove(path)
            print('removed ' .. path)
        end
    end
end
listing:close()

table.sort(problems)
for _, text in ipairs(problems) do
    io.stderr:write('reference: ', text, '\n')
end
if stale > 0 then
    io.stderr:write('reference: to mend the pages, run: ', mend, '\n')
end
os.exit(#problems == 0 and 0 or 1)
