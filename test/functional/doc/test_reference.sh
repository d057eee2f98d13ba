#!/bin/sh
# The reference is what the comments of the code say, and names what the
# program offers, no more and no less.
set -eu

cd "${NEAP_SOURCE_DIR:?}"
exec "${NEAP_BIN:?}" doc/tools/reference/generate.lua --check
