#!/bin/sh
# Hostile programs in a state with a memory limit, each many times beside a fiber
# that works: only the offender ends, the neighbour answers, memory is level.
#
# test: timeout 1200, soak 14000
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

# The thread sanitizer delivers signals late: nothing is made to give way.
case ${NEAP_SANITIZE:-} in *thread*) exit 77 ;; esac

count=10
if [ -n "${NEAP_SOAK:-}" ]; then count=1000; fi
slow=${NEAP_SANITIZE:-}${NEAP_LUAJIT_ASSERT:-}
if [ -n "$slow" ]; then count=5; fi

corpus=$NEAP_SOURCE_DIR/test/functional/memory/corpus.lua
run neap --log-level fatal --max-memory 4M "$corpus" $count
# With a sanitizer's slow memory, or LuaJIT's assertions, who grew is told wrong at
# times: that nothing breaks is looked at.
if [ -n "$slow" ]; then
	case $err in *Sanitizer*) fail 'no report' ;; esac
	case $out in fine* | WRONG*) exit 0 ;; esac
fi
out_is fine
code_is 0
