-- What the sessions of a state have in common: what scripts have set by the
-- module `console`.

return {
    output = 'yaml',      -- of new sessions
    output_options = nil, -- of its mode
    on_start = nil,       -- called at the start of each
    eos = ';',            -- what ends an answer in the mode `lua`
    adopt = nil,          -- a client whose session is the next one: neap connect
}
