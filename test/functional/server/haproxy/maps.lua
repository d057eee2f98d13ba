-- Maps, and commands of the console.
local folder = os.getenv('FOLDER')
local exact = Map.new(folder .. '/colours.map', Map._str)
local prefix = Map.new(folder .. '/paths.map', Map._beg)
local nets = Map.new(folder .. '/nets.map', Map._ip)

core.register_service('maps', 'http', function(applet)
    local out = {}
    local function say(...)
        local list = { ... }
        for i = 1, select('#', ...) do
            list[i] = tostring(list[i])
        end
        out[#out + 1] = table.concat(list, ' ')
    end
    say('lookup', exact:lookup('red'), exact:lookup('green'))
    say('slookup', exact:slookup('blue'), '(' .. exact:slookup('green') .. ')')
    say('prefix', prefix:lookup('/api/v2/x'), prefix:lookup('/api'), prefix:lookup('/'))
    say('nets', nets:lookup('10.1.2.3'), nets:lookup('10.2.2.3'), nets:lookup('11.0.0.1'))
    core.set_map(folder .. '/colours.map', 'green', '#0f0')
    say('set', exact:lookup('green'))
    core.set_map(folder .. '/colours.map', 'green', '#0e0')
    say('again', exact:lookup('green'))
    core.del_map(folder .. '/colours.map', 'green')
    say('del', exact:lookup('green'))
    say('gone', pcall(core.set_map, folder .. '/nowhere.map', 'a', 'b'))
    local text = table.concat(out, '\n'):gsub('gone false.*', 'gone false') .. '\n'
    applet:set_status(200)
    applet:add_header('content-length', #text)
    applet:start_response()
    applet:send(text)
end)

core.register_cli({ 'colour', 'show' }, 'colour show NAME: of the map',
function(applet, ...)
    local words = { ... }
    applet:send('words ' .. table.concat(words, ',') .. '\n')
    applet:send('colour ' .. exact:slookup(words[3] or '') .. '\n')
end)
