#!/bin/sh
# A script that opens something and then waits, while it is loaded and in init: the start
# goes on when it has.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

cat > server.yaml <<'END'
workers: 2
load_per_thread: app.lua
listeners: [{address: 'unix:s', rules: [{return: {status: 200}}]}]
END
cat > app.lua <<'END'
local fiber = require('fiber')
require('http.server').new('unix/:own', 0, { handler = print }):start()
fiber.sleep(0.01)
core.register_init(function()
	fiber.sleep(0.01)
end)
END
serve "$PWD/s" server.yaml
end_server
