-- WebSockets of the module `http.server`: see `http.websocket`, which is loaded when the
-- first one is wanted.
local c, request = ...

--- req:websocket([options], handler)
-- Make the connection a WebSocket, and run `handler(ws, req)`, which has it until it
-- returns: then it is closed with 1000; after an error, with 1011. A request that does
-- not ask for a WebSocket, or not rightly, is answered (400, 405, 426), as one from a
-- page that may not (403), and @handler does not run. What the request's own handler
-- returns behind it must be nothing. @options:
--
-- | option | default | what |
-- |---|---|---|
-- | `protocols` | none | names of protocols: the client's first that is among them is `ws.protocol` |
-- | `origin` | the same host | which pages may connect: one origin or an array, as "https://example.org", "*" for all, or `function(origin, req)`. A client that is no browser says none, and may |
-- | `headers` | none | further fields of the answer |
-- | `max_message` | 1048576 | bytes of a message; a larger one ends the connection with 1009 |
-- | `heartbeat` | 30 | seconds of silence after which a ping is sent, and after as many the connection is closed; false: never |
-- | `close_timeout` | 5 | seconds for the peer's answer to a Close |
-- | `compress` | false | compress messages (permessage-deflate) with clients that offer it: true or a table, see below |
--
-- `compress` may have `level`, 1 to 9 (5); `min_size` (1024): smaller messages are sent as
-- they are; and `context` (false): whether a message may refer to those before, which makes
-- small ones that are alike much smaller. Without it nothing is held between messages; with
-- it a connection holds 54 KB once it was sent one, and 10 to 40 KB once it has sent one.
-- `window` is the logarithm of how far back references go: 15 (9 to 15), or 12 with
-- `context`, where each bit more doubles what is held. What comes compressed is inflated
-- up to `max_message`. Do not compress a secret beside what an attacker may choose: the
-- size tells of it. `ws.compressed` says whether it was agreed on.
--
-- The server's `send_timeout` holds, and a stop of the server closes with 1001. `ws` is
-- the object that `http.websocket` describes.
--
--     httpd:route({path = '/echo', method = 'GET'}, function(req)
--         return req:websocket(function(ws)
--             for data, kind in ws:messages() do
--                 ws:send(data, kind)
--             end
--         end)
--     end)
--
-- Yields: maybe. Throws: the request has been answered; what @handler throws.
function request.methods:websocket(options, handler)
    require('http.websocket')._serve(self, c.reply, options, handler)
end

return request
