-- The classic programs (classic.lua) as sources of the run, and what they give
-- together: geometric means, round by round.

local M = {}

M.names = { 'fannkuch', 'nbody', 'spectral', 'trees', 'mandelbrot', 'sieve',
            'fasta', 'knucleotide', 'ray', 'richards', 'life', 'queens',
            'series', 'pidigits', 'strings', 'havlak', 'heapsort' }

function M.add_sources(sources)
    for _, name in ipairs(M.names) do
        sources[#sources + 1] = { name = 'classic ' .. name, kind = 'classic',
                                  program = name }
    end
end

-- The means of a key of one side; nil if a round lacks a program.
local function means(parts, side, key)
    local list = {}
    for _, part in ipairs(parts) do
        for round, seconds in ipairs(part[side][key] or {}) do
            list[round] = (list[round] or 0) + math.log(seconds)
        end
    end
    for round, sum in ipairs(list) do
        list[round] = math.exp(sum / #parts)
    end
    return list
end

-- Every one of them, and all, gave the same results.
local function sums_differ(part)
    local first = part.ours.sum and part.ours.sum[1]
    for _, side in ipairs({ 'ours', 'limit' }) do
        for _, sum in ipairs(part[side].sum or {}) do
            if sum ~= first then
                return true
            end
        end
    end
end

-- Make results.classic of those of the programs.
function M.combine(results)
    local all = { ours = {}, limit = {}, failed = {},
                  without = { peer = '' }, left_out = true }
    local parts = {}
    for _, name in ipairs(M.names) do
        local part = results['classic ' .. name]
        if not part.left_out then
            all.left_out = false
            parts[#parts + 1] = part
            if sums_differ(part) then
                part.failed.ours = 'its sum is not that of plain LuaJIT'
            end
            for side, why in pairs(part.failed) do
                all.failed[side] = name .. ': ' .. why
            end
        end
    end
    for _, side in ipairs({ 'ours', 'limit' }) do
        for _, key in ipairs({ 'sliced', 'unsliced' }) do
            all[side][key] = not all.failed[side] and means(parts, side, key)
                or nil
        end
    end
    results.classic = all
end

-- Lines that tell each program's CPU time: that of a plain LuaJIT, and how many
-- times as much it takes without slices and with.
function M.lines(results, median)
    local lines = {}
    local function times(part, key)
        local list = {}
        for round, seconds in ipairs(part.ours[key]) do
            list[round] = seconds / part.limit[key][round]
        end
        return median(list)
    end
    for _, name in ipairs(M.names) do
        local part = results['classic ' .. name]
        if part.ours.sliced and part.limit.sliced and not part.failed.limit
           and not part.failed.ours then
            lines[#lines + 1] =
                ('%-12s %5.0f ms  without slices %.3f  with %.3f'):format(
                    name, median(part.limit.sliced) * 1e3,
                    times(part, 'unsliced'), times(part, 'sliced'))
        end
    end
    return lines
end

return M
