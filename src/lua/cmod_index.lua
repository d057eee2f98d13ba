-- The `__index` of handles: (methods, field) -> function. A method is found
-- without leaving Lua, where the compiler turns the look-up into a constant; any
-- other key is the C half's: field(handle, key).
local methods, field = ...

return function(handle, key)
    local method = methods[key]
    if method ~= nil then
        return method
    end
    return field(handle, key)
end
