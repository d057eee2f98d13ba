-- Fetches and converters, of all types, with arguments and of each other.
core.register_fetches('kind', function(txn, what)
    if what == 'number' then return 17 end
    if what == 'text' then return 'text' end
    if what == 'true' then return true end
    return what .. '?'
end)

core.register_fetches('who', function(txn)
    return txn.sf:req_hdr('x-one') .. '/' .. txn.sf:req_hdr('x-none') .. '/'
        .. tostring(txn.f:req_hdr('x-none')) .. '/' .. txn.f:path() .. '/'
        .. txn.c:lower('ABC') .. '/' .. txn.sf:src()
end)

core.register_converters('wrap', function(value, left, right)
    return (left or '<') .. value .. (right or '>')
end)

core.register_converters('twice', function(value)
    return value * 2
end)

core.register_fetches('escape', function(txn)
    return txn.sc:url_dec(txn.sf:url_param('q'))
end)
