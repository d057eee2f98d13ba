-- The classic programs that interpreters are compared by, in our own words: run
-- by the server with and without time slices, and by a plain LuaJIT.
--
--   PROGRAM classic.lua NAME
--
-- Prints the CPU seconds it took, and a sum of its results, which is the same
-- everywhere. Each takes about a tenth of a second.

local measure = require('measure')

local programs = {}

-- Numbers as they come from a fixed start, the same on every machine.
local function new_random()
    local seed = 42
    return function(max)
        seed = (seed * 3877 + 29573) % 139968
        return max * seed / 139968
    end
end

-- All permutations; how many prefix reversals bring 1 to the front at most.
function programs.fannkuch()
    local n, max_flips, checksum, sign = 9, 0, 0, 1
    local perm, copy, count = {}, {}, {}
    for i = 1, n do
        perm[i], count[i] = i, i
    end
    while true do
        local first = perm[1]
        if first ~= 1 then
            for i = 2, n do
                copy[i] = perm[i]
            end
            local flips = 0
            while first ~= 1 do
                flips = flips + 1
                local low, high = 2, first - 1
                while low < high do
                    copy[low], copy[high] = copy[high], copy[low]
                    low, high = low + 1, high - 1
                end
                first, copy[first] = copy[first], first
            end
            max_flips = flips > max_flips and flips or max_flips
            checksum = checksum + sign * flips
        end
        if sign == 1 then
            perm[1], perm[2] = perm[2], perm[1]
            sign = -1
        else
            perm[2], perm[3] = perm[3], perm[2]
            sign = 1
            for i = 3, n do
                count[i] = count[i] - 1
                if count[i] ~= 0 then
                    break
                end
                if i == n then
                    return checksum + max_flips
                end
                count[i] = i
                local moved = perm[1]
                for j = 1, i do
                    perm[j] = perm[j + 1]
                end
                perm[i + 1] = moved
            end
        end
    end
end

-- Five bodies that draw each other.
function programs.nbody()
    local random, bodies = new_random(), {}
    for i = 1, 5 do
        bodies[i] = { x = random(30) - 15, y = random(30) - 15,
                      z = random(30) - 15, vx = random(1) - 0.5,
                      vy = random(1) - 0.5, vz = random(1) - 0.5,
                      mass = i == 1 and 39.5 or random(0.04) }
    end
    local step = 0.001
    for _ = 1, 500000 do
        for i = 1, #bodies do
            local a = bodies[i]
            local ax, ay, az, am = a.x, a.y, a.z, a.mass
            local vx, vy, vz = a.vx, a.vy, a.vz
            for j = i + 1, #bodies do
                local b = bodies[j]
                local dx, dy, dz = ax - b.x, ay - b.y, az - b.z
                local square = dx * dx + dy * dy + dz * dz + 0.01
                local pull = step / (square * math.sqrt(square))
                local from_b, from_a = b.mass * pull, am * pull
                vx, vy, vz = vx - dx * from_b, vy - dy * from_b,
                             vz - dz * from_b
                b.vx, b.vy, b.vz = b.vx + dx * from_a, b.vy + dy * from_a,
                                   b.vz + dz * from_a
            end
            a.vx, a.vy, a.vz = vx, vy, vz
            a.x, a.y, a.z = ax + step * vx, ay + step * vy, az + step * vz
        end
    end
    return bodies[1].x + bodies[5].z
end

-- The largest singular value of an endless matrix, from its corner.
function programs.spectral()
    local n = 500
    local function at(i, j)
        local ij = i + j - 1
        return 1 / (ij * (ij - 1) * 0.5 + i)
    end
    local function times(x, y, transposed)
        for i = 1, n do
            local sum = 0
            for j = 1, n do
                sum = sum + x[j] * (transposed and at(j, i) or at(i, j))
            end
            y[i] = sum
        end
    end
    local u, v, w = {}, {}, {}
    for i = 1, n do
        u[i] = 1
    end
    for _ = 1, 10 do
        times(u, w, false)
        times(w, v, true)
        times(v, w, false)
        times(w, u, true)
    end
    local uv, vv = 0, 0
    for i = 1, n do
        uv, vv = uv + u[i] * v[i], vv + v[i] * v[i]
    end
    return math.sqrt(uv / vv)
