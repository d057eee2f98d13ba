#!/bin/sh
# The public headers, each as the first and only include, in every language they
# are written for, by both compilers, without a warning; and every name of them
# used, so that macros are seen as their users see them.
#
# test: timeout 300
set -u

: "${NEAP_SOURCE_DIR:?}"
include=$NEAP_SOURCE_DIR/src/include
warnings="-Wall -Wextra -pedantic -Wconversion -Wsign-conversion -Wshadow -Werror"
failed=0
count=0

cat > ours.inc <<'C'
static int init(void) { return 0; }
static void fini(void) { }
NEAP_MODULE("a", "1", init, fini);
static int body(void *arg) { return arg != NULL; }
neap_func_t check_type(void);
int use(neap_call_t *call, const char *args, const char *end);
int use(neap_call_t *call, const char *args, const char *end)
{
	neap_fiber_t *f = NULL;
	int result = 0;

	if (neap_return_mp(call, args, end) != 0)
		return NEAP_ERR("text");
	if (neap_fiber_start("f", body, NULL, &f) != 0)
		return NEAP_ERR("text %d", 1);
	neap_fiber_cancel(f);
	if (neap_fiber_join(f, -1, &result) != 0 || neap_fiber_is_cancelled())
		return neap_error_set("f", 1, NEAP_ER_TIMEOUT, "%s", "x");
	if (neap_fiber_sleep(1) != 0 || neap_fiber_yield() != 0)
		return -1;
	return neap_wait_fd(0, NEAP_READ | NEAP_WRITE, 0.5);
}
C

cat > peer.inc <<'C'
static int body(va_list ap) { return va_arg(ap, int); }
static ssize_t work(va_list ap) { return va_arg(ap, int); }
int use(box_function_ctx_t *ctx, const char *args, const char *end);
int use(box_function_ctx_t *ctx, const char *args, const char *end)
{
	fiber_func function = body;
	struct fiber_attr *attr = fiber_attr_new();
	struct fiber *f = fiber_new("a", function);
	struct fiber_cond *cond = fiber_cond_new();
	struct addrinfo *list = NULL;
	box_error_t *e = box_error_last();

	fiber_attr_setstacksize(attr, fiber_attr_getstacksize(attr));
	f = f == NULL ? fiber_new_ex("b", attr, function) : f;
	fiber_attr_delete(attr);
	fiber_set_joinable(f, true);
	fiber_start(f, 1, 2.0, "x");
	fiber_wakeup(f);
	fiber_cancel(f);
	if (fiber_join(f) != 0 || fiber_join_timeout(f, 1) != 0)
		return box_error_raise(ER_PROC_C, "text");
	fiber_cond_signal(cond);
	fiber_cond_broadcast(cond);
	if (fiber_cond_wait(cond) || fiber_cond_wait_timeout(cond, 1))
		return box_error_raise(ER_UNKNOWN, "%d", 1);
	fiber_cond_delete(cond);
	fiber_sleep(0.1);
	fiber_yield();
	fiber_reschedule();
	if (fiber_is_cancelled() || fiber_set_cancellable(false))
		say_info("text");
	if (fiber_self() == NULL || coio_wait(0, COIO_READ | COIO_WRITE, 1))
		say_warn("%d", 1);
	if (coio_close(1) || coio_call(work, 1) ||
	    coio_getaddrinfo("a", "b", NULL, &list, 1))
		say_error("%s", "x");
	say_crit("x");
	say_verbose("x");
	say_debug("x");
	say_syserror("x");
	say(S_INFO, NULL, "x %d", 1);
	say_file_line(S_FATAL, "f", 1, "why", "x");
	if (e != NULL)
		say(S_INFO, box_error_message(e), "%s %u", box_error_type(e),
		    box_error_code(e));
	box_error_clear();
	if (fiber_time() + fiber_clock() + clock_realtime() +
	    clock_monotonic() + clock_process() + clock_thread() < 1)
		return -1;
	if (fiber_time64() + fiber_clock64() + clock_realtime64() +
	    clock_monotonic64() + clock_process64() + clock_thread64() < 1)
		return box_error_set("f", 1, ER_SYSTEM, "x");
	return box_return_mp(ctx, args, end);
}
C

# try COMPILER STANDARD LANGUAGE FLAGS HEADER BODY
try() {
	printf '#include <%s>\n' "$5" > t.src
	[ -n "$6" ] && cat "$6" >> t.src
	count=$((count + 1))
	# shellcheck disable=SC2086
	if ! "$1" -std="$2" -x "$3" $warnings $4 -fsyntax-only t.src > log 2>&1
	then
		echo "$1 -std=$2 <$5> ${6:+with its names used}:"
		cat log
		failed=1
	fi
}

# each COMPILER LANGUAGE STANDARD...
each() {
	compiler=$1 language=$2
	shift 2
	command -v "$compiler" > log || return 0
	for standard in "$@"; do
		for body in "" ours.inc; do
			try "$compiler" "$standard" "$language" "-I$include" \
				neap/module.h "$body"
		done
		for body in "" peer.inc; do
			for header in module.h tarantool/module.h; do
				try "$compiler" "$standard" "$language" \
					"-I$include/neap/compat" $header "$body"
			done
			try "$compiler" "$standard" "$language" "-I$include" \
				neap/compat/module.h "$body"
		done
	done
}

each gcc c c99 c11 gnu11 c17
each clang c c99 c11 gnu11 c17
each g++ c++ c++11 c++17 gnu++17
each clang++ c++ c++11 c++17 gnu++17
echo "$count compilations"
if [ "$count" -lt 30 ]; then failed=1; fi

# Both in one source, in either order.
for order in 'neap/module.h neap/compat/module.h' \
	'neap/compat/module.h neap/module.h'; do
	for header in $order; do
		printf '#include <%s>\n' "$header"
	done > t.src
	# shellcheck disable=SC2086
	if ! ${CC:-cc} -std=c99 -x c $warnings -I"$include" -fsyntax-only t.src
	then
		failed=1
	fi
done

# Each declaration has a comment in front of it.
for header in module.h compat/module.h; do
	awk -v header="$header" '
		/^\/\*\*/ { documented = 1 }
		/^ \*/ { next }
		/^(NEAP_EXPORT|[a-z].*\()/ && !/^(extern|static|typedef.*;$)/ {
			if (!documented && !inside && !/^enum|^struct/) {
				print header ":" FNR ": no comment: " $0
				bad = 1
			}
			inside = 1
		}
		/;$/ { documented = inside = 0 }
		END { exit bad }
	' "$include/neap/$header" || failed=1
done
exit $failed
