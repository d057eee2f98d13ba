-- What the sessions of a state have in common: what scripts have set by the
-- module `console`.

return {
    output = 'yaml',      -- of new sessions
    output_options = nil, -- of its mode
    on_start = nil,       -- called at the start of each
}
