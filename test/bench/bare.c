/*
 * The limits of the Lua figures: the same LuaJIT as the server's in the
 * smallest program that can hold it, with what the figures are compared to as
 * plain functions in C. It also runs the whole benchmark (run.lua).
 *
 *	bare SCRIPT [ARG..]
 *
 * The script finds the functions in the global table `bare`.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <msgpack.h>
#include <neap/module.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARGS_MAX = 31 };

static double clock_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int l_clock(lua_State *L)
{
	lua_pushnumber(L, clock_s());
	return 1;
}

/* --- what a call of C costs at least --- */

static int l_noop(lua_State *L)
{
	(void)L;
	return 0;
}

static int l_add(lua_State *L)
{
	lua_pushnumber(L, lua_tonumber(L, 1) + lua_tonumber(L, 2));
	return 1;
}

/* echo(map): another table with the same keys and values. */
static int l_echo(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_createtable(L, 0, 4);
	lua_pushnil(L);
	while (lua_next(L, 1) != 0) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, 2);
	}
	return 1;
}

/* --- what a call on another thread costs at least --- */

struct handover {
	sem_t there, back;
	lua_Integer count;
};

static void *hand_back(void *arg)
{
	struct handover *h = arg;

	for (lua_Integer i = 0; i < h->count; i++) {
		sem_wait(&h->there);
		sem_post(&h->back);
	}
	return NULL;
}

/* handover(n): n times to another thread and back. */
static int l_handover(lua_State *L)
{
	struct handover h = { .count = luaL_checkinteger(L, 1) };
	pthread_t thread;

	sem_init(&h.there, 0, 0);
	sem_init(&h.back, 0, 0);
	if (pthread_create(&thread, NULL, hand_back, &h) != 0)
		return luaL_error(L, "no thread");
	for (lua_Integer i = 0; i < h.count; i++) {
		sem_post(&h.there);
		sem_wait(&h.back);
	}
	pthread_join(thread, NULL);
	sem_destroy(&h.there);
	sem_destroy(&h.back);
	return 0;
}

/* --- what a call in another process costs at least --- */

enum { QUESTION = 35, ANSWER = 37 }; /* bytes of the frames of a sum */

static int pass_on(int fd, const char *bytes, size_t size)
{
	return write(fd, bytes, size) == (ssize_t)size ? 0 : -1;
}

/* exchange(n): n times to another process and back, over a socket pair. */
static int l_exchange(lua_State *L)
{
	lua_Integer n = luaL_checkinteger(L, 1);
	char bytes[64] = "";
	int pair[2], rc = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		return luaL_error(L, "no sockets");
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		while (read(pair[1], bytes, sizeof bytes) > 0 &&
		       pass_on(pair[1], bytes, ANSWER) == 0)
			;
		_exit(0);
	}
	close(pair[1]);
	for (lua_Integer i = 0; i < n && rc == 0; i++) {
		rc = pass_on(pair[0], bytes, QUESTION);
		if (rc == 0 && read(pair[0], bytes, sizeof bytes) != ANSWER)
			rc = -1;
	}
	close(pair[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return rc == 0 && pid > 0 ? 0 : luaL_error(L, "no process");
}

/* --- what loading a library costs at least --- */

/* told_cycle(path, n): ask n times whether the kernel tells of a change of the
 * file, or of the mounts. */
static int l_told_cycle(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	lua_Integer n = luaL_checkinteger(L, 2);
	int files = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event of_files = { .events = EPOLLIN };
	struct epoll_event of_mounts = { .events = EPOLLPRI }, e;
	int told = 0;

	if (inotify_add_watch(files, path, IN_MODIFY) < 0 ||
	    epoll_ctl(set, EPOLL_CTL_ADD, files, &of_files) != 0 ||
	    epoll_ctl(set, EPOLL_CTL_ADD, mounts, &of_mounts) != 0)
		return luaL_error(L, "%s: %s", path, strerror(errno));
	for (lua_Integer i = 0; i < n && told == 0; i++)
		told = epoll_wait(set, &e, 1, 0);
	close(set);
	close(mounts);
	close(files);
	return told == 0 ? 0 : luaL_error(L, "%s has changed", path);
}

/* What a library of ours wants to find; nothing here calls it. */
int neap_return_mp(neap_call_t *call, const char *begin, const char *end)
{
	(void)call;
	(void)begin;
	(void)end;
	abort();
}

int neap_error_set(const char *file, unsigned line, uint32_t code,
		   const char *format, ...)
{
	(void)file;
	(void)line;
	(void)code;
	(void)format;
	abort();
}

/* dl_cycle(path, symbol, n): dlopen, dlsym, dlclose. */
static int l_dl_cycle(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	const char *symbol = luaL_checkstring(L, 2);
	lua_Integer n = luaL_checkinteger(L, 3);

	for (lua_Integer i = 0; i < n; i++) {
		void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);

		if (lib == NULL)
			return luaL_error(L, "%s", dlerror());
		if (dlsym(lib, symbol) == NULL) {
			dlclose(lib);
			return luaL_error(L, "no %s", symbol);
		}
		dlclose(lib);
	}
	return 0;
}

/* --- what msgpack costs at least: msgpack-c between bytes and C data --- */

