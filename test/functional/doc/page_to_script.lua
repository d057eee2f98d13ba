-- Makes a shell script of a page of the documentation, which does what the page
-- tells its reader to do. For test_guide.sh.
--
--     neap page_to_script.lua PAGE.md > script
--
-- Of the page's fenced blocks these count, by what stands behind the fence:
--
--   lua, c or yaml FILE   the file is written
--   console               "$ command" lines, each followed by its output, in
--                         which "..." stands for anything
--   console background    one command that goes on running; it is ended, and
--                         must end well, when the next one starts or the page
--                         is over
--   console session       "$ command", then what is typed behind each prompt
--                         ("neap> " or "    > "), and what is answered; empty
--                         lines and the greeting do not count
--
-- The script calls the functions that test_guide.sh has: file, step,
-- background, session.
local path = assert(arg[1], 'a page is wanted')

local function quote(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function emit(...)
    for i = 1, select('#', ...) do
        io.write(i > 1 and ' ' or '', quote((select(i, ...))))
    end
    io.write('\n')
end

local function call(name, ...)
    io.write(name, ' ')
    emit(...)
end

-- The commands of a block, each with what it should print.
local function take_steps(lines, place)
    local command, want
    local function flush()
        if command ~= nil then
            call('step', place, command, table.concat(want, '\n'))
        end
    end
    for _, line in ipairs(lines) do
        local text = line:match('^%$ (.*)$')
        if text ~= nil then
            flush()
            command, want = text, {}
        elseif command ~= nil and command:find('\\$') and #want == 0 then
            command = command .. '\n' .. line
        else
            assert(command, place .. ': output before the first command')
            want[#want + 1] = line
        end
    end
    flush()
end

local function take_session(lines, place)
    local command = assert(lines[1]:match('^%$ (.*)$'), place)
    local input, want = {}, {}
    for i = 2, #lines do
        local typed = lines[i]:match('^neap>%s?(.*)$')
            or lines[i]:match('^%s*>%s(.*)$')
        if typed ~= nil then
            input[#input + 1] = typed
        elseif lines[i] ~= '' and not lines[i]:find('^neap %d') then
            want[#want + 1] = lines[i]
        end
    end
    call('session', place, command, table.concat(input, '\n') .. '\n',
        table.concat(want, '\n'))
end

local function take_block(info, lines, place)
    local language, rest = info:match('^(%S+)%s*(.*)$')
    if (language == 'lua' or language == 'c' or language == 'yaml')
        and rest ~= '' then
        call('file', rest, table.concat(lines, '\n') .. '\n')
    elseif language ~= 'console' then
        return
    elseif rest == 'background' then
        call('background', place, assert(lines[1]:match('^%$ (.*)$'), place))
    elseif rest == 'session' then
        take_session(lines, place)
    else
        assert(rest == '', place .. ': what is ' .. info .. '?')
        take_steps(lines, place)
    end
end

local number, info, block, place = 0, nil, nil, nil
for line in io.lines(path) do
    number = number + 1
    local fence = line:match('^```(.*)$')
    if fence == nil then
        if info ~= nil then
            block[#block + 1] = line
        end
    elseif info == nil then
        info, block, place = fence, {}, path:match('[^/]+$') .. ':' .. number
    else
        take_block(info, block, place)
        info = nil
    end
end
if info ~= nil then
    error(place .. ': a block that does not end')
end
io.write('finish\n')
