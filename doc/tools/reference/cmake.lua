-- Reads the CMake functions that are installed: each has a bracket comment
-- above it, whose first line is how it is called.
local cmake = {}

-- {signature =, text = {lines}, name =} of each function; what lacks a comment
-- is told to `report`.
function cmake.read(path, report)
    local items, comment, open = {}, nil, nil
    local number = 0
    for line in io.lines(path) do
        number = number + 1
        local name = line:match('^function%(([%w_]+)')
        if line == '#[[' then
            open = {}
        elseif line == ']]' then
            comment, open = open, nil
        elseif open ~= nil then
            open[#open + 1] = line
        elseif name ~= nil and comment ~= nil
            and comment[1]:match('^[%w_]+') == name then
            local signature = table.remove(comment, 1)
            items[#items + 1] =
                { name = name, signature = signature, text = comment }
            comment = nil
        elseif name ~= nil and name:sub(1, 1) ~= '_' then
            report(('%s:%d: %s has no doc comment'):format(path, number, name))
        end
    end
    return items
end

-- The page of all functions of the package.
function cmake.page(items)
    local out = {
        '<!-- Made by doc/tools/reference/generate.lua from the comments of '
            .. 'the code:',
        '     change those, then run it. -->', '',
        '# The CMake package neap', '',
        '`find_package(neap)` gives the targets `neap::module` (the header '
            .. '`<neap/module.h>`),',
        '`neap::compat` (the header of sources written for Tarantool) and '
            .. '`neap::neap` (the',
        'program, for `add_test()`), and the functions below. Versions that '
            .. 'differ behind the',
        'first number only are compatible.', '',
    }
    for _, item in ipairs(items) do
        out[#out + 1] = '## ' .. item.name
        out[#out + 1] = ''
        out[#out + 1] = '    ' .. item.signature
        for _, line in ipairs(item.text) do
            out[#out + 1] = line
        end
        out[#out + 1] = ''
    end
    out[#out] = nil
    return table.concat(out, '\n') .. '\n'
end

return cmake