/* mp_encode(bytes, n): the value in them, packed n times. */
static int l_mp_encode(lua_State *L)
{
	size_t size;
	const char *data = luaL_checklstring(L, 1, &size);
	lua_Integer n = luaL_checkinteger(L, 2);
	msgpack_unpacked value;
	msgpack_sbuffer out;
	msgpack_packer packer;
	int ok;

	msgpack_unpacked_init(&value);
	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	ok = msgpack_unpack_next(&value, data, size, NULL) ==
	     MSGPACK_UNPACK_SUCCESS;
	for (lua_Integer i = 0; ok && i < n; i++) {
		msgpack_sbuffer_clear(&out);
		ok = msgpack_pack_object(&packer, value.data) == 0;
	}
	ok = ok && out.size == size;
	msgpack_sbuffer_destroy(&out);
	msgpack_unpacked_destroy(&value);
	return ok ? 0 : luaL_error(L, "msgpack-c packed it differently");
}

/* mp_decode(bytes, n): unpacked n times into msgpack-c's objects. */
static int l_mp_decode(lua_State *L)
{
	size_t size;
	const char *data = luaL_checklstring(L, 1, &size);
	lua_Integer n = luaL_checkinteger(L, 2);
	msgpack_unpacked value;
	int ok = 1;

	msgpack_unpacked_init(&value);
	for (lua_Integer i = 0; ok && i < n; i++)
		ok = msgpack_unpack_next(&value, data, size, NULL) ==
		     MSGPACK_UNPACK_SUCCESS;
	msgpack_unpacked_destroy(&value);
	return ok ? 0 : luaL_error(L, "msgpack-c cannot unpack it");
}

/* --- for run.lua --- */

static pid_t start(lua_State *L, int first, const char *log)
{
	char *argv[ARGS_MAX + 1];
	int argc = lua_gettop(L) - first + 1;
	int flags = O_WRONLY | O_CREAT | O_APPEND;
	posix_spawn_file_actions_t files;
	pid_t pid;
	int rc;

	if (argc < 1 || argc > ARGS_MAX)
		return luaL_error(L, "1 to %d arguments", ARGS_MAX);
	for (int i = 0; i < argc; i++)
		argv[i] = (char *)luaL_checkstring(L, first + i);
	argv[argc] = NULL;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, log, flags, 0644);
	posix_spawn_file_actions_adddup2(&files, 1, 2);
	rc = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (rc != 0)
		return luaL_error(L, "%s: %s", argv[0], strerror(rc));
	return pid;
}

static int exit_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/*
 * run(log, program, arg..): start it and wait for its end. Returns seconds and
 * exit code (128 + signal).
 */
static int l_run(lua_State *L)
{
	const char *log = luaL_checkstring(L, 1);
	double begin = clock_s();
	pid_t pid = start(L, 2, log);
	int status;

	if (waitpid(pid, &status, 0) < 0)
		return luaL_error(L, "waitpid: %s", strerror(errno));
	lua_pushnumber(L, clock_s() - begin);
	lua_pushinteger(L, exit_code(status));
	return 2;
}

/* start(log, program, arg..): returns its process id. */
static int l_start(lua_State *L)
{
	lua_pushinteger(L, start(L, 2, luaL_checkstring(L, 1)));
	return 1;
}

/*
 * stop(pid, signal, seconds): the signal (0: none), then wait for the end, by
 * SIGKILL when it takes longer. Returns the exit code.
 */
static int l_stop(lua_State *L)
{
	pid_t pid = (pid_t)luaL_checkinteger(L, 1);
	int sig = (int)luaL_checkinteger(L, 2);
	double end = clock_s() + luaL_checknumber(L, 3);
	int status;
	pid_t got;

	if (sig != 0)
		kill(pid, sig);
	while ((got = waitpid(pid, &status, WNOHANG)) == 0) {
		if (clock_s() > end) {
			kill(pid, SIGKILL);
			got = waitpid(pid, &status, 0);
			break;
		}
		usleep(5000);
	}
	if (got < 0)
		return luaL_error(L, "waitpid: %s", strerror(errno));
	lua_pushinteger(L, exit_code(status));
	return 1;
}

/* pin(core): this process and those it starts run there; -1: anywhere. */
static int l_pin(lua_State *L)
{
	int core = (int)luaL_checkinteger(L, 1);
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (core < 0 || i == core)
			CPU_SET(i, &set);
	}
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		return luaL_error(L, "core %d: %s", core, strerror(errno));
	return 0;
}

/* sleep(seconds) */
static int l_sleep(lua_State *L)
{
	usleep((useconds_t)(luaL_checknumber(L, 1) * 1e6));
	return 0;
}

static const luaL_Reg functions[] = {
	{ "clock", l_clock },
	{ "noop", l_noop },
	{ "add", l_add },
	{ "echo", l_echo },
	{ "handover", l_handover },
	{ "exchange", l_exchange },
	{ "told_cycle", l_told_cycle },
	{ "dl_cycle", l_dl_cycle },
	{ "mp_encode", l_mp_encode },
	{ "mp_decode", l_mp_decode },
	{ "run", l_run },
	{ "start", l_start },
	{ "stop", l_stop },
	{ "pin", l_pin },
	{ "sleep", l_sleep },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	lua_State *L = luaL_newstate();

	if (argc < 2) {
		fprintf(stderr, "usage: bare SCRIPT [ARG..]\n");
		return 2;
	}
	if (L == NULL) {
		fprintf(stderr, "bare: no memory for a Lua state\n");
		return 1;
	}
	luaL_openlibs(L);
	luaL_register(L, "bare", functions);
	lua_createtable(L, argc, 0);
	for (int i = 0; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i - 1);
	}
	lua_setglobal(L, "arg");
	if (luaL_loadfile(L, argv[1]) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
		fprintf(stderr, "bare: %s\n", lua_tostring(L, -1));
		return 1;
	}
	lua_close(L);
	return 0;
}
