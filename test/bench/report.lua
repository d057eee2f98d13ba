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

-- How much of the limit is reached, round by round; 1 is the limit itself.
local function shares(row, ours, limit)
    local list = {}
    for i = 1, math.min(#ours, #limit) do
        list[i] = row.better == 'more' and ours[i] / limit[i]
            or limit[i] / ours[i]
    end
    return list
end

local function number(value)
    if value >= 100 then
        return ('%.0f'):format(value)
    end
    return value >= 10 and ('%.1f'):format(value) or ('%.2f'):format(value)
end

local function cells(row, result)
    local ours, limit = result.ours[row.key], result.limit[row.key]
    if result.failed or not ours or not limit then
        return { row.name, 'FAILED', '', '', '', row.target }, true
    end
    local share = shares(row, ours, limit)
    table.sort(share)
    return {
        row.name,
        number(M.median(ours) * row.scale) .. ' ' .. row.unit,
        number(M.median(limit) * row.scale) .. ' ' .. row.unit,
        ('%.2f'):format(M.median(share)),
        ('%.2f to %.2f'):format(share[1], share[#share]),
        row.target,
    }, false
end

-- The lines of the table, aligned, and how many rows failed.
function M.table(rows, results)
    local head = { 'figure', 'ours', 'limit', 'share', 'from round to round',
                   'to reach, or known' }
    local all, failed, reasons, told = { head }, 0, {}, {}
    for _, row in ipairs(rows) do
        local result = results[row.source]
        if not result.left_out then
            local line, bad = cells(row, result)
            all[#all + 1] = line
            if bad then
                failed = failed + 1
                local why = result.failed or 'not measured'
                if not told[why] then
                    told[why] = true
                    reasons[#reasons + 1] = ('- FAILED: %s: %s'):format(
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
