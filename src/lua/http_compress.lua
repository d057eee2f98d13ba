-- Answers of the module `http.server` made smaller, for who accepts it.
local c, request = ...

local usage = c.usage

local M = {}

local PIECE = 65536 -- of a chunk, encoded and sent at once
local NAMES = { b = 'br', z = 'zstd', g = 'gzip' }
local MIN_SIZE = 1024

-- What is text, besides "text/": the rest is compressed already, or not worth it.
local kinds = {
    ['application/json'] = true, ['application/javascript'] = true,
    ['application/xml'] = true, ['application/wasm'] = true,
    ['application/x-ndjson'] = true, ['application/yaml'] = true,
    ['application/vnd.ms-fontobject'] = true, ['font/ttf'] = true,
    ['font/otf'] = true, ['image/bmp'] = true, ['image/x-icon'] = true,
}

local function is_compressible(kind, types)
    kind = kind:lower():match('^%s*([^;%s]+)') or ''
    if types then
        return types[kind] or types[kind:match('^[^/]*') .. '/*'] or false
    elseif kind == 'text/event-stream' then
        return false -- its writer decides
    end
    return kinds[kind] or kind:find('^text/') or kind:find('+json$') or
        kind:find('+xml$')
end

-- What the option `compress` says, checked: nil, or a table.
function M.options(value, who)
    if not value then
        return nil
    elseif value == true then
        value = {}
    elseif type(value) ~= 'table' then
        usage(who .. ': compress is a boolean or a table')
    end
    local out = { level = 5, min_size = MIN_SIZE, codings = 'bzg' }
    for name, v in pairs(value) do
        if name == 'level' and type(v) == 'number' and v >= 1 and v <= 9 or
           name == 'min_size' and type(v) == 'number' and v >= 0 then
            out[name] = math.floor(v)
        elseif name == 'types' and type(v) == 'table' then
            out.types = {}
            for _, kind in ipairs(v) do
                out.types[tostring(kind):lower()] = true
            end
        elseif (name == 'brotli' or name == 'zstd') and type(v) == 'boolean' then
            if not v then
                out.codings = out.codings:gsub(name:sub(1, 1), '')
            end
        else
            usage(('%s: compress = {level= (1 to 9), min_size=, types=, '
                .. 'brotli=, zstd=} is wanted, not %s = %s'):format(who,
                tostring(name), tostring(v)))
        end
    end
    return out
end

local function encode(encoder, text, last)
    local ok, out = c.encode(encoder, text, last)
    if ok ~= true then
        c.file_failed(ok)
    end
    return out
end

-- What @gen gives, encoded: each chunk can be read when it has come.
local function stream(encoder, gen, param, state)
    local ended = false
    return function()
        while not ended do
            local next_state, chunk = gen(param, state)
            if next_state == nil then
                ended = true
                return encode(encoder, '', true)
            elseif chunk == nil then
                chunk = next_state
            end
            state = next_state
            if type(chunk) ~= 'string' and type(chunk) ~= 'number' then
                return chunk -- which the caller refuses
            end
            chunk = tostring(chunk)
            if chunk ~= '' then
                return encode(encoder, chunk, false)
            end
        end
    end
end

-- The fields by small names; nil when there is a reason not to touch the body.
-- @part: it is one of a thing that other answers may be encoded of.
local function fields_of(headers, part)
    local out = {}
    for name, value in pairs(headers or {}) do
        if type(name) ~= 'string' then
            return nil
        end
        out[name:lower()] = value
    end
    local control = out['cache-control']
    if out['content-encoding'] ~= nil or
       out['content-range'] ~= nil and not part or
       type(control) == 'string' and control:lower():find('no-transform',
           1, true) then
        return nil
    end
    return out
end

local function add_vary(fields)
    local vary = fields.vary
    if vary == nil then
        fields.vary = 'Accept-Encoding'
    elseif type(vary) == 'string' and vary ~= '*' and
           not vary:lower():find('accept-encoding', 1, true) then
        fields.vary = vary .. ', Accept-Encoding'
    end
end

-- The body as a string, or what gives its chunks; nil: neither.
local function body_of(body, fields)
    if type(body) == 'string' or type(body) == 'number' then
        return tostring(body)
    elseif type(body) == 'function' then
        return nil, body
    elseif type(body) ~= 'table' then
        return nil
    end
    local ok, text = pcall(request.encode, body)
    if ok then
        fields['content-type'] = fields['content-type'] or
            'application/json; charset=utf-8'
        return text
    elseif type(body.gen) == 'function' then
        return nil, body.gen, body.param, body.state
    end
end

-- Those of the route, or else of the server.
function M.options_of(httpd, route)
    if route and route.compress ~= nil then
        return route.compress
    end
    return httpd.compress
end

-- The coding that @req's peer likes best, as a letter, or ''.
local function coding_of(req, options)
    return c.accepts(req:header('accept-encoding') or '', options.codings)
        :sub(1, 1)
end

-- Other bytes, the same meaning.
local function weaken(fields)
    if type(fields.etag) == 'string' and fields.etag:sub(1, 2) ~= 'W/' then
        fields.etag = 'W/' .. fields.etag
    end
