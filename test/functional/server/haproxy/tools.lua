-- What `core` has besides: text, addresses, dates, regular expressions, the log.
local function show(value)
    if type(value) ~= 'table' then
        return tostring(value)
    end
    local out = {}
    for i, v in ipairs(value) do
        out[i] = tostring(v)
    end
    return '{' .. table.concat(out, ',') .. '}'
end

core.register_service('tools', 'http', function(applet)
    local out = {}
    local function say(name, value)
        out[#out + 1] = name .. ' ' .. show(value)
    end
    say('tokenize', core.tokenize('a;b,,c', ';,'))
    say('skip', core.tokenize('a;b,,c', ';,', true))
    local whole = core.concat()
    whole:add('one')
    whole:add(' two')
    say('concat', whole:dump())
    local net = core.parse_addr('10.1.0.0/16')
    say('in', core.match_addr(core.parse_addr('10.1.2.3'), net))
    say('out', core.match_addr(core.parse_addr('10.2.2.3'), net))
    say('none', core.parse_addr('ten'))
    say('date', core.http_date('Sun, 06 Nov 1994 08:49:37 GMT'))
    say('rfc850', core.rfc850_date('Sunday, 06-Nov-94 08:49:37 GMT'))
    say('asctime', core.asctime_date('Sun Nov  6 08:49:37 1994'))
    local now = core.now()
    say('now', now.sec > 1500000000 and now.usec >= 0 and now.usec < 1000000)
    local ok, regex = Regex.new('(a+)(b*)', false)
    say('regex', ok)
    say('exec', regex:exec('xxAAbyy'))
    local found, parts = regex:match('xxAAbyy')
    say('match', found)
    say('parts', parts)
    local bad, why = Regex.new('(', true)
    say('bad', bad == false and type(why) == 'string')
    say('info', type(core.get_info()) == 'table' and core.get_info().Name ~= nil)
    say('levels', { core.emerg, core.alert, core.crit, core.err, core.warning,
                    core.notice, core.info, core.debug })
    say('act', { act.CONTINUE, act.STOP, act.YIELD, act.ERROR, act.DONE, act.DENY,
                 act.ABORT, act.INVALID })
    core.log(core.info, 'from the tools')
    core.Debug('quietly')
    core.Info('aloud')
    local text = table.concat(out, '\n') .. '\n'
    applet:set_status(200)
    applet:add_header('content-length', #text)
    applet:start_response()
    applet:send(text)
end)
