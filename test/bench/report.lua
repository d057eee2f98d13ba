-- From samples to the table, and the table into doc/performance.md.

local M = {}

local BEGIN = '<!-- written by make bench: begin -->'
local END = '<!-- written by make bench: end -->'

function M.median(list)
    local sorted = { unpack(list) }
    table.sort(sorted)
    local n = #sorted
    if n % 2 == 1 then
        return sorted[(n + 1) / 2]
    end
    return (sorted[n / 2] + sorted[n / 2 + 1]) / 2
end

-- Round by round, how many times better ours is than the other: a share of the
-- limit, where 1 is the limit itself, and the times of the peer. Sorted.
local function ratios(row, ours, other)
    local list = {}
    for i = 1, math.min(#ours, #other) do
        list[i] = row.better == 'more' and ours[i] / other[i]
            or other[i] / ours[i]
    end
    table.sort(list)
    return list
end

local function number(value)
    if value >= 100 then
        return ('%.0f'):format(value)
    end
    return value >= 10 and ('%.1f'):format(value) or ('%.2f'):format(value)
end

local function amount(row, value)
    return number(value * row.scale) .. ' ' .. row.unit
end

-- What is to be reached, and for each of it yes, no, or ? if that is not known.
local function verdicts(row, got)
    local wanted, reached = {}, {}
    local function add(text, value, enough)
        wanted[#wanted + 1] = text
        reached[#reached + 1] = value == nil and '?' or
                                enough(value) and 'yes' or 'no'
    end
    local function at_least(bound)
        return function(value) return value >= bound end
    end
    local function at_most(bound)
        return function(value) return value <= bound end
    end
    local reach = row.reach
    if reach.share then
        add(('%.2f'):format(reach.share), got.share, at_least(reach.share))
    end
    if reach.times then
        add(('%g x'):format(reach.times), got.times, at_least(reach.times))
    end
    if reach.ours then
        add(amount(row, reach.ours), got.ours,
            (row.better == 'more' and at_least or at_most)(reach.ours))
    end
    if reach.over then
        add('limit + ' .. amount(row, reach.over),
            got.ours and got.limit and got.ours - got.limit,
            at_most(reach.over))
    end
    return table.concat(wanted, ', '), table.concat(reached, ', ')
end

-- The cells of a row, and the sides that could not be had.
local function cells(row, result)
    local text, list, got, failed = {}, {}, {}, {}
    for _, column in ipairs({ 'ours', 'limit', 'peer' }) do
        local side = column == 'peer' and row.peer or column
        local values = not result.failed[side] and result[side] and
                       result[side][row.key] or nil
        if result.without[side] or (column == 'peer' and row.no_peer) then
            text[column] = result.without[side] or ''
        elseif values then
            list[column], got[column] = values, M.median(values)
            text[column] = amount(row, got[column])
        else
            text[column] = 'FAILED'
            failed[#failed + 1] = side
        end
    end
    text.share, text.times = '', ''
    if list.ours and list.limit then
        local share = ratios(row, list.ours, list.limit)
        got.share = M.median(share)
        text.share = ('%.2f (%.2f-%.2f)'):format(got.share, share[1],
                                                 share[#share])
    end
    if list.ours and list.peer then
        got.times = M.median(ratios(row, list.ours, list.peer))
        text.times = number(got.times)
    end
    local wanted, reached = verdicts(row, got)
    return { row.name, text.ours, text.limit, text.share, text.peer,
             text.times, wanted, reached }, failed
end

-- The lines of the table, aligned, and how many rows failed. A result holds of
-- each side a list of numbers by key, or why it `failed`, or what stands in its
-- place when it is `without` that side.
function M.table(rows, results)
    local head = { 'figure', 'ours', 'limit', 'share (rounds)', 'peer',
                   'times', 'to reach', 'reached' }
    local all, failed, reasons, told = { head }, 0, {}, {}
    for _, row in ipairs(rows) do
        local result = results[row.source]
        if not result.left_out then
            local line, sides = cells(row, result)
            all[#all + 1] = line
            failed = failed + (#sides > 0 and 1 or 0)
            for _, side in ipairs(sides) do
                local why = side .. ': ' ..
                    (result.failed[side] or row.key .. ' is not measured')
                if not told[why] then
                    told[why] = true
                    reasons[#reasons + 1] = ('- FAILED: %s, %s'):format(
                        row.source, why)
                end
            end
        end
    end
    local width = {}
    for _, line in ipairs(all) do
        for i, cell in ipairs(line) do
            width[i] = math.max(width[i] or 0, #cell)
        end
    end
    local lines = {}
    for n, line in ipairs(all) do
        local padded = {}
        for i, cell in ipairs(line) do
            padded[i] = cell .. (' '):rep(width[i] - #cell)
        end
        lines[#lines + 1] = '| ' .. table.concat(padded, ' | ') .. ' |'
        if n == 1 then
            local rule = {}
            for i = 1, #head do
                rule[i] = ('-'):rep(width[i] + 2)
            end
            lines[#lines + 1] = '|' .. table.concat(rule, '|') .. '|'
        end
    end
    if failed > 0 then
        lines[#lines + 1] = ''
    end
    for _, reason in ipairs(reasons) do
        lines[#lines + 1] = reason
    end
    return lines, failed
end

-- Put both between the marks of the page; the rest of it stays.
function M.write(path, about, lines)
    local file = assert(io.open(path))
    local text = file:read('*a')
    file:close()
    local head, tail = text:find(BEGIN, 1, true), text:find(END, 1, true)
    if not head or not tail or tail < head then
        error(path .. ': the marks of make bench are missing', 0)
    end
    file = assert(io.open(path, 'w'))
    assert(file:write(text:sub(1, head - 1), BEGIN, '\n',
                      table.concat(about, '\n'), '\n\n',
                      table.concat(lines, '\n'), '\n', text:sub(tail)))
    assert(file:close())
end

return M
