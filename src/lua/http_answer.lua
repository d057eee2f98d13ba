-- What a handler of `http.server` gives becomes an answer; or it is told that it cannot.
local c, request = ...

local type, error, pcall = type, error, pcall
local reply, write, encode = request.reply, request.write, request.encode
local finish = request.finish

local JSON = 'application/json; charset=utf-8'

local function place_of(f)
    local info = debug.getinfo(f, 'S')
    return ('%s:%d'):format(info.short_src, info.linedefined)
end

local function bad_response(handler, what)
    error(('the handler at %s %s'):format(place_of(handler), what), 0)
end

-- Answer with what @gen(param, state) gives until it gives nil: chunks, or, as
-- iterators do, a new state and a chunk. Nil and a text: it cannot be sent.
local function generate(req, resp, kind, gen, param, state)
    local ok, why = c.begin(req, resp.status or 200, resp.headers, nil, kind)
    if not ok or req.method == 'HEAD' then
        return ok, why
    end
    while true do
        local next_state, chunk = gen(param, state)
        if next_state == nil then
            break
        elseif chunk == nil then
            chunk = next_state
        end
        state = next_state
        if type(chunk) ~= 'string' and type(chunk) ~= 'number' then
            return nil, ('a chunk that is a %s: a string is wanted')
                :format(type(chunk))
        elseif not write(req, tostring(chunk)) then
            return false
        end
    end
    local trailers = resp.trailers
    if type(trailers) == 'function' then
        trailers = trailers()
    end
    if trailers ~= nil and type(trailers) ~= 'table' then
        return nil, 'trailers that are no table'
    end
    ok, why = c.finish(req, trailers)
    if ok == false then
        return nil, why
    end
    return ok or false
end

-- As an iterator: a body that is there.
local function text_once(text, is_over)
    if is_over or text == '' then
        return nil
    end
    return true, text
end

-- Answer with what an iterator gives, which @resp.body stands for; or with @text,
-- as one piece, in front of its trailers.
local function pour(req, handler, resp, kind, text)
    local gen, param, state = resp.body, nil, nil
    local stray = request.stray(resp)
    if stray then
        bad_response(handler, ("returned a response with '%s', which it cannot have")
            :format(stray))
    elseif text then
        gen, param = text_once, text
    elseif type(gen) == 'table' then
        gen, param, state = gen.gen, gen.param, gen.state
    elseif type(gen) ~= 'function' then
        bad_response(handler, ('returned a response whose body is a %s: a '
            .. 'string, a table or a function is wanted'):format(type(gen)))
    end
    local done, why = generate(req, resp, kind, gen, param, state)
    if done == nil then
        bad_response(handler, 'returned what cannot be sent: ' .. why)
    end
    reply(req, 200) -- the end, unless it has come
end

-- answer(server, req, handler, response) -> status: answer with what the handler gave.
return function(self, req, handler, resp)
    local status, headers, body, kind = 200, nil, resp, self.text_type
    if type(resp) == 'table' then
        status, headers, body = resp.status or 200, resp.headers, resp.body
        if type(body) == 'table' then
            local ok, text = pcall(encode, body)
            if ok then
                body, kind = text, JSON
            elseif type(body.gen) ~= 'function' then
                bad_response(handler, 'returned a body that cannot be JSON: '
                    .. tostring(text))
            end
        end
        if type(status) ~= 'number' or status % 1 ~= 0 then
            bad_response(handler, 'returned a response whose status is no '
                .. 'whole number')
        end
        if headers ~= nil and type(headers) ~= 'table' then
            bad_response(handler, 'returned a response whose headers are no '
                .. 'table')
        end
        if body ~= nil and type(body) ~= 'string' and
           type(body) ~= 'number' then
            pour(req, handler, resp, kind)
            return status
        end
    elseif resp == nil then
        finish(req)
    elseif type(resp) ~= 'string' then
        bad_response(handler, ('returned a %s: a response table, a string or '
            .. 'nothing is wanted'):format(type(resp)))
    end
    local done, why = reply(req, status, headers, body, kind, resp)
    if done == nil and why == nil then
        pour(req, handler, resp, kind, tostring(body or ''))
    elseif done == nil then
        bad_response(handler, 'returned what cannot be sent: ' .. why)
    end
    return status
end
