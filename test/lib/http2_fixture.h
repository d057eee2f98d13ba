/* A server of HTTP/2 and one peer of it, for each test of a file. */
#pragma once

#include "http2_peer.h"

static struct rig rig;
static struct peer peer;

static inline int fixture_start(const struct http_limits *limits)
{
	rig_start(&rig, limits);
	assert_int_equal(http_server_set_http2(rig.server, true), 0);
	peer_open(&peer, &rig);
	return 0;
}

static inline int stop(void **state)
{
	(void)state;
	peer_close(&peer);
	rig_stop(&rig);
	return 0;
}

static inline struct peer_stream *stream(uint32_t id)
{
	return peer_at(&peer, id);
}
