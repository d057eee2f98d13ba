-- Files of `http.server`: what httpd:static() serves.
--
-- A file is opened by a thread of the pool, a small one is read there, too; a
-- large one is sent by the kernel, turn by turn, between which the others have
-- theirs. Few stay open: the one that was not looked at for the longest time is
-- shut, and opened again for its next turn, so that slow readers cannot use up
-- the descriptors.
local c, request, router = ...

local usage, c_send, c_wait = c.usage, c.send_file, c.wait_sent
local date, ranges_of, condition_of = c.date, c.ranges, c.condition
local write, abort = request.write, request.abort

local M = {}

local MOST_JOBS = 32 -- on threads at once; each has two descriptors

-- --- work on threads, bounded ---

local jobs, free = 0, nil

local function leave(ok, ...)
    jobs = jobs - 1
    if free then
        free:signal()
    end
    if not ok then
        error((...), 0)
    end
    return ...
end

local function settle(ok, ...)
    if ok ~= true then
        c.file_failed(ok)
    end
    return ...
end

local function settled(f, ...)
    return settle(f(...))
end

local function work(f, ...)
    while jobs >= MOST_JOBS do
        free = free or require('fiber').cond()
        local ok, err = pcall(free.wait, free)
        if not ok then
            free:signal() -- it may have been meant for this one
            error(err, 0)
        end
    end
    jobs = jobs + 1
    return leave(pcall(settled, f, ...))
end

-- --- files that are open, the least recently used first ---

local ring = {}
ring.next, ring.prev = ring, ring
local count, most = 0, nil

local function take_out(entry)
    if entry.next then
        entry.prev.next, entry.next.prev = entry.next, entry.prev
        entry.next, entry.prev = nil, nil
        count = count - 1
    end
end

local function put_in(entry)
    entry.prev, entry.next = ring.prev, ring
    ring.prev.next, ring.prev = entry, entry
    count = count + 1
end

-- One that is at work on a thread is not shut: it would stay open anyway.
local function note(entry)
    take_out(entry)
    put_in(entry)
    most = most or c.open_max()
    local old = ring.next
    while count > most and old ~= ring do
        local after = old.next
        if not old.busy and old ~= entry then
            take_out(old)
            c.shut(old.file)
        end
        old = after
    end
end

local function drop(entry)
    take_out(entry)
    c.shut(entry.file)
end

local function look(self, path, encodings, contents)
    return work(c.open, self.folder, path, self.links, encodings, contents)
end

-- Open what was shut. False: it is not there any more, or another one.
local function open_again(entry)
    local what, _, _, _, _, file = look(entry.self, entry.path, '', false)
    if what ~= 'file' or not c.adopt(entry.file, file) then
        return what == 'busy'
    end
    note(entry)
    return true
end

local function fetch(entry, offset, size, keep)
    note(entry)
    entry.busy = true
    local whole, text = work(c.fetch, entry.file, offset, size, keep)
    entry.busy = false
    return whole, text
end

local function wait(req, total)
    local status = c_wait(req, total)
    if status ~= 0 then
        c.failed(status)
    end
end

-- Send @size bytes of the file. Nil, or why that did not go.
local function send_part(req, entry, offset, size)
    local fetched, total = false, c.total()
    while size > 0 do
        local n, what = c_send(req, entry.file, offset, size, fetched)
        fetched = false
        if n then
            offset, size = offset + n, size - n
            if size > 0 then
                wait(req, total)
            end
        elseif what == 'wait' then
            wait(req, total)
        elseif what == 'fetch' then
            if not fetch(entry, offset, size, false) then
                return 'short'
            end
            fetched = true
        elseif what == 'open' then
            if not open_again(entry) then
                return 'short'
            end
        elseif what == 'read' then
            local whole, text = fetch(entry, offset, size, true)
            if not whole then
                return 'short'
            elseif not write(req, text) then
                return 'gone'
            end
            offset, size = offset + #text, size - #text
        else
            return what
        end
    end
end

local function send_parts(req, entry, parts)
    for _, part in ipairs(parts) do
        if part.text and not write(req, part.text) then
            return 'gone'
        end
        local what = part.size and send_part(req, entry, part.start, part.size)
        if what then
            return what
        end
    end
end

-- The same by @out, which looks at what is sent.
local function pour_part(out, entry, offset, size)
    while size > 0 do
        if entry.next == nil then
            if not open_again(entry) then
                return 'short'
            end
        else
            local whole, text = fetch(entry, offset, size, true)
            if not whole then
                return 'short'
            elseif not out:write(text) then
                return 'gone'
            end
            offset, size = offset + #text, size - #text
        end
    end
