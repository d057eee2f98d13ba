-- How a fetch is declared (require 'neap.fetch_declaration', which is no public module):
-- `out` the type of its values; `make(env, args..)` the function f(txn) -> value | nil;
-- `doc`; `args` as sample_args.lua reads them; `const` when it can be had at once;
-- `needs`: 'request', or 'response', which is not there yet while the rules of a request
-- run; `copied` when the copy of a request that other states have (txn:head()) has all that it
-- looks at, so that they answer it themselves: without it they ask the worker;
-- `each(env, args..)`: f(txn, test, arg) that calls test(value, arg) with all values, as
-- HAProxy's ACLs do, until one gives true.
local M = {}

-- fetch(out, needs, make, doc, [more]) -> declaration
function M.fetch(out, needs, make, doc, more)
    local decl = more or {}
    decl.out, decl.needs, decl.make, decl.doc = out, needs, make, doc
    return decl
end

-- plain(out, needs, f, doc, [more]) -> declaration of a fetch without arguments
function M.plain(out, needs, f, doc, more)
    return M.fetch(out, needs, function()
        return f
    end, doc, more)
end

-- simple(out, f, doc, [more]) -> declaration of one that needs no HTTP, either
function M.simple(out, f, doc, more)
    return M.plain(out, nil, f, doc, more)
end

-- copied_fetch(), copied(): as fetch() and plain(), of what the copy of a request answers.
function M.copied_fetch(out, needs, make, doc, more)
    local decl = M.fetch(out, needs, make, doc, more)
    decl.copied = true
    return decl
end

function M.copied(...)
    local decl = M.plain(...)
    decl.copied = true
    return decl
end

return M
