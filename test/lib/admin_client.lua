-- A client of a server's console that speaks admin commands, for functional tests.
--
--     local c = admin.connect(path)
--     c:ask('show info')             -- the answer's text, without the empty line
--     c:json('show workers')         -- what it is in JSON
--     c:ask_all('a; b', 2)           -- the answers of several
--     c.peer                         -- of raw.lua
local json = require('json')
local raw = require('raw')

local admin, client = {}, {}
client.__index = client

--- A session of @peer, which speaks nothing else.
function admin.session(peer)
    return setmetatable({ peer = peer, text = '' }, client)
end

--- A session in the admin language; @options as raw.connect() has them.
function admin.connect(path, options)
    local self = admin.session(assert(raw.connect(path, options)))
    self.peer:read("for help\n")
    self.peer:send('\\set language admin\n')
    self.peer:read('...\n')
    return self
end

--- The next answer: all up to an empty line, which stays out; nil at the end of all.
function client:answer()
    while true do
        if self.text:sub(1, 1) == '\n' then
            self.text = self.text:sub(2)
            return ''
        end
        local stop = self.text:find('\n\n', 1, true)
        if stop then
            local answer = self.text:sub(1, stop)
            self.text = self.text:sub(stop + 2)
            return answer
        end
        local more, ended = self.peer:read('\n')
        self.text = self.text .. more
        if ended and more == '' then
            return nil
        end
    end
end

function client:ask_all(line, count)
    self.peer:send(line .. '\n')
    local answers = {}
    for i = 1, count do
        answers[i] = self:answer()
    end
    return answers
end

function client:ask(line)
    return self:ask_all(line, 1)[1]
end

function client:json(line)
    local text = self:ask(line .. ' json')
    local ok, value = pcall(json.decode, text)
    if not ok then
        error(('%s: no JSON: %s'):format(line, text), 2)
    end
    return value
end

function client:close()
    self.peer:close()
end

return admin