end

local function pour_parts(out, entry, parts)
    for _, part in ipairs(parts) do
        if part.text and not out:write(part.text) then
            return 'gone'
        end
        local what = part.size and pour_part(out, entry, part.start, part.size)
        if what then
            return what
        end
    end
    if not out:finish() then
        return 'gone'
    end
end

-- Send the head and, of the file, @parts. Nil, or why that did not go.
local function send_all(req, entry, status, headers, parts, size)
    note(entry)
    headers['content-length'] = ('%d'):format(size)
    local on_head, wrap = req._on_head, nil -- as in req:stream()
    if on_head then
        status, headers, wrap = on_head(status, headers)
    end
    if not c.begin(req, status, headers, nil, headers['content-type']) then
        return nil
    end
    req._streamed = { status = status, headers = headers }
    if req.method == 'HEAD' then
        return nil
    elseif wrap then
        return pour_parts(wrap(request.writer(req)), entry, parts)
    end
    return send_parts(req, entry, parts)
end

-- The same. What was promised and cannot be sent is seen by the peer as an end before
-- the end.
local function send(req, entry, ...)
    local ok, what = pcall(send_all, req, entry, ...)
    drop(entry)
    if not ok then
        error(what, 0)
    elseif what then
        if what ~= 'gone' then
            c.warn(('%s: %s/%s is not what it was when it was begun to be '
                .. 'sent: the connection is cut'):format(req:request_line(),
                entry.self.folder, entry.path))
        end
        abort(req)
    end
end

-- --- what is sent ---

