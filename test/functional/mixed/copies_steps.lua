-- What rules of test_copies.sh call, for both kinds of state: `load: {file: copies_steps.lua,
-- args: [s, FOLDER]}` and `load_per_thread: {.., args: [p, FOLDER]}`.
local kind, folder = ...
local list = dofile(folder .. '/copies_list.lua')

local function shown(ok, value)
    return ('%s %s %s'):format(ok, type(value), (tostring(value):gsub('\n', '\\')))
end

core.register_fetches(kind .. '-given', function(_, value)
    return type(value) == 'function' and value() or value
end)

-- Those of scripts: of this kind of state, which get their arguments as they are, of the other
-- one, and of none.
local function scripts(txn, lines)
    local own, other = 'lua_' .. kind .. '_given', kind == 's' and 'lua_p_given' or 'lua_s_given'
    for _, object in ipairs({ txn.f, txn.sf }) do
        lines[#lines + 1] = 'own: ' .. shown(pcall(object[own], object, function()
            return 'called'
        end))
        lines[#lines + 1] = 'other: ' .. shown(pcall(object[other], object, 'text'))
        lines[#lines + 1] = 'none: ' .. shown(pcall(function()
            return object.lua_none
        end))
    end
end

-- All fetches as methods of txn.f and txn.sf, a line each.
local function all(txn, http)
    local lines = {}
    scripts(txn, lines)
    for _, each in ipairs(list) do
        if http or not each.needs then
            local name = each.name:gsub('[-+.]', '_')
            for _, object in ipairs({ txn.f, txn.sf }) do
                lines[#lines + 1] = ('%s: %s'):format(each.text,
                    shown(pcall(object[name], object, unpack(each.args))))
            end
        end
    end
    return table.concat(lines, '\n')
end

local function differences(own, shared)
    local found, next_line, count = {}, shared:gmatch('[^\n]+'), 0
    for line in own:gmatch('[^\n]+') do
        local there = next_line()
        count = count + 1
        if line ~= there then
            found[#found + 1] = ('%s, in the shared state %s'):format(line, there)
        end
    end
    return found, count
end

local function var(what)
    return ('txn.%s_%s'):format(kind, what)
end

core.register_action(kind .. '-ask', { 'http-req', 'http-res' }, function(txn)
    txn:set_var(var('asked'), all(txn, true))
end)
core.register_action(kind .. '-ask-tcp', { 'tcp-req' }, function(txn)
    txn:set_var(var('asked'), all(txn, false))
end)
core.register_action(kind .. '-note', { 'http-req' }, function() end)

local function asked(object, why)
    local found, count = differences(object:get_var('txn.p_asked'),
        object:get_var('txn.s_asked'))
    if count == 0 then
        found[1] = 'nothing was asked'
    end
    for i, line in ipairs(found) do
        found[i] = ('%s: %s'):format(why, line)
    end
    return found
end

core.register_action(kind .. '-compare-answers', { 'http-res' }, function(txn)
    local found = asked(txn, 'method, answer')
    txn.http:res_set_header('x-answers', found[1] and table.concat(found, ' / ') or 'same')
end)

core.register_service(kind .. '-compare', 'http', function(applet, first, last)
    local found = first == '1' and asked(applet, 'method') or {}
    for i = tonumber(first), tonumber(last) do
        local own, there = applet:get_var('txn.p' .. i), applet:get_var('txn.s' .. i)
        if own ~= there then
            found[#found + 1] = ('rule: %s: %s, in the shared state %s'):format(list[i].text,
                shown(true, own), shown(true, there))
        end
    end
    applet:set_status(200)
    applet:add_header('X-Cased', 'one, "two, three"')
    applet:add_header('x-list', 'first')
    applet:add_header('x-list', 'second, third')
    applet:add_header('x-number', '17')
    applet:add_header('set-cookie', 'a=1; path=/')
    applet:add_header('set-cookie', 'b="2"; secure')
    applet:start_response()
    applet:send(#found == 0 and 'all are the same\n' or table.concat(found, '\n') .. '\n')
end)

core.register_service(kind .. '-compare-tcp', 'tcp', function(applet)
    local found = asked(applet, 'tcp')
    applet:send(#found == 0 and 'all are the same\n' or table.concat(found, '\n') .. '\n')
end)
