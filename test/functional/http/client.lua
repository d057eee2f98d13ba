-- The client of those tests: `neap client.lua PATH TARGET [COUNT]` asks COUNT
-- times at once and prints the status and body of each answer; "cut" where none
-- came. With "wait" for a TARGET it waits until somebody listens.
local fiber = require('fiber')
local raw = require('raw')

local path, target, count = arg[1], arg[2], tonumber(arg[3] or 1)

if target == 'wait' then
    raw.until_true(function()
        local peer = raw.connect(path)
        if peer then
            peer:close()
        end
        return peer ~= nil
    end)
    os.exit(0)
end

local peers = {}
for i = 1, count do
    peers[i] = assert(raw.connect(path))
    peers[i]:send(('GET %s HTTP/1.1\r\nHost: a\r\n\r\n'):format(target))
end
print('asked')
io.stdout:flush()
for i = 1, count do
    local text = ''
    repeat
        local more, ended = peers[i]:read('\r\n\r\n')
        text = text .. more
        local length = text:match('Content%-Length: (%d+)')
        local body = text:match('\r\n\r\n(.*)$')
    until ended or length and body and #body >= tonumber(length)
    local answer = raw.parse(text)
    print(answer.status and answer.status .. ' ' ..
        answer.body:gsub('%s+$', '') or 'cut')
    peers[i]:close()
end