end

-- Trees that are made, counted and dropped: the allocator and the collector.
function programs.trees()
    local function make(depth)
        if depth == 0 then
            return {}
        end
        return { make(depth - 1), make(depth - 1) }
    end
    local function count(tree)
        return tree[1] and 1 + count(tree[1]) + count(tree[2]) or 1
    end
    local keep, sum = make(13), 0
    for depth = 4, 12, 4 do
        for _ = 1, 2 ^ (13 - depth) do
            sum = sum + count(make(depth))
        end
    end
    return sum + count(keep)
end

function programs.mandelbrot()
    local size, inside = 320, 0
    for py = 0, size - 1 do
        local ci = 2 * py / size - 1
        for px = 0, size - 1 do
            local cr, zr, zi, left = 2 * px / size - 1.5, 0, 0, 50
            repeat
                zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci
                left = left - 1
            until left == 0 or zr * zr + zi * zi > 4
            inside = inside + (left == 0 and 1 or 0)
        end
    end
    return inside
end

function programs.sieve()
    local n, sum, composite = 1000000, 0, {}
    for i = 2, n do
        composite[i] = false
    end
    for i = 2, n do
        if not composite[i] then
            sum = sum + 1
            for j = i * 2, n, i do
                composite[j] = true
            end
        end
    end
    return sum
end

