#!/bin/sh
# The reference is what the comments of the code say, and names what the
# program offers, no more and no less.
set -eu

unset LUA_PATH # our own tap.lua would go before the module
cd "${NEAP_SOURCE_DIR:?}"
exec "${NEAP_BIN:?}" doc/tools/reference/generate.lua --check
