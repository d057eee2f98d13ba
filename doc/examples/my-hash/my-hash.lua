-- The fetch of HAProxy's guide to Lua: a hash of who asks for what, and of a salt.
--
-- txn.sf has fetches that are always strings, "" for what is missing; txn.sc has
-- converters: sdbm() is a hash, the 1 mixes its bits.
core.register_fetches('my-hash', function(txn, salt)
    local text = salt .. txn.sf:req_fhdr('host') .. txn.sf:path() .. txn.sf:src()
    return txn.sc:sdbm(text, 1)
end)
