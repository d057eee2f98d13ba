-- An object of each documented class, so that its methods can be compared with
-- the reference: 'module/class' -> a function that makes one.
local cmod = require('cmod')
local console = require('console')
local fiber = require('fiber')

-- Any library will do for handles: one that the program itself is linked with.
local function library()
    for line in io.lines('/proc/self/maps') do
        local path = line:match('(/%S*/libuv)%.so')
        if path ~= nil then
            return path
        end
    end
end

return {
    ['cmod/module'] = function()
        return cmod.load(library())
    end,
    ['cmod/func'] = function()
        return cmod.load(library()):load('uv_version')
    end,
    ['fiber/fiber_object'] = function()
        return fiber.self()
    end,
    ['fiber/channel'] = function()
        return fiber.channel(1)
    end,
    ['errors/err'] = function()
        return select(2, pcall(fiber.sleep, 'soon'))
    end,
    ['console/console_server'] = function()
        local path = os.tmpname()
        os.remove(path)
        return assert(console.listen(path))
    end,
    ['fiber/cond'] = function()
        return fiber.cond()
    end,
}
