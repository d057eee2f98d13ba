-- Uploads: parts in memory and in files, limits, and what is left behind.
-- test: timeout 120, variants
local fiber = require('fiber')
local fio = require('fio')
local http_server = require('http.server')
local raw = require('raw')
local tap = require('tap')

local folder = fio.tempdir()
local run
local httpd = http_server.new('127.0.0.1', 0, { log_errors = false })
local function serve(req)
    local ok, text = pcall(run, req)
    return ok and text or { status = 500, body = tostring(text) }
end
httpd:route({ path = '/', method = 'POST' }, serve)
httpd:route({ path = '/stream', method = 'POST', stream = true }, serve)
httpd:start()
local port = httpd:port()

local function part(fields, body, more)
    return ('--xX\r\nContent-Disposition: form-data; %s\r\n%s\r\n%s\r\n'):format(
        fields, more or '', body)
end

local function post(f, body, path, kind)
    run = f
    return raw.request(port, path or '/', { method = 'POST', body = body,
        headers = 'Content-Type: ' ..
            (kind or 'multipart/form-data; boundary=xX') .. '\r\n' })
end

local function options(more)
    local out = { folder = folder, memory = 1000 }
    for k, v in pairs(more or {}) do
        out[k] = v
    end
    return out
end

local large = {}
for i = 1, 20000 do
    large[i] = ('line %d\r\n--x'):format(i)
end
large = table.concat(large)

