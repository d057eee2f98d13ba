-- Each key of server.yaml, as the reference page has them, which is made from the schema.
-- Given what it cannot be: the error has the place of the value, the key's path and the form
-- that is expected. Given by a variable of the environment or a flag: that wins over the
-- file, and `neap config show` says where the value is from.
--
-- test: timeout 120
local fio = require('fio')
local popen = require('popen')
local tap = require('tap')

local here = os.getenv('NEAP_SOURCE_DIR')
local folder = fio.tempdir()
local file = fio.pathjoin(folder, 'server.yaml')

local function contents(path)
	local f = assert(io.open(path))
	local text = f:read('*a')
	f:close()
	return text
end

-- {{title =, {key =, is =}, ..}, ..}: its sections.
local function sections()
	local list = { { title = '' } }
	for line in contents(here .. '/doc/reference/server.yaml.md'):gmatch('[^\n]+') do
		local title = line:match('^## `(.*)`')
		local key, is, _, about = line:match('^| `([%w_-]+)` | ([^|]*) |([^|]*)|(.*)|$')
		if title then
			list[#list + 1] = { title = title }
		elseif key then
			table.insert(list[#list], { key = key, is = is, variable = about:match('`(NEAP_[%w_]+)`'),
				flag = about:match('`(%-%-[%w-]+)`') })
		end
	end
	return list
end

-- What it cannot be: a map or a list, and, of texts that have a form, another one.
local function wrong_of(is)
	if is:find('^list of') then
		return { 'word' }
	elseif is:find('^names of') then
		return { '[a]', 'word' }
	elseif is:find('map') then
		return { is:find('alone') and '[[a]]' or 'word' }
	end
	local all = { '{a: b}' }
	for _, kind in ipairs({ 'number', 'duration', 'size', 'choice', 'switch', 'mode', 'address' }) do
		if is:find('^' .. kind) then all[2] = "'no such'" end
	end
	return all
end

-- The text before the value of a key, and the path that is told. @rules: a rule alone has it.
local function around(title, key)
	local before, after, path = '', '', ''
	for name in (title .. (title == '' and '' or '.')):gmatch('([^.]+)%.') do
		local plain, list = name:match('^([^%[]*)(%[?%]?)$')
		if plain == 'NAME' then plain = 'some' end
		before, after = before .. '{' .. plain .. ': ', '}' .. after
		path = path .. (path == '' and '' or '.') .. plain
		if list ~= '' then
			before, after, path = before .. '[', ']' .. after, path .. '[0]'
		end
	end
	return before .. '{' .. key .. ': ', '}' .. after, (path == '' and '' or path .. '.') .. key
end

local function write(text)
	local f = assert(io.open(file, 'w'))
	f:write(text, '\n')
	f:close()
end

-- Its exit code and what it says, both together.
local function neap(words, variables)
	local env = {}
	for _, name in ipairs({ 'PATH', 'ASAN_OPTIONS', 'LSAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS' }) do
		env[name] = os.getenv(name)
	end
	for name, value in pairs(variables or {}) do env[name] = value end
	local ph = assert(popen.new({ os.getenv('NEAP_BIN'), unpack(words) }, {
		stdin = popen.opts.DEVNULL, stdout = popen.opts.PIPE, stderr = popen.opts.PIPE, env = env,
	}))
	local said = {}
	for _, what in ipairs({ 'stdout', 'stderr' }) do
		while true do
			local piece = ph:read({ [what] = true })
			if piece == nil or piece == '' then break end
			said[#said + 1] = piece
		end
	end
	local status = ph:wait()
	ph:close()
	return status.exit_code, table.concat(said)
end

local count = 0
for _, section in ipairs(sections()) do
	for _, row in ipairs(section) do
		for _, wrong in ipairs(wrong_of(row.is)) do
			local before, after, path = around(section.title, row.key)
			local text = before .. wrong .. after
			write(text)
			local code, err = neap({ 'check', file })
			local name = ('%s: %s'):format(path, wrong)
			local told
			for line in err:gmatch('[^\n]+') do
				local column, said, what = line:match('server%.yaml:1:(%d+): ([%w%[%]._-]+): (expected .*)$')
				if said and said:sub(1, #path) == path then told = { tonumber(column), what } end
			end
			count = count + 1
			if code ~= 1 or told == nil or told[1] < #before + 1 or told[1] > #before + #wrong then
				tap.ok(false, name)
				tap.diag(err)
			end
		end
	end
end
tap.ok(count > 150, count .. ' wrong values')

-- Values of settings: in the environment, as a flag, as they are shown.
local values = {
	number = { '3', '4', '3', '4' }, duration = { '7', '8', '7', '8' }, -- seconds
	size = { '128M', '256M', '134217728', '268435456' }, switch = { 'true', 'false', 'true', 'false' },
	path = { '/tmp/x', '/tmp/y', '"/tmp/x"', '"/tmp/y"' },
}
local milliseconds = { '7', '8', '0.007', '0.008' }
local others = { slice = milliseconds, stall = milliseconds,
	level = { 'debug', 'warn', '"debug"', '"warn"' },
	format = { 'json', 'plain', '"json"', '"plain"' } }
local settings = 0
for _, section in ipairs(sections()) do
	for _, row in ipairs(section) do
		local path = (section.title == '' and '' or section.title .. '.') .. row.key
		local v = others[row.key] or values[row.is:match('^%a+')]
		if row.variable and v and not row.is:find('address') then
			settings = settings + 1
			write('workers: 2')
			local function shown(words, variables, value, origin)
				local want = ('%s: %s  # %s'):format(path, value, origin)
				local code, out = neap(words, variables)
				if code ~= 0 or not ('\n' .. out):find('\n' .. want .. '\n', 1, true) then
					tap.ok(false, want)
					tap.diag(out)
				end
			end
			local env = { [row.variable] = v[1] }
			shown({ 'config', 'show', file }, env, v[3], 'environment ' .. row.variable)
			if row.flag then
				shown({ row.flag, v[2], 'config', 'show', file }, env, v[4], 'flag ' .. row.flag)
			end
			if row.is:match('^%a+') ~= 'path' then
				local code, out = neap({ 'config', 'show', file }, { [row.variable] = 'no such' })
				if code == 0 or not out:find(row.variable, 1, true) then
					tap.ok(false, row.variable .. ' cannot be so')
					tap.diag(out)
				end
			end
		end
	end
end
tap.ok(settings > 12, settings .. ' settings')
fio.rmtree(folder)
tap.done()
os.exit(0)
