-- An object of each documented class, so that its methods can be compared with
-- the reference: 'module/class' -> a function that makes one.
local fiber = require('fiber')

return {
    ['fiber/fiber_object'] = function()
        return fiber.self()
    end,
    ['fiber/channel'] = function()
        return fiber.channel(1)
    end,
    ['errors/err'] = function()
        return select(2, pcall(fiber.sleep, 'soon'))
    end,
    ['fiber/cond'] = function()
        return fiber.cond()
    end,
}
