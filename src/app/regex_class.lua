-- A part of the module `core`: the class Regex of scripts.
local c = ...

local args = require('neap.args')

local setmetatable = setmetatable

local Regex, regex = {}, {}
local regex_mt = args.class('Regex', regex)

--- Regex.new(pattern, [case_sensitive]) -> true, regex | false, string
-- Compile the @pattern, of the syntax of PCRE2, over bytes.
-- With false for @case_sensitive small and capital letters are the same. The second
-- result is what is wrong when the first is false. Yields: no.
function Regex.new(pattern, case_sensitive)
    pattern = args.text(pattern, 1, 'new')
    local box, err = c.new(pattern, case_sensitive == false)
    if box == nil then
        return false, err
    end
    return true, setmetatable({ box }, regex_mt)
end

--- regex:exec(text) -> boolean, [string]
-- Whether it is found in @text. A search has a limit of what it does, wherever in the text
-- it begins: one that reaches it is false, and a string that says so. Yields: no.
function regex:exec(text)
    args.object(self, regex_mt, 'exec')
    return c.match(self[1], args.text(text, 1, 'exec'), false)
end

--- regex:match(text) -> boolean, table | string
-- The same, and with what was found in @text: an array of the whole and of up to 63
-- groups; one that took no part is an empty string. Yields: no.
function regex:match(text)
    args.object(self, regex_mt, 'match')
    return c.match(self[1], args.text(text, 1, 'match'), true)
end

return Regex