-- The parts of an answer to @list = {start, size, ...} of a thing of @total
-- bytes; changes @headers. Returns them and the bytes of all.
function M.parts(list, total, headers)
    if #list == 2 then
        headers['content-range'] = ('bytes %d-%d/%d'):format(list[1],
            list[1] + list[2] - 1, total)
        return { { start = list[1], size = list[2] } }, list[2]
    end
    local boundary = ('%08x%08x'):format(math.random(0, 2 ^ 31),
        math.random(0, 2 ^ 31))
    local kind, parts, size = headers['content-type'], {}, 0
    for i = 1, #list, 2 do
        local text = ('\r\n--%s\r\nContent-Type: %s\r\n'
            .. 'Content-Range: bytes %d-%d/%d\r\n\r\n'):format(boundary, kind,
            list[i], list[i] + list[i + 1] - 1, total)
        parts[#parts + 1] = { text = text, start = list[i], size = list[i + 1] }
        size = size + #text + list[i + 1]
    end
    local text = '\r\n--' .. boundary .. '--\r\n'
    parts[#parts + 1] = { text = text }
    headers['content-type'] = 'multipart/byteranges; boundary=' .. boundary
    return parts, size + #text
end

-- The bytes of @body that @parts are.
function M.cut(body, parts)
    local texts = {}
    for _, part in ipairs(parts) do
        texts[#texts + 1] = part.text
        texts[#texts + 1] = part.size and
            body:sub(part.start + 1, part.start + part.size)
    end
    return table.concat(texts)
end

local function not_found()
    return { status = 404, body = 'Not Found\n' }
end

local function redirect(self, req, path)
    local query = req.query
    return {
        status = 301,
        headers = { location = router.escape(self.prefix .. path, '/') .. '/'
            .. (query ~= '' and '?' .. query or '') },
    }
end

local names = { ['.br'] = 'br', ['.gz'] = 'gzip', ['.zst'] = 'zstd' }

local function media_type(self, path)
    local own = self.types and self.types[(path:match('%.([^./]+)$') or '')
        :lower()]
    return own or c.media_type(path)
end

-- Answer with a file: @content is its bytes, or the open file.
local function answer(self, req, path, suffix, size, sec, nsec, content)
    local etag = ('"%x.%x-%x%s"'):format(sec, nsec, size, suffix)
    local headers = {
        etag = etag,
        ['last-modified'] = date(sec),
        ['cache-control'] = self.cache_control,
        vary = self.precompressed and 'Accept-Encoding' or nil,
    }
    local entry = type(content) ~= 'string' and
        { file = content, self = self, path = path .. suffix } or nil
    -- Of the layer that has the handler: the file stands for something else.
    local whole = req._whole
    local status, list, list_size = nil, nil, nil
    if not whole then
        status = condition_of(req, etag, sec)
    end
    if status == nil then
        if suffix == '' and not whole then
            list = ranges_of(req, size, etag, sec)
            headers['accept-ranges'] = 'bytes'
        end
        headers['content-encoding'] = names[suffix]
        headers['content-type'] = media_type(self, path)
        if list == false then
            status = 416
            headers['content-type'], headers['content-encoding'] = nil, nil
            headers['content-range'] = ('bytes */%d'):format(size)
        end
    end
    if status ~= nil then
        if entry then
            c.shut(content)
        end
        return { status = status, headers = headers }
    end
    local parts
    if list then
        parts, list_size = M.parts(list, size, headers)
    end
    if entry then
        return send(req, entry, list and 206 or 200, headers,
            parts or { { start = 0, size = size } }, list_size or size)
    end
    return {
        status = list and 206 or 200,
        headers = headers,
        body = parts and M.cut(content, parts) or content,
    }
end

-- Of the path that was sent, or of what the layer that has the handler has made of it.
local function file_path(self, req, hidden)
    return c.file_path(req._target_path or req, self.prefix, hidden)
end

local function serve(self, req)
    local path = file_path(self, req, self.hidden)
    if path == nil then
        return not_found()
    end
    local whole = path
    if path == '' or path:sub(-1) == '/' then
        if not self.index then
            return not_found()
        end
        whole = path .. self.index
    end
    -- A part is one of the file itself: who joins parts must not care how each came.
    local encodings = self.precompressed and
        not (req.method == 'GET' and req:header('range')) and
        c.accepts(req:header('accept-encoding') or '', 'bzg') or ''
    local what, suffix, size, sec, nsec, content =
        look(self, whole, encodings, req.method ~= 'HEAD' or
            req.httpd.compresses or false)
    if what == 'file' then
        return answer(self, req, whole, suffix, size, sec, nsec, content)
    elseif what == 'folder' and whole == path then
        return redirect(self, req, path)
    elseif what == 'busy' then
        return { status = 503, headers = { ['retry-after'] = 1 },
                 body = 'Service Unavailable\n' }
    elseif what == 'fault' then
        error(suffix, 0)
    end
    return not_found()
end

-- --- the options ---

local known = {
    index = 'string or boolean', symlinks = 'string', hidden = 'boolean',
    precompressed = 'boolean', cache_control = 'string or number',
    types = 'table', log_requests = 'boolean or function', name = 'string',
}
local links = { inside = 0, never = 1, anywhere = 2 }

-- What serves the files of @folder below @prefix: the prefix without its slash
-- at the end, the handler of what is below it, that of the prefix itself.
function M.new(prefix, folder, options)
    local function bad(text, ...)
        usage('httpd:static(prefix, folder, options): ' .. text:format(...))
    end
    if type(prefix) ~= 'string' or prefix:sub(1, 1) ~= '/' or
       prefix:find('[:*%%]') or prefix:find('//', 1, true) then
        bad('prefix is a path as "/assets"')
    elseif type(folder) ~= 'string' or folder == '' or folder:find('%z') then
        bad('folder is a path')
    elseif type(options) ~= 'table' then
        bad('options are a table')
    end
    for name, value in pairs(options) do
        local wanted = known[name]
        if wanted == nil then
            bad("there is no option '%s'", tostring(name))
        elseif not wanted:find(type(value), 1, true) then
            bad('%s is a %s, not %s', name, wanted, type(value))
        end
    end
    local symlinks = links[options.symlinks or 'inside']
    if symlinks == nil then
        bad("symlinks is 'inside', 'never' or 'anywhere'")
    end
    local index, control = options.index, options.cache_control
    if index == nil or index == true then
        index = 'index.html'
    elseif index and (index:find('[/%z]') or index == '' or index == '..') then
        bad('index is the name of a file')
    end
    if type(control) == 'number' then
        if not (control >= 0 and control < 2 ^ 53) then
            bad('cache_control is seconds, 0 or more, or a text, not %s',
                tostring(control))
        end
        control = ('max-age=%d'):format(control)
    end
    prefix = prefix:gsub('/$', '')
    local self = {
        prefix = prefix .. '/', folder = folder, links = symlinks,
        index = index, cache_control = control, types = options.types,
        hidden = options.hidden or false,
        precompressed = options.precompressed or false,
    }
    return prefix, function(req)
        return serve(self, req)
    end, function(req)
        if file_path(self, req, true) then
            return serve(self, req) -- there is a slash behind it
        end
        return redirect({ prefix = prefix }, req, '')
    end
end

return M
