-- Lines to a console elsewhere.

local M = {}

return M
