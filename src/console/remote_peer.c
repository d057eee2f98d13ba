/* Who is at the other end of a remote console. See remote_peer.h. */
#include "console/remote_peer.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/escape.h"
#include "net/listener.h"
#include "net/stream.h"
#include "net/tls.h"

static void format_process(char *text, const struct stream *s)
{
	struct ucred cred;
	socklen_t size = sizeof cred;
	int fd;

	if (uv_fileno(&s->uv.handle, &fd) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) != 0)
		snprintf(text, REMOTE_PEER_SIZE, "somebody");
	else
		snprintf(text, REMOTE_PEER_SIZE, "uid %u pid %d",
			 (unsigned)cred.uid, (int)cred.pid);
}

/* The name in his certificate is text of a stranger. */
static void add_subject(char *text, const struct stream *s)
{
	struct buf subject = { 0 };
	struct tls_info info;
	size_t n = strlen(text);

	if (!stream_tls_info(s, &info) || !info.has_peer)
		return;
	escape_quoted(&subject, info.subject, strlen(info.subject));
	if (subject.size > 0)
		snprintf(text + n, REMOTE_PEER_SIZE - n, " \"%.*s\"",
			 (int)subject.size, subject.data);
	buf_destroy(&subject);
}

void remote_peer_format(char *text, const struct stream *s)
{
	struct listen_address peer = { .size = sizeof peer.addr };

	if (stream_peer(s, &peer.addr) != 0) {
		snprintf(text, REMOTE_PEER_SIZE, "somebody");
	} else if (peer.addr.ss_family == AF_UNIX) {
		format_process(text, s);
	} else {
		listen_address_format(&peer, text, REMOTE_PEER_SIZE);
		add_subject(text, s);
	}
}

bool remote_secret_is(const char *secret, const char *told, size_t size)
{
	size_t length = strlen(secret);
	unsigned char differs = length != size;

	/* As many steps as he has told bytes, whatever they are. */
	for (size_t i = 0; i < size; i++)
		differs |= (unsigned char)(told[i] ^ secret[i % length]);
	return differs == 0;
}
