#!/bin/sh
# Rules that make the way to the shared state together do what each does for itself: random
# lists of rules, once with functions of the shared state, once with the same functions of the
# workers' states, give the same answers, the same lines in the log, and as many errors.
#
# test: timeout 240, soak 900, threads
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

here=$NEAP_SOURCE_DIR/test/functional/mixed
rounds=1 count=60
if [ -n "${NEAP_SOAK:-}" ]; then rounds=30; fi

errors() { # WHERE
	grep ' E> ' server.err | grep -c "$1" || :
}

round=1
while [ $round -le $rounds ]; do
	seed=${SEED:-$(date +%s)$round}
	run neap "$here/visits.lua" rules "$seed" $count
	code_is 0
	serve s1.sock server.yaml
	run neap "$here/visits.lua" ask $count
	end_server
	code_is 0
	case $out in *', 0 answers differ'*) ;; *) fail "seed $seed" ;; esac
	shared=$(errors 'in the shared state') own=$(errors 'in worker')
	[ "$shared" = "$own" ] ||
		fail "seed $seed: $shared errors in the shared state, $own in workers"
	grep ' I> ' server.err | sed 's/^.* I> //' | sort | uniq -c |
		awk '$1 % 2' > alone
	[ ! -s alone ] || fail "seed $seed: in the log of one of two only: $(cat alone)"
	round=$((round + 1))
done
