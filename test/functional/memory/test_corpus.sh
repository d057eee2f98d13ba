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
if [ -n "${NEAP_SANITIZE:-}${NEAP_LUAJIT_ASSERT:-}" ]; then count=5; fi

corpus=$NEAP_SOURCE_DIR/test/functional/memory/corpus.lua
# Alone its traces stay, and they know the function that holds all.
run neap --log-level fatal --max-memory 4M "$corpus" 2 tostring_grows
out_is fine
run neap --log-level fatal --max-memory 4M "$corpus" $count
# With a sanitizer's slow memory who grew is told wrong at times: the neighbour may
# die of the lack. And to put thousands of coroutines aside takes longer than a slice
# there, so that they may do nothing else until their CPU time is over. Nothing else
# may happen: a wrong answer, an error of the wrong type, a program that does not end,
# memory that is lost.
if [ -n "${NEAP_SANITIZE:-}" ]; then
	case $err in *Sanitizer*) fail 'no report' ;; esac
	died='^WRONG: [a-z_]*, run [0-9]*: the neighbour died: not enough memory'
	slow='^WRONG: coroutines_[a-z_]*, run [0-9]*: execution limit of '
	rest=$(printf '%s' "$out" | grep -v -e "$died" -e "$slow" -e '^fine$')
	[ -n "$out" ] && [ -z "$rest" ] ||
		fail 'nothing wrong but what has a reason'
	exit 0
fi
out_is fine
code_is 0