end

-- An encoder that @req's peer likes, and what becomes of @fields by it; nil: none.
-- HEAD gets the fields alone: those of GET.
local function choose(req, fields, options)
    add_vary(fields)
    local coding, encoder, why = coding_of(req, options), nil, nil
    if coding == '' then
        return nil
    elseif req.method ~= 'HEAD' then
        encoder, why = c.encoder(coding, options.level)
        if encoder == nil then
            error('compress: ' .. why, 0)
        end
    end
    fields['content-encoding'] = NAMES[coding]
    fields['content-length'], fields['accept-ranges'] = nil, nil
    weaken(fields)
    return encoder
end

local function has_whole_body(status)
    return status ~= 204 and status ~= 206 and status ~= 304
end

-- The @headers of an answer 304 or 206: they say, too, that Accept-Encoding has a
-- say, and a 304 has the tag that 200 would have. A part is one of the body as it is.
-- Of a 304 it is not known what type the body would have; a peer that has the strong
-- tag alone got the body as it is.
local function partial_fields(req, status, headers, options)
    local fields = fields_of(headers, true)
    local kind = fields and fields['content-type']
    if not fields or type(kind) == 'string' and not kind:find('^multipart/') and
       not is_compressible(kind, options.types) then
        return headers
    end
    add_vary(fields)
    local etag, had = fields.etag, req:header('if-none-match') or ''
    if status == 304 and type(etag) == 'string' and
       coding_of(req, options) ~= '' and (had:find('W/' .. etag, 1, true) or
           not had:find(etag, 1, true)) then
        weaken(fields)
    end
    return fields
end

local function no_body()
end

-- The answer @resp of a handler to @req, with its body encoded if that may be
-- and the peer likes it.
function M.apply(req, resp, options, text_type)
    local whole = type(resp) == 'table' and resp or { body = resp }
    local status = whole.status or 200
    if type(whole.headers or {}) ~= 'table' or request.stray(whole) then
        return resp -- which is refused
    elseif status == 304 or status == 206 then
        return { status = status, body = whole.body, trailers = whole.trailers,
                 headers = partial_fields(req, status, whole.headers, options) }
    end
    local fields = fields_of(whole.headers)
    if whole.body == nil or not fields or not has_whole_body(status) then
        return resp
    end
    local text, gen, param, state = body_of(whole.body, fields)
    local kind = fields['content-type'] or text_type
    if text == nil and gen == nil or text and #text < options.min_size or
       type(kind) ~= 'string' or not is_compressible(kind, options.types) then
        return resp
    end
    fields['content-type'] = kind
    local out = { status = status, headers = fields, body = text or whole.body,
                  trailers = whole.trailers }
    local encoder = choose(req, fields, options)
    if encoder == nil then
        if fields['content-encoding'] then
            out.body = no_body -- its length is not that of this text
        end
        return out
    end
    if text then
        out.body = encode(encoder, text, true)
    else
        out.body = stream(encoder, gen, param, state)
    end
    return out
end

-- --- answers by a writer ---

-- The fields of an answer to @req that a writer sends, and its encoder, if there is
-- one. @wanted is what the handler says of it: nil: as the route, or the server.
function M.begin(req, status, headers, wanted, text_type)
    local options = wanted
    if wanted == nil or wanted == true then
        options = M.options_of(req.httpd, req.route)
    end
    if wanted then
        options = wanted == true and options or M.options(wanted, 'req:stream')
    end
    if options and (status == 304 or status == 206) then
        return partial_fields(req, status, headers, options)
    end
    local fields = options and has_whole_body(status) and fields_of(headers)
    local kind = fields and (fields['content-type'] or text_type)
    if type(kind) ~= 'string' or
       not wanted and not is_compressible(kind, options.types) then
        return headers
    end
    fields['content-type'] = kind
    return fields, choose(req, fields, options)
end

local function pour(writer, chunk, last)
    local at, size = 1, #chunk
    repeat
        local piece = size > PIECE and chunk:sub(at, at + PIECE - 1) or chunk
        at = at + PIECE
        local ok, err = request.write(writer.req,
            encode(writer.encoder, piece, last and at > size))
        if not ok then
            return nil, err
        end
    until at > size
    return true
end

-- Send @chunk, encoded; @last: and the end. Writers take turns, and after one that has
-- not sent all of its own there is nothing to go on with. True, or nil and an error.
function M.write(writer, chunk, last)
    while writer.writing do
        writer.turn:wait()
    end
    if writer.encoder == nil then
        return c.write(writer.req, '', 1) -- it has ended
    elseif chunk == '' and not last then
        return request.write(writer.req, '')
    end
    writer.writing = true
    local done, ok, err = pcall(pour, writer, chunk, last)
    writer.writing = false
    writer.turn:signal()
    if last or not (done and ok) then
        c.release(writer.encoder)
        writer.encoder = nil
    end
    if not done then
        request.abort(writer.req)
        error(ok, 0)
    end
    return ok, err
end

request.compress = M

return M