-- Random text by a table of frequencies.
function programs.fasta()
    local random, letters = new_random(), {}
    local shares = { a = 0.30, c = 0.20, g = 0.19, t = 0.31 }
    local below = 0
    for _, letter in ipairs({ 'a', 'c', 'g', 't' }) do
        below = below + shares[letter]
        letters[#letters + 1] = { below = below, letter = letter }
    end
    local line, sum = {}, 0
    for _ = 1, 30000 do
        for i = 1, 60 do
            local r, k = random(1), 1
            while k < 4 and r >= letters[k].below do
                k = k + 1
            end
            line[i] = letters[k].letter
        end
        sum = sum + table.concat(line):byte(17)
    end
    return sum
end

-- How often each piece of a text comes: strings as keys.
function programs.knucleotide()
    local random, parts = new_random(), {}
    for i = 1, 60000 do
        local k = math.floor(random(4)) + 1
        parts[i] = ('acgt'):sub(k, k)
    end
    local text, sum = table.concat(parts), 0
    for length = 1, 12 do
        local counts, most = {}, 0
        for i = 1, #text - length + 1 do
            local piece = text:sub(i, i + length - 1)
            counts[piece] = (counts[piece] or 0) + 1
        end
        for _, count in pairs(counts) do
            most = count > most and count or most
        end
        sum = sum + most
    end
    return sum
end

-- Rays against a heap of spheres: objects, methods, square roots.
function programs.ray()
    local vector = {}
    vector.__index = vector
    local function new(x, y, z)
        return setmetatable({ x = x, y = y, z = z }, vector)
    end
    function vector.__sub(a, b)
        return new(a.x - b.x, a.y - b.y, a.z - b.z)
    end
    function vector:dot(b)
        return self.x * b.x + self.y * b.y + self.z * b.z
    end
    function vector:unit()
        local length = math.sqrt(self:dot(self))
        return new(self.x / length, self.y / length, self.z / length)
    end
    local random, spheres = new_random(), {}
    for i = 1, 12 do
        spheres[i] = { center = new(random(8) - 4, random(8) - 4,
                                    6 + random(4)), radius = 0.5 + random(1) }
    end
    local eye, sum, size = new(0, 0, -4), 0, 260
    for py = 1, size do
        for px = 1, size do
            local way = new(px / size - 0.5, py / size - 0.5, 1):unit()
            local nearest = math.huge
            for i = 1, #spheres do
                local sphere = spheres[i]
                local there = sphere.center - eye
                local along = there:dot(way)
                local under = along * along - there:dot(there) +
                              sphere.radius * sphere.radius
                if under >= 0 then
                    local hit = along - math.sqrt(under)
                    nearest = hit < nearest and hit or nearest
                end
            end
            sum = sum + (nearest < math.huge and nearest or 0)
        end
    end
    return sum
end

-- An operating system in small: tasks that send each other packets, by closures
-- and tables.
function programs.richards()
    local queues, states, work = {}, {}, 0
    local tasks = 6
    local function send(to, packet)
        local queue = queues[to]
        queue.last = queue.last + 1
        queue[queue.last] = packet
    end
    local function receive(from)
        local queue = queues[from]
        if queue.first > queue.last then
            return nil
        end
        local packet = queue[queue.first]
        queue[queue.first] = nil
        queue.first = queue.first + 1
        return packet
    end
    local run = {}
    for i = 1, tasks do
        queues[i] = { first = 1, last = 0 }
        states[i] = { handled = 0, held = nil }
        run[i] = function(packet)
            local state = states[i]
            state.handled = state.handled + 1
            if packet.kind == 'work' then
                for k = 1, #packet.data do
                    packet.data[k] = (packet.data[k] * 7 + i) % 26
                end
                packet.kind = 'device'
            else
                packet.kind = i % 2 == 0 and 'work' or 'device'
            end
            work = work + packet.data[1]
            packet.hops = packet.hops + 1
            send((i + packet.hops % 3) % tasks + 1, packet)
        end
    end
    for i = 1, 20 do
        send(i % tasks + 1, { kind = i % 3 == 0 and 'work' or 'device',
                              hops = 0, data = { i, i + 1, i + 2, i + 3 } })
    end
    for _ = 1, 150000 do
        for i = 1, tasks do
            local packet = receive(i)
            if packet then
                run[i](packet)
            end
        end
    end
    return work
end

-- Conway's game on a ring of rows.
function programs.life()
    local size, random, cells = 128, new_random(), {}
    for y = 1, size do
        cells[y] = {}
        for x = 1, size do
            cells[y][x] = random(1) < 0.3 and 1 or 0
        end
    end
    for _ = 1, 700 do
        local after = {}
        for y = 1, size do
            local up, row, down = cells[y == 1 and size or y - 1], cells[y],
                                  cells[y == size and 1 or y + 1]
            local new = {}
            for x = 1, size do
                local l, r = x == 1 and size or x - 1, x == size and 1 or x + 1
                local around = up[l] + up[x] + up[r] + row[l] + row[r] +
                               down[l] + down[x] + down[r]
                new[x] = (around == 3 or around == 2 and row[x] == 1) and 1 or 0
            end
            after[y] = new
        end
        cells = after
    end
    local alive = 0
    for y = 1, size do
        for x = 1, size do
            alive = alive + cells[y][x]
        end
    end
    return alive
end

-- All places for queens, by recursion.
function programs.queens()
    local n, found = 10, 0
    local column, up, down = {}, {}, {}
    local function place(row)
        if row > n then
            found = found + 1
            return
        end
        for c = 1, n do
            if not column[c] and not up[row + c] and not down[row - c + n] then
                column[c], up[row + c], down[row - c + n] = true, true, true
                place(row + 1)
                column[c], up[row + c], down[row - c + n] = false, false, false
            end
        end
    end
    place(1)
    return found
end

-- Fourier coefficients of (x + 1)^x by the trapezoid rule.
function programs.series()
    local function integral(harmonic, shape)
        local steps, sum = 1000, 0
        for i = 0, steps do
            local x = 2 * i / steps
            local value = (x + 1) ^ x
            if shape == 'sin' then
                value = value * math.sin(math.pi * harmonic * x)
            elseif shape == 'cos' then
                value = value * math.cos(math.pi * harmonic * x)
            end
            sum = sum + ((i == 0 or i == steps) and value / 2 or value)
        end
        return sum * 2 / steps
    end
    local total = integral(0) / 2
    for k = 1, 900 do
        total = total + integral(k, 'cos') + integral(k, 'sin')
    end
    return total
end

-- Digits of pi by a spigot over an array: whole numbers in doubles.
function programs.pidigits()
    local digits, sum, held, nines = 1300, 0, 0, 0
    local length = math.floor(10 * digits / 3) + 1
    local rest = {}
    for i = 1, length do
        rest[i] = 2
    end
    for _ = 1, digits do
        local carry = 0
        for i = length, 1, -1 do
            local x = 10 * rest[i] + carry * i
            local by = 2 * i - 1
            carry = math.floor(x / by)
            rest[i] = x - carry * by
        end
        rest[1], carry = carry % 10, math.floor(carry / 10)
        if carry == 9 then
            nines = nines + 1
        else
            sum = sum * 3 % 1000003 + held + (carry == 10 and 1 or 0) +
                  nines * (carry == 10 and 0 or 9)
            held, nines = carry % 10, 0
        end
    end
    return sum
end

-- Text that is put together, taken apart and searched.
function programs.strings()
    local sum = 0
    for round = 1, 40 do
        local parts = {}
        for i = 1, 3000 do
            parts[i] = ('%d:%s;'):format(i * round, ('x'):rep(i % 7))
        end
        local text = table.concat(parts, ',')
        for number in text:gmatch('(%d+):') do
            sum = (sum + tonumber(number)) % 1000003
        end
        sum = sum + #text:gsub('x+;', '-'):upper() + (text:find('xxxxxx;') or 0)
    end
    return sum
end

-- Which places of a flow graph are loops: depth first numbers, then dominators
-- until nothing changes.
function programs.havlak()
    local random, nodes, sum = new_random(), 3000, 0
    local after, before = {}, {}
    for i = 1, nodes do
        after[i], before[i] = {}, before[i] or {}
        local function edge(to)
            after[i][#after[i] + 1] = to
            before[to] = before[to] or {}
            table.insert(before[to], i)
        end
        if i < nodes then
            edge(i + 1)
        end
        edge(math.floor(random(nodes)) + 1)
        if i % 5 == 0 then
            edge(math.max(1, i - 3))
        end
    end
    for root = 1, 12 do
        local number, order, stack = {}, {}, { root }
        while #stack > 0 do
            local node = table.remove(stack)
            if not number[node] then
                order[#order + 1] = node
                number[node] = #order
                for k = #after[node], 1, -1 do
                    stack[#stack + 1] = after[node][k]
                end
            end
        end
        local dominator, changed = { [root] = root }, true
        local function meet(a, b)
            while a ~= b do
                while number[a] > number[b] do
                    a = dominator[a]
                end
                while number[b] > number[a] do
                    b = dominator[b]
                end
            end
            return a
        end
        while changed do
            changed = false
            for i = 2, #order do
                local node, common = order[i], nil
                for _, from in ipairs(before[node]) do
                    if dominator[from] then
                        common = common and meet(common, from) or from
                    end
                end
                if common and dominator[node] ~= common and
                   number[common] < i then
                    dominator[node], changed = common, true
                end
            end
        end
        for i = 1, #order do
            sum = sum + number[dominator[order[i]]]
        end
    end
    return sum
end

function programs.heapsort()
    local random, n = new_random(), 200000
    local heap = {}
    local function sink(at, last)
        local value = heap[at]
        while at * 2 <= last do
            local child = at * 2
            if child < last and heap[child] < heap[child + 1] then
                child = child + 1
            end
            if value >= heap[child] then
                break
            end
            heap[at] = heap[child]
            at = child
        end
        heap[at] = value
    end
    for i = 1, n do
        heap[i] = random(1)
    end
    for i = math.floor(n / 2), 1, -1 do
        sink(i, n)
    end
    for last = n, 2, -1 do
        heap[1], heap[last] = heap[last], heap[1]
        sink(1, last - 1)
    end
    return heap[1] + heap[n / 2] + heap[n]
end

-- So that each takes about as long.
local times = { fannkuch = 3, spectral = 8, trees = 16, mandelbrot = 16,
                sieve = 12, fasta = 2, ray = 10, queens = 25, series = 2,
                pidigits = 4, strings = 3, havlak = 4, heapsort = 2 }

local program = programs[arg[1]]
if program == nil then
    io.stderr:write('no such program: ', tostring(arg[1]), '\n')
    os.exit(2)
end
local begin = measure.clock()
local sum = 0
for _ = 1, times[arg[1]] or 1 do
    sum = sum + program()
end
measure.print('seconds', measure.clock() - begin)
measure.print('sum', sum)
io.stdout:flush()
