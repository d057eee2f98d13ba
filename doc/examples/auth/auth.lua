-- Who a request is from, asked of another server: for server.yaml beside this.
local url = ...

-- Many requests come with the same token: what is known of one is kept for a while. The
-- dictionary is of all workers, and has a limit.
local known = require('shared').dict('tokens', { size = 1048576 })
local SECONDS = 30

local function user_of(token)
    local user = known:get(token)
    if user then
        return user
    end
    -- The request waits here, and others are served meanwhile.
    local answer = core.httpclient():get({
        url = url, timeout = 2000,
        headers = { authorization = { token } },
    })
    if answer.status == 200 then
        user = answer.body
        known:set(token, user, SECONDS)
        return user
    elseif answer.status ~= 401 then
        -- An error, which is logged: the rule says what becomes of the request.
        error(('%s: %s'):format(url, answer.error or answer.status))
    end
end

core.register_action('auth', { 'http-req' }, function(txn)
    local token = txn.f:req_hdr('authorization')
    local user = token and user_of(token)
    if not user then
        txn:done(txn:reply({
            status = 401, body = 'who are you?\n',
            headers = { ['www-authenticate'] = { 'Bearer' } },
        }))
    end
    txn:set_var('txn.user', user)
end)
