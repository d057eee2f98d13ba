-- Uploads of the module `http.server`: forms of type multipart/form-data.
local c, request = ...

local usage = c.usage

local PIECE = 65536
local defaults = { parts = 100, header = 8192, memory = 65536,
                   field = 1048576, file = math.huge }

local function limits_of(options)
    if options ~= nil and type(options) ~= 'table' then
        usage('req:multipart(options): options are a table')
    end
    local out = {}
    for name, value in pairs(defaults) do
        out[name] = value
    end
    for name, value in pairs(options or {}) do
        if name == 'folder' and type(value) == 'string' then
            out.folder = value
        elseif defaults[name] == nil or type(value) ~= 'number' or
               not (value >= 0) or value > 2 ^ 31 and name ~= 'file' then
            usage(('req:multipart{parts=, header=, memory=, field=, file=, '
                .. 'folder=}: not %s = %s'):format(tostring(name),
                tostring(value)))
        else
            out[name] = value
        end
    end
    return out
end

-- Remove the form's folder, when it has one, when the request is over, however it ended.
-- What fails, for want of memory, is tried again, but not by who is cancelled.
local function keep_until_end(form)
    local fiber, fio = require('fiber'), require('fio')
    local req = form.req
    fiber.new(function()
        fiber.name('http upload')
        while not c.is_over(req) do
            if not pcall(c.wait_change, req, nil) then
                fiber.sleep(0.01)
            end
        end
        -- One that may not be ours is empty if it is.
        local remove = form.is_made and fio.rmtree or fio.rmdir
        for _ = 1, form.folder and 10 or 0 do
            local ok, done = pcall(remove, form.folder)
            if ok and done then
                return
            end
            fiber.sleep(0.01)
        end
    end)
end

-- A part on its way: in memory, and past a size in a file.
local sink = {}
sink.__index = sink

function sink:spill()
    local fio = require('fio')
    local form = self.form
    if form.folder == nil then
        local name = ('%s/neap-upload-XXXXXX'):format(form.limits.folder or
            os.getenv('TMPDIR') or '/tmp')
        keep_until_end(form) -- before there is anything that could be left
        local why
        for _ = 1, 100 do
            form.folder = name:gsub('XXXXXX$', ('%06x'):format(
                math.random(0, 2 ^ 24 - 1)))
            form.is_made, why = fio.mkdir(form.folder, tonumber('700', 8))
            if form.is_made then
                break
            end
            form.folder = nil
        end
        if not form.is_made then
            return nil, why
        end
    end
    form.files = form.files + 1
    local path = ('%s/%d'):format(form.folder, form.files)
    local file, err = fio.open(path, { 'O_CREAT', 'O_EXCL', 'O_WRONLY' },
        tonumber('600', 8))
    if file == nil then
        return nil, err
    end
    self.file, self.part.path = file, path
    return self:write_file(table.concat(self.texts))
end

function sink:write_file(text)
    local ok, err = self.file:write(text)
    return ok or nil, err
end

-- True, or nil and why not.
function sink:write(text)
    local part, limits = self.part, self.form.limits
    part.size = part.size + #text
    if part.size > (part.filename and limits.file or limits.field) then
        return nil, ('part %q is too large'):format(part.name)
    end
    if self.file then
        return self:write_file(text)
    end
    self.texts[#self.texts + 1] = text
    if part.filename and part.size > limits.memory then
        return self:spill()
    end
    return true
end

function sink:finish()
    if self.file then
        self.file:close()
    else
        self.part.body = table.concat(self.texts)
    end
end

-- All events that are there. Nil: more has to come; true: the end; false and why.
local function take(form)
    while true do
        local event, a, b, kind = c.form_next(form.parser)
        if event == 'more' then
            return nil
        elseif event == 'begin' then
            form.sink = setmetatable({ form = form, texts = {}, part = {
                name = a, filename = b, type = kind, size = 0,
            } }, sink)
        elseif event == 'data' then
            local ok, why = form.sink:write(a)
            if not ok then
                return false, why
            end
        elseif event == 'part end' then
            form.sink:finish()
            form.parts[#form.parts + 1] = form.sink.part
            form.sink = nil
        elseif event == 'end' then
            return true
        else
            return false, a
        end
    end
end

local function read_all(form)
    while true do
        local done, why = take(form)
        if done then
            return form.parts
        elseif done == false then
            -- Of the system it is an error already.
            return nil, type(why) == 'string' and c.form_error(why) or why
        end
        local text, err = form.req:read(PIECE)
        if text == nil then
            return nil, err
        elseif text == '' then
            return nil, c.form_error('it ends before its end')
        end
        c.form_feed(form.parser, text)
    end
end

--- req:multipart([options]) -> array | nil, err
-- The parts of a body of type multipart/form-data, in their order: `{name=, filename=,
-- type=, size=, body=}`, `filename` and `type` if they were given. A file that is
-- larger than `memory` has `path` instead of `body`: it lies in a temporary folder,
-- which is removed when the request ends; to keep it, rename it. A `filename` is the
-- peer's: do not use it as a path. One in the form of RFC 8187, `filename*=UTF-8''...`, which
-- RFC 7578 forbids and some clients send, goes before the plain one, if it is UTF-8 or
-- ISO 8859-1 without control characters. @options: `parts` (100), `header`, bytes of a
-- part's header (8,192), `memory` (65,536), `field`, bytes of a part that is no file
-- (1 MiB), `file`, bytes of a file (the limit of a body), `folder` for the temporary
-- ones (`TMPDIR`). With a route's `stream` the body is taken apart while it comes. Nil: it
-- is no such form, a broken one, one past a limit (errno EPROTO); or it has not come; or a
-- file could not be written, as with a full disk, which is no fault of the peer's (errno
-- ENOSPC). Asked again, also by `req:post_param()`, it gives the same.
-- Yields: maybe. Throws: cancelled; the deadline; wrong options.
function request.methods:multipart(options)
    local form = { req = self, limits = limits_of(options), parts = {},
                   files = 0 }
    local known = self._form
    if known then
        return known.parts, known.err
    end
    form.parser = c.form(self:header('content-type') or '', form.limits.parts,
        form.limits.header)
    if form.parser == nil then
        return nil, c.form_error('the type of the body is no '
            .. 'multipart/form-data with a boundary')
    end
    local ok, parts, err = pcall(read_all, form)
    if form.sink and form.sink.file then
        form.sink.file:close()
    end
    if not ok then
        error(parts, 0)
    end
    self._form = { parts = parts, err = err }
    return parts, err
end
