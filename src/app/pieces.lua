-- Text that comes in pieces and is read by other measures: so many bytes, or up to a
-- delimiter (require 'neap.pieces', which is no public module). Reading costs what
-- is read, however small or large the pieces are.
--
-- An object has what is here in its own fields, and pull(limit): one more piece, which it
-- adds by add(), or `ended`; nil, err: it does not come.
local find, sub = string.find, string.sub
local concat = table.concat
local huge, min, type = math.huge, math.min, type

local M = {}

function M.init(self)
    self.parts, self.from, self.size = {}, 1, 0 -- from: in the first part
    return self
end

function M.add(self, text)
    if text ~= '' then
        self.parts[#self.parts + 1] = text
        self.size = self.size + #text
    end
end

-- The first @n bytes, which are there.
local function take(self, n)
    local parts, from = self.parts, self.from
    local text = parts[1]
    if n == 0 then
        return ''
    elseif n > #text - from + 1 then
        parts[1] = sub(text, from)
        text, from = concat(parts), 1
        self.parts = { text }
    end
    self.size = self.size - n
    if from + n > #text then
        self.from = 1
        table.remove(self.parts, 1)
    else
        self.from = from + n
    end
    return sub(text, from, from + n - 1)
end

-- What is wanted: at most so many bytes, the delimiter behind which it ends.
local function measure(what)
    if type(what) == 'number' then
        return what, nil
    elseif type(what) == 'string' then
        return huge, what
    elseif what ~= nil then
        return what.chunk or what.size or huge, what.delimiter
    end
    return huge, nil
end

-- take(object, what, limit) -> text | nil, err: @what as in req:read(); what has come
-- stays when no more comes.
function M.take(self, what, limit)
    local size, delimiter = measure(what)
    local hit, at = nil, 1 -- the part to look into
    local before, tail = 0, '' -- bytes before it, and the last of those
    while true do
        while delimiter and hit == nil and at <= #self.parts do
            local part = self.parts[at]
            if at == 1 and self.from > 1 then
                before = 1 - self.from
            end
            local text = tail .. part
            local _, to = find(text, delimiter, at == 1 and self.from or 1, true)
            hit = to and before + to - #tail
            before, at = before + #part, at + 1
            tail = #delimiter > 1 and sub(text, 1 - #delimiter) or ''
        end
        if hit or self.size >= size or self.ended then
            return take(self, min(hit or size, size, self.size))
        end
        local ok, err = self:pull(limit)
        if not ok then
            return nil, err
        end
    end
end

return M
