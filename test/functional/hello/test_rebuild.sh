#!/bin/sh
# The example serves while its C library is built again: 50 times, 1,000 under
# make soak. The story is told in rebuild.c.
#
# test: timeout 180, soak 3600, serial
set -eu

exec "${NEAP_BINARY_DIR:?}/test/functional/hello/rebuild"
