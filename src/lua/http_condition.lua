-- Requests of the module `http.server` that want a part, or only what is new.
local c, request, _, static = ...

local usage = c.usage
local methods = request.methods

-- A tag as it is sent: quotes are put around what has none.
local function tag_of(etag, who)
    if etag == nil then
        return nil
    elseif type(etag) ~= 'string' then
        usage(('%s: etag is a string, not %s'):format(who, type(etag)))
    elseif not c.is_etag(etag) then
        etag = '"' .. etag .. '"'
        if not c.is_etag(etag) then
            usage(who .. ': etag has a quote, a blank or a control in it')
        end
    end
    return etag
end

-- Seconds since 1970 of a number or a date's text.
local function seconds_of(value, who)
    if value == nil or type(value) == 'number' then
        return value and math.floor(value)
    end
    local seconds = type(value) == 'string' and c.parse_date(value)
    if not seconds then
        usage(who .. ': last_modified is a number of seconds, or a date as '
            .. '"Sun, 06 Nov 1994 08:49:37 GMT"')
    end
    return seconds
end

--- req:not_modified(what) -> response | nil, headers
-- @what is `{etag=, last_modified=}`. What to return when the peer has what it asks for already, 304, or when it must
-- not be done, 412; nil: answer as ever, and send @headers, the two fields, with
-- it. `etag` names a state of the thing ("W/" in front: two that are as good as
-- the same); quotes are put around it. `last_modified` is in seconds, or a date.
--
--     local resp, headers = req:not_modified{etag = version}
--     return resp or {headers = headers, body = expensive()}
--
-- Yields: no. Throws: what is no tag or no date.
function methods:not_modified(what)
    local who = 'req:not_modified{etag=, last_modified=}'
    if type(what) ~= 'table' then
        usage(who .. ': a table is wanted')
    end
    local etag = tag_of(what.etag, who)
    local seconds = seconds_of(what.last_modified, who)
    local headers = {
        etag = etag,
        ['last-modified'] = seconds and c.date(seconds),
    }
    local status = c.condition(self, etag, seconds)
    if status ~= nil then
        return { status = status, headers = headers }
    end
    return nil, headers
end

--- req:partial(response) -> response
-- @response, whose body is a string, or of it what the peer wants: the ranges it
-- asks for (206, or 416 when they are not there), 304 or 412 by the fields `etag` and
-- `last-modified` among its headers. Other answers than 200 stay as they are.
-- Yields: no. Throws: the body is no string; what is no tag or no date.
function methods:partial(resp)
    local who = 'req:partial(response)'
    if type(resp) ~= 'table' or type(resp.body) ~= 'string' then
        usage(who .. ': a response whose body is a string is wanted')
    elseif request.stray(resp) then
        usage(("%s: there is no '%s' of a response"):format(who, request.stray(resp)))
    elseif (resp.status or 200) ~= 200 then
        return resp
    end
    local headers = {}
    for name, value in pairs(resp.headers or {}) do
        headers[type(name) == 'string' and name:lower() or name] = value
    end
    local etag = tag_of(headers.etag, who)
    local seconds = seconds_of(headers['last-modified'], who)
    headers.etag = etag
    headers['last-modified'] = seconds and c.date(seconds)
    local status = c.condition(self, etag, seconds)
    if status ~= nil then
        headers['content-type'] = nil
        return self:response({ status = status, headers = headers })
    end
    local body, size = resp.body, #resp.body
    local list = c.ranges(self, size, etag, seconds)
    headers['accept-ranges'] = 'bytes'
    if list == false then
        headers['content-type'] = nil
        headers['content-range'] = ('bytes */%d'):format(size)
        return self:response({ status = 416, headers = headers })
    elseif list then
        headers['content-type'] = headers['content-type'] or
            self.httpd.text_type
        body = static.cut(body, (static.parts(list, size, headers)))
    end
    return self:response({ status = list and 206 or 200, headers = headers,
                           body = body, trailers = not list and resp.trailers or nil })
end
