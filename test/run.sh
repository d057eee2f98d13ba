#!/bin/sh
# Runs one test: a folder and a TMPDIR of its own, its time limit, its TAP.
#
# Usage: run.sh FOLDER SECONDS SOAK-SECONDS plain|tap COMMAND [ARG..]
# Exit: the command's; 124 out of time; 77 the test skipped itself; 1 if the TAP
# is not as it should be, or a process or a file in TMPDIR was left behind.
set -u

folder=$1 limit=$2 soak=$3 kind=$4
shift 4
if [ -n "${NEAP_SOAK:-}" ]; then limit=$soak; fi

rm -rf "$folder"
mkdir -p "$folder" && cd "$folder" || exit 1
# Not below the build folder: a unix socket's path ends at 107 bytes.
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/neap.XXXXXX") || exit 1
HOME=$folder
export TMPDIR HOME
trap 'rm -rf "$TMPDIR"' EXIT

# Names and ids of the processes of a group.
members() {
	cat /proc/[0-9]*/stat 2> /dev/null | awk -v group="$1" '{
		line = $0
		sub(/.*\) /, "", line)
		split(line, field, " ")
		if (field[3] == group) printf "%s %s ", $2, $1
	}'
}

# timeout(1) leads a process group of its own, so what the test leaves running
# can be found by it. Files, not pipes: a process left behind holds no one up.
group=
trap 'kill -s KILL -- "-$group" 2> /dev/null; exit 130' HUP INT TERM
timeout -k 5 "$limit" "$@" < /dev/null > run.out 2> run.err &
group=$!
wait "$group"
code=$?
cat run.out
cat run.err >&2

# On a machine with more to do, what has ended is gone late.
strays=
tries=50
while kill -s 0 -- "-$group" 2> /dev/null; do
	tries=$((tries - 1))
	if [ "$tries" = 0 ]; then
		strays=$(members "$group")
		kill -s KILL -- "-$group" 2> /dev/null
		break
	fi
	sleep 0.2
done

if [ "$code" = 124 ]; then
	echo "run.sh: out of time after $limit s" >&2
fi
[ "$code" = 0 ] || exit "$code"

if [ -n "$strays" ]; then
	echo "run.sh: processes left behind: $strays" >&2
	exit 1
fi
# The thread sanitizer makes one as each process begins, and removes it at once,
# unless it is killed just then.
rm -f "$TMPDIR"/tsan.rodata.*
left=$(ls -A "$TMPDIR")
if [ -n "$left" ]; then
	echo "run.sh: left behind in TMPDIR: $left" >&2
	exit 1
fi

[ "$kind" = tap ] || exit 0
# A script that ends early says so by a missing or unfulfilled plan.
awk '
	/^1\.\.[0-9]+/ { planned = substr($1, 4) + 0; has_plan = 1 }
	/^1\.\.0 # *[Ss][Kk][Ii][Pp]/ { skip = 1 }
	/^ok / || /^ok$/ { run++ }
	/^not ok/ { run++; if ($0 !~ /# *TODO/) failed++ }
	/^Bail out!/ { bailed = 1 }
	END {
		if (skip) exit 77
		if (bailed) { print "run.sh: bailed out"; exit 1 }
		if (!has_plan) { print "run.sh: no plan in the TAP"; exit 1 }
		if (run != planned) {
			print "run.sh: " run + 0 " results, planned " planned
			exit 1
		}
		if (failed) { print "run.sh: " failed " not ok"; exit 1 }
	}' run.out >&2