for _, path in ipairs({ '/', '/stream' }) do
    local seen
    local r = post(function(req)
        local parts, err = req:multipart(options())
        seen = parts
        tap.ok(parts, err)
        local f = io.open(parts[3].path)
        tap.ok(f:read('*a') == large, 'the file')
        f:close()
        tap.ok(parts[3].path:find(folder, 1, true))
        tap.is(fio.stat(parts[3].path).mode % 512, 384, 'nobody else reads it')
        return 'ok'
    end, part('name="a"', 'value') ..
        part('name="f"; filename="../x"', 'small', 'Content-Type: a/b\r\n') ..
        part('name="g"; filename="big"', large) .. part('name=a', '') ..
        '--xX--\r\n', path)
    tap.is(r.body, 'ok')
    tap.is(#seen, 4)
    tap.is(seen[1].name, 'a')
    tap.is(seen[1].body, 'value')
    tap.is(seen[1].filename, nil)
    tap.is(seen[2].filename, '../x')
    tap.is(seen[2].type, 'a/b')
    tap.is(seen[2].body, 'small')
    tap.is(seen[3].size, #large)
    tap.is(seen[3].body, nil)
    tap.is(seen[4].body, '')
    raw.until_true(function() return #fio.listdir(folder) == 0 end)
    tap.ok(true, 'the folder is removed')
end

-- What is refused, and that nothing is left of it.
local form = part('name=a', 'v') .. part('name=f; filename=x', large) .. '--xX--'
for name, case in pairs({
    parts = { options({ parts = 1 }), form, 'too many parts' },
    file = { options({ file = 5000 }), form, 'too large' },
    field = { options({ field = 3 }), part('name=a', 'long') .. '--xX--',
              'too large' },
    header = { options({ header = 50 }), part('name=a', 'v',
               'X: ' .. ('y'):rep(60) .. '\r\n') .. '--xX--', 'too long' },
    ends = { options(), form:sub(1, -20), 'before its end' },
    none = { options(), '', 'before its end' },
    broken = { options(), '--xX\r\nbroken\r\n\r\n', 'broken' },
}) do
    for _, path in ipairs({ '/', '/stream' }) do
        local r = post(function(req)
            local parts, err = req:multipart(case[1])
            tap.is(parts, nil, name)
            return tostring(err)
        end, case[2], path)
        tap.ok(r.body and r.body:find(case[3], 1, true), name .. ': ' ..
            tostring(r.body))
    end
end
local r = post(function(req)
    return tostring(select(2, req:multipart()))
end, form, '/', 'application/json')
tap.ok(r.body:find('no multipart/form-data', 1, true), r.body)
for _, wrong in ipairs({ 5, { x = 1 }, { parts = -1 }, { memory = 'x' },
                         { parts = 0 / 0 } }) do
    tap.is(post(function(req) req:multipart(wrong) end, form).status, 500)
end

-- What the disk does not take is the system's error, not one of the form.
local errno, ffi = require('errno'), require('ffi')
ffi.cdef([[
    struct file_size { unsigned long now, most; };
    int getrlimit(int what, struct file_size *limit);
    int setrlimit(int what, const struct file_size *limit);
]])
local sizes, FSIZE = ffi.new('struct file_size'), 1
assert(ffi.C.getrlimit(FSIZE, sizes) == 0)
local usual = sizes.now
for _, path in ipairs({ '/', '/stream' }) do
    for name, case in pairs({
        full = { 100000, options(), errno.EFBIG },
        ['no folder'] = { usual, options({ folder = folder .. '/none' }), errno.ENOENT },
        enough = { usual, options() },
    }) do
        local err
        sizes.now = case[1]
        ffi.C.setrlimit(FSIZE, sizes)
        r = post(function(req)
            err = select(2, req:multipart(case[2]))
            return 'answered'
        end, form, path)
        sizes.now = usual
        ffi.C.setrlimit(FSIZE, sizes)
        tap.is(r.body, 'answered', name .. ', ' .. path)
        tap.is(err and err.errno, case[3], 'the system says why')
        raw.until_true(function() return #fio.listdir(folder) == 0 end)
    end
end

-- An error of the handler, and a peer that leaves in the middle.
r = post(function(req)
    req:multipart(options())
    error('after all')
end, form)
tap.is(r.status, 500)
local state
run = function(req)
    state = 'began'
    local parts = req:multipart(options())
    state = parts == nil and 'told' or 'whole'
end
local peer = raw.connect(port)
peer:send('POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n'
    .. 'Content-Type: multipart/form-data; boundary=xX\r\n\r\n'
    .. form:sub(1, 100000))
raw.until_true(function() return state == 'began' end)
peer:reset()
raw.until_true(function() return state == 'told' end)
raw.until_true(function() return #fio.listdir(folder) == 0 end)
tap.ok(true, 'nothing is left')

-- curl as the client.
local name = folder .. '/upload'
local f = io.open(name, 'w')
f:write(large)
f:close()
run = function(req)
    local parts = req:multipart(options())
    local text = io.open(parts[2].path):read('*a')
    return ('%s %s %s %s'):format(parts[1].body, parts[2].filename,
        parts[2].type, text == large)
end
local p = io.popen(('curl -s -F "a=b c" -F "f=@%s;type=x/y" '
    .. 'http://127.0.0.1:%d/stream'):format(name, port))
tap.is(p:read('*a'), 'b c upload x/y true')
p:close()
fio.rmtree(folder)
-- Fields of a form are parameters, as of any other form; files are none.
local form = part('name="a"', 'one') .. part('name="b"; filename="f"', 'file')
    .. part('name="a"', 'two') .. part('name="c"', '') .. part('name=a', 'three')
for _, path in ipairs({ '/', '/stream' }) do
    for _, order in ipairs({ 'fields first', 'parts first' }) do
        local r = post(function(req)
            local parts = order == 'parts first' and req:multipart(options())
            local all = req:post_param()
            tap.is(req:post_param('a'), 'one', path .. ', ' .. order .. ': a field')
            tap.is(table.concat(all.a, ' '), 'one two three', 'all of its name')
            tap.is(req:post_param('c'), '', 'an empty one')
            tap.is(req:post_param('b'), nil, 'a file is none')
            tap.is(req:param('a'), 'one', 'by param()')
            parts = parts or req:multipart()
            tap.is(#parts, 5, 'and the parts are there')
            tap.is(parts[2].body, 'file', 'with the file')
            return 'ok'
        end, form .. '--xX--\r\n', path, 'Multipart/Form-Data; boundary=xX')
        tap.is(r.body, 'ok', path .. ', ' .. order)
    end
    local r = post(function(req)
        local value, err = req:post_param('a')
        tap.is(value, nil, 'a broken form has none')
        tap.like(err, 'ends', 'and says why')
        tap.is(req:post_param(), nil, 'nor a table')
        return tostring(next(req:param()))
    end, form .. '--x', path)
    tap.is(r.body, 'nil', 'nor by param()')
end
tap.done()
os.exit(0)
