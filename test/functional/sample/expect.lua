-- Writes expected.lua anew, by the HAProxy that is installed:
--     build/neap test/functional/sample/expect.lua
package.path = os.getenv('NEAP_SOURCE_DIR') .. '/test/functional/sample/?.lua;'
    .. package.path
local cases, haproxy = require('cases'), require('haproxy')

local out = { "-- What HAProxy 2.6 says of cases.lua: made by expect.lua.\nreturn {\n" }
for _, case in ipairs(cases) do
    for _, kind in ipairs({ 'expressions', 'conditions' }) do
        local answers = haproxy.answers(case, kind)
        out[#out + 1] = ("    ['%s %s'] = {\n"):format(case.name, kind)
        for _, text in ipairs(case[kind]) do
            out[#out + 1] = ('        [%q] = %q,\n'):format(text, answers[text])
        end
        out[#out + 1] = '    },\n'
    end
end
out[#out + 1] = '}\n'
local file = assert(io.open(
    os.getenv('NEAP_SOURCE_DIR') .. '/test/functional/sample/expected.lua', 'w'))
file:write(table.concat(out))
file:close()
