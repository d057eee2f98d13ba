#!/bin/sh
# A name server that does not answer: the time limit and a cancel end the request, and
# the other fibers go on meanwhile.
# test: timeout 120
set -e

# It answers when the other fibers have come as far as that, or gives up.
cat > slow.c <<'END2'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef int resolve_f(const char *, const char *, const struct addrinfo *,
		      struct addrinfo **);

int getaddrinfo(const char *host, const char *port,
		const struct addrinfo *hints, struct addrinfo **ret)
{
	resolve_f *resolve = (resolve_f *)dlsym(RTLD_NEXT, "getaddrinfo");

	if (host == NULL || strcmp(host, "slow.invalid") != 0)
		return resolve(host, port, hints, ret);
	for (int i = 0; access("go-on", F_OK) != 0; i++) {
		if (i == 2000) {
			fclose(fopen("stuck", "w"));
			break;
		}
		usleep(10000);
	}
	return EAI_AGAIN;
}
END2
${CC:-cc} -shared -fPIC -o slow.so slow.c -ldl

cat > t.lua <<'END2'
local fiber = require('fiber')
local fio = require('fio')
local http = require('http.client')
local function descriptors() return #fio.listdir('/proc/self/fd') end
http.get('http://127.0.0.1:1/')
local before = descriptors()
local r, err = http.get('http://slow.invalid/', { timeout = 0.1 })
assert(r == nil and err.type == 'TimedOut', tostring(err))
local f = fiber.new(function() http.get('http://slow.invalid/') end)
f:set_joinable(true)
fiber.sleep(0.1)
f:cancel()
local ok, why = f:join()
assert(not ok and why.type == 'FiberIsCancelled', tostring(why))
io.open('go-on', 'w'):close()
while descriptors() > before do -- those who asked have a socket each
    fiber.sleep(0.01)
end
local stuck = io.open('stuck')
print(stuck == nil and 'nobody waited' or 'all waited for the name server')
os.exit(stuck == nil and 0 or 1)
END2
# What is still asked when the process ends is not freed.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0:detect_leaks=0"
LD_PRELOAD=$PWD/slow.so "$NEAP_BIN" t.lua
