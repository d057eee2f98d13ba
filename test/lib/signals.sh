# Sourced after cli.sh: a signal at any moment of a program's life.

# The leak sanitizer looks from a process of its own, which stays for good when
# a signal ends the one it looks at.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"

# signals_early ROUNDS PART COMMAND...: in each round SIGINT and SIGTERM, the next
# of twenty PART-ths of a second after its start. It ends by itself, well or by
# the signal, and says nothing.
signals_early() {
	rounds=$1 part=$2
	shift 2
	i=0
	while [ $i -lt "$rounds" ]; do
		for signal in INT TERM; do
			"$@" > /dev/null 2> err.txt &
			pid=$!
			# From before the first instruction to after the last.
			sleep "$(awk "BEGIN { print ($i % 20) / $part }")"
			kill -s $signal $pid 2> /dev/null
			code=0
			wait $pid || code=$?
			err=$(cat err.txt)
			case $code in
			0 | 130 | 143) ;;
			*) fail "round $i, SIG$signal" ;;
			esac
			err_is ''
			# What the thread sanitizer unlinks in its own start.
			rm -f "$TMPDIR"/tsan.rodata.*
		done
		i=$((i + 1))
	done
}
