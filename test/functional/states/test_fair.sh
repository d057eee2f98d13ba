#!/bin/sh
# Beside functions of the shared state that compute for ever, one for each
# worker, all others of that state get their turn, and the workers their own; and
# out of memory in one state is its own affair. Were it not so, this would hang.
#
# test: timeout 120
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

here=$NEAP_SOURCE_DIR/test/functional/states
LUA_PATH="$here/?.lua;$LUA_PATH"
export LUA_PATH

both() {
	run neap --workers 4 --load "$here/shared.lua" \
		--load-per-thread "$here/worker.lua" "$@"
	err_is ''
	code_is 0
}

case ${NEAP_SANITIZE:-} in
*thread*) ;; # nobody is made to give way there
*)
	both -e '
local fiber, states = require("fiber"), require("neap.states")
local group = fiber.group()
group:spawn(states.with_request, function(r)
	r:call("command", "spin-until-stopped")
end)
states.with_request(function(r)
	while r:call("action", "spinning") < states.count do fiber.sleep(0.001) end
	for i = 1, 20 do
		assert(r:call("action", "S-where") == 0)
		assert(r:call("action", "P-where") == states.id)
	end
	r:call("action", "finish", states.id)
	while r:call("action", "finished") < states.count do fiber.sleep(0.001) end
	assert(r:call("action", "spinning") == states.count)
	r:call("action", "finish", -states.id)
	while r:call("action", "finished") < 2 * states.count do
		fiber.sleep(0.001)
	end
	r:call("action", "stop")
end)
group:wait()
print("done")'
	out_is 'done' 'done' 'done' 'done'
	;;
esac

both --max-memory 32M -e '
local states = require("neap.states")
states.with_request(function(r)
	r:call("action", "S-set-priv", "s")
	r:call("action", "P-set-priv", "p")
	for _, kind in ipairs({"P", "S"}) do
		for i = 1, 3 do
			local ok, err = pcall(r.call, r, "action", kind .. "-hog")
			assert(not ok and tostring(err):find("not enough memory"),
				tostring(err))
			assert(tostring(err):find(kind == "S" and "the shared state"
				or "worker " .. states.id, 1, true), tostring(err))
			assert(r:call("action", "P-where") == states.id)
			assert(select(2, r:call("fetch", "P-get-priv")) == "p")
			while not pcall(r.call, r, "action", "S-where") do end
		end
	end
end)
print("done")'
out_is 'done' 'done' 'done' 'done'
