-- A part of the module `core`: events of the process, and of maps and ACLs.
local c = ...

local args = require('neap.args')

local ipairs, setmetatable = ipairs, setmetatable

local M = {}
local EventSub = {}
local sub_mt = args.class('EventSub', EventSub)

-- What is HAProxy's alone.
local out = { SERVER = true, ACME = true }

local function subscribe(types, f, source, family, call)
    args.table(types, 1, call)
    args.callable(f, 2, call)
    if #types == 0 or #types > 32 then
        args.bad(1, call, 'an array of 1 to 32 types expected')
    end
    for _, name in ipairs(types) do
        name = args.text(name, 1, call)
        if out[name:match('^%u+')] then
            args.bad(1, call, ("'%s': there are no such events in this server")
                :format(name))
        elseif not c.is_type(name)
            or (name:find('^PAT_REF') ~= nil) ~= (family == 'PAT_REF') then
            args.bad(1, call, ("'%s' event type is unknown"):format(name))
        end
    end
    local self = setmetatable({}, sub_mt)
    c.subscribe(types, f, self, source)
    return self
end

--- core.event_sub(types, f) -> event_sub
-- Have @f(type, data, event_sub, time) called, in a fiber of this state, for each event of
-- @types, an array of these, or of the part before the `_`, for all of them:
--
-- | type | when | fields of `data` |
-- |---|---|---|
-- | `WORKER_START` | a worker has its scripts and serves | `worker` (0: of the shared state), `generation` |
-- | `WORKER_STOP` | it begins to end: no new work | `worker`, `generation`, `reason` ("reload" or "end") |
-- | `WORKER_STUCK` | it has not turned for seconds: C code keeps it | `worker`, `generation`, `seconds` |
-- | `RELOAD_BEGIN` | a configuration is checked and started aside | `generation` |
-- | `RELOAD_DONE` | that serves now | `generation` |
-- | `RELOAD_FAILED` | it does not, and nothing has changed | `generation`, `error` |
-- | `LISTENER_ADD` | the process begins to listen at an address | `address`, `name` if it has one |
-- | `LISTENER_DEL` | no worker listens there any more | `address`, `name` |
-- | `CERTIFICATE_NEW` | a server's file has another certificate than before | `name` (the file), `fingerprint` (SHA-256) |
-- | `CERTIFICATE_FAIL` | it could not be loaded again | `name`, `error` |
-- | `MODULE_LOAD` | a C module was loaded | `path` |
-- | `MODULE_REPLACE` | a newer file of it was | `path` |
-- | `MODULE_UNLOAD` | nobody uses it any more | `path` |
--
-- `time` is in seconds since 1970. @f gets one event after the other, and may wait; an
-- error in it is logged. With 100 events that were not read a subscription is paused, which
-- is logged: what comes is lost and counted, until they are. What a reload leaves as it is,
-- an address or a certificate, is no event. Yields: no. Throws: no such type.
function M.event_sub(types, f)
    return subscribe(types, f, nil, nil, 'event_sub')
end

-- Of a Patref: see map.lua.
function M.patref_sub(name, types, f)
    return subscribe(types, f, name, 'PAT_REF', 'event_sub')
end

--- event_sub:unsub()
-- No more events, also inside the function that gets them. Yields: no.
function EventSub:unsub()
    args.object(self, sub_mt, 'unsub')
    c.unsubscribe(self[1])
end

--- event_sub:lost() -> number
-- How many events it has lost. Yields: no.
function EventSub:lost()
    args.object(self, sub_mt, 'lost')
    return c.lost(self[1])
end

-- publish(type, data): for what causes events in Lua, and for tests.
M.publish = c.publish

return M
