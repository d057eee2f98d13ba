/*
 * Words to the service manager that started the process, by systemd's datagram protocol
 * (sd_notify(3)): lines NAME=VALUE to the unix socket that NOTIFY_SOCKET names. Without
 * one nothing is said. The main thread's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** Read what the environment says, and take it out: it is not for programs that are
 * started from here. */
void notify_start(void);

/** The socket, as the environment had it; NULL: none. */
const char *notify_socket(void);

/** How often the manager wants to hear WATCHDOG=1, in nanoseconds: at least. 0: it does
 * not. */
uint64_t notify_watchdog_ns(void);

/** Say one or several lines. What cannot be said is lost. */
void notify_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** Nothing more is said: another process speaks for the service. */
void notify_end(void);

/** RELOADING=1, with the time that is wanted then. */
void notify_reloading(void);
