-- The page of expressions: what fetches and converters there are, of what the program
-- itself declares (neap.sample).
local sample = require('neap.sample')
local sample_args = require('neap.sample_args')

local expressions = {}

local INTRO = [[
# Expressions, conditions, templates

What the rules of a configured server compute with. Names and behaviour are those of
HAProxy's manual; the differences are told below. All is checked when the rules are
compiled: an error names the text, the column in it and what is expected.

## Expressions

    path,lower
    req.hdr(x-forwarded-for,1),ipmask(24)
    req.cook(session),lua.my-hash(salt)
    str('a,b'),field(2,',')

A *fetch* gives a value, each *converter* behind a comma makes another one of it; when
one gives nothing, the expression has no value. Arguments are separated by commas. They may
be quoted, in part or whole, with `'` or `"`; outside of `'` a backslash stands before a
quote, a space and itself, and for `\n`, `\r` and `\t`. `lua.name(..)` is what a script has
registered; its arguments are texts. At most 16,384 bytes, 32 converters, 12 arguments.

Values are texts, integers, booleans, addresses and bytes. What a converter wants is made of
what it gets: a text is read as an integer by its first digits, an empty one is none; true is 1;
an address is 4 or 16 bytes for who wants bytes, and an integer is 8. Scripts get
addresses and bytes as strings. Integers have 64 bits and stop at their ends; one beyond
2^53 leaves an expression as its decimal digits, for a number of Lua cannot hold it.

## Conditions

    path begins '/api' and not (src in (10.0.0.0/8, ::1) or req.hdr(x) == a)
    { path -m beg /api /v2 } !{ src 10.0.0.0/8 } || METH_POST

Tests are joined by `and`, `or`, `not` (or `&&`, `||`, `!`) and parentheses; what is
decided is not looked at further. A test is

- an expression alone: true, an integer but 0, a text that is not empty;
- an expression, `==` `!=` `<` `<=` `>` `>=` `begins` `ends` `contains` `matches` (a regular
  expression), and a value: a word, or quoted. Addresses are compared with
  addresses and networks, `<` and its kin are of integers. Of a header field it is the last
  value. With no value each test is false, and `!=` true;
- an expression, `in` and a list in parentheses, or one value;
- HAProxy's form between braces, its words separated and quoted as in its
  configuration: `{ EXPR [-i] [-m METHOD] [-f FILE] [--] PATTERN.. }`. It is true when any of the
  values matches any of the patterns. Methods: `str`, `beg`, `end`, `sub`, `dir`, `dom`,
  `reg`, `len`, `int` (with `eq`, `ge`, `gt`, `le`, `lt`, and ranges as `1:5`), `ip`, `bin`,
  `bool`, `found`. `path_beg` stands for `path -m beg`, and so on;
- a name that HAProxy has declared: `TRUE`, `METH_GET`, `HTTP_1.1`, `LOCALHOST`, ..

A regular expression that takes too many steps does not match.

## Templates

    %[src] "%HM %HU" %ST %{+Q}[req.hdr(user-agent)]

Text with `%[expression]`, HAProxy's names of log fields (below), and `%%` for a percent sign. What has
no value is nothing. In a log format it is `-`, and nobody forges a line or ends a text in quotes: control
characters, `"`, `\` and `#` of values are shown as `#0A`, `#22`, `#5C` and `#23`. With `%{+E}`, or behind the
converter `json`, which escape in their own way, only control characters are.
Flags stand before: `%{+Q}` quotes, `%{+E}` escapes `"`, `\` and `]`, `%{+X}` is
hexadecimal, and `%{+J}`, which HAProxy has not, is JSON. `%{+Q}o` sets them for all that
follow.
]]

local DIFFERENCES = [[

## What is other than in HAProxy

- Header fields of a connection (`Connection`) are there, as they were sent. Names are in
  small letters.
- A missing argument that is wanted, a pattern that is missing between braces, and flags nobody
  knows are refused.
- A text may have a zero byte, and does not end there.
- `json_query` reads escapes in texts; with `int` a text that is no integer is nothing.
- `thread` counts from 1; 0 is the shared state.
- `set-var` and `unset-var` know the scopes `proc`, `sess`, `txn`, `req` and `res`, and no `check`.
- There are no stick tables, backends, captures, user lists, buffers, MQTT, FIX and protocol
  buffers, and no variables in file names; what needs them is refused, and says so.
]]

local function escape(text)
    return (text:gsub('[|<>]', { ['|'] = '\\|', ['<'] = '&lt;', ['>'] = '&gt;' }))
end

-- {{name, declaration}..}: each once, by its first name, sorted.
local function sorted(known)
    local aliases, names = {}, {}
    for _, decl in pairs(known) do
        for _, name in ipairs(decl.also or {}) do
            aliases[name] = true
        end
    end
    for name in pairs(known) do
        if not aliases[name] then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

local function name_cell(name, decl)
    local text = '`' .. sample_args.usage(name, decl) .. '`'
    for _, other in ipairs(decl.also or {}) do
        text = text .. ', `' .. other .. '`'
    end
    return text
end

local function fetch_rows(out)
    out[#out + 1] = '\n## Fetches\n'
    out[#out + 1] = 'Those marked *http* need HTTP, those marked *answer* are there in rules '
        .. 'of answers and log formats.\n'
    out[#out + 1] = '| | type | where | |\n|---|---|---|---|'
    for _, name in ipairs(sorted(sample.fetches)) do
        local decl = sample.fetches[name]
        local where = decl.needs == 'response' and 'answer'
            or decl.needs == 'request' and 'http' or ''
        out[#out + 1] = ('| %s | %s | %s | %s |'):format(name_cell(name, decl), decl.out,
            where, escape(decl.doc))
    end
end

local function converter_rows(out)
    out[#out + 1] = '\n## Converters\n'
    out[#out + 1] = '| | of | gives | |\n|---|---|---|---|'
    for _, name in ipairs(sorted(sample.converters)) do
        local decl = sample.converters[name]
        out[#out + 1] = ('| %s | %s | %s | %s |'):format(name_cell(name, decl), decl.from,
            decl.out == 'same' and 'the same' or decl.out, escape(decl.doc))
    end
end

local function field_rows(out)
    local fields, names = require('neap.template').fields, {}
    for name in pairs(fields) do
        names[#names + 1] = name
    end
    table.sort(names)
    out[#out + 1] = '\n## Log fields\n'
    out[#out + 1] = 'As HAProxy has them; those that are an expression:\n'
    out[#out + 1] = '| | |\n|---|---|'
    local others = {}
    for _, name in ipairs(names) do
        if type(fields[name]) == 'string' then
            out[#out + 1] = ('| `%%%s` | `%s` |'):format(name, fields[name])
        else
            others[#others + 1] = '`%' .. name .. '`'
        end
    end
    out[#out + 1] = '\nand ' .. table.concat(others, ', ') .. '.'
end

function expressions.page()
    local out = {
        '<!-- Made by doc/tools/reference/generate.lua from the declarations of the',
        '     fetches and converters: change those, then run it. -->', '', (INTRO:gsub('\n$', '')),
    }
    fetch_rows(out)
    converter_rows(out)
    field_rows(out)
    out[#out + 1] = (DIFFERENCES:gsub('\n$', ''))
    return table.concat(out, '\n') .. '\n'
end

return expressions
