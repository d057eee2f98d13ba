#!/bin/sh
# make bench works: every figure and every limit can be had; for the peer, see
# test_peer.sh. Their values are not looked at.
#
# test: timeout 400
set -eu

if [ -n "${NEAP_SANITIZE:-}" ]; then
	echo "figures of a sanitized build say nothing"
	exit 77
fi
exec "${NEAP_SOURCE_DIR:?}/test/bench/run" --quick --no-peer
