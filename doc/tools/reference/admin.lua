-- The page of the admin commands, of what the program itself declares: `help json`.
local json = require('json')

local admin = {}

-- As the console of this very program tells them.
local function declared()
    local pipe = assert(io.popen([[printf '\\set language admin\nhelp json\n' |
        "$(readlink "/proc/$PPID/exe")"]]))
    local text = pipe:read('*a')
    pipe:close()
    return json.decode(text:match('\n(%[.*%])\n') or text)
end

local function escape(text)
    return (text:gsub('[|<>]', { ['|'] = '\\|', ['<'] = '&lt;', ['>'] = '&gt;' }))
end

local function table_of(out, head, rows)
    if #rows == 0 then
        return
    end
    out[#out + 1] = ''
    out[#out + 1] = ('| %s | type | |'):format(head)
    out[#out + 1] = '|---|---|---|'
    for _, row in ipairs(rows) do
        local kind = row.choices and row.choices:gsub('|', ', ') or row.type
        out[#out + 1] = ('| `%s` | %s | %s |'):format(row.name, kind, escape(row.help))
    end
end

function admin.page()
    local out = {
        '<!-- Made by doc/tools/reference/generate.lua from the declarations of the',
        '     commands: change those, then run it. -->', '',
        '# Admin commands', '',
        'What `help` says, with the columns of each. How they are typed and answered is in',
        'the [guide](../guide-console.md#admin-commands). `counter` only grows; `seconds`,',
        '`bytes` and numbers tell what is now. `worker <n>` asks one worker instead of all,',
        '0 is the shared state; `json` has the rows as objects, `typed` each cell as a line of',
        'its own.',
    }
    for _, c in ipairs(declared()) do
        out[#out + 1] = ''
        out[#out + 1] = '## ' .. c.name
        out[#out + 1] = ''
        out[#out + 1] = '    ' .. c.usage
        out[#out + 1] = ''
        out[#out + 1] = ('Level %s: %s.'):format(c.level, escape(c.help))
        table_of(out, 'argument', c.arguments)
        table_of(out, 'column', c.columns)
    end
    return table.concat(out, '\n') .. '\n'
end

return admin
