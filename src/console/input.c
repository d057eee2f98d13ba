/* Bytes of standard input. See input.h. */
#include "console/input.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/inject.h"

int input_create(struct input *in, int fd, size_t chunk)
{
	*in = (struct input){ .fd = fd, .chunk = chunk };
	in->data = mem_alloc(chunk);
	if (in->data == NULL) {
		diag_set_oom(chunk, "reading standard input");
		return -1;
	}
	in->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (in->wake_fd < 0) {
		diag_set_system(errno, "eventfd");
		mem_free(in->data);
		return -1;
	}
	return 0;
}

void input_destroy(struct input *in)
{
	close(in->wake_fd);
	mem_free(in->data);
}

int input_byte(struct input *in)
{
	struct pollfd fds[] = {
		{ .fd = in->fd, .events = POLLIN },
		{ .fd = in->wake_fd, .events = POLLIN },
	};
	uint64_t count;
	ssize_t n;

	for (;;) {
		if (in->next < in->size)
			return (unsigned char)in->data[in->next++];
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return INPUT_EOF;
		if (fds[1].revents != 0 &&
		    read(in->wake_fd, &count, sizeof count) > 0)
			return INPUT_WOKEN;
		if (fds[0].revents == 0)
			continue;
		n = read(in->fd, in->data, in->chunk);
		if (n == 0)
			return INPUT_EOF;
		/* Somebody who shares the file may have made it non-blocking
		 * and been quicker. */
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return INPUT_EOF;
		in->next = 0;
		in->size = n < 0 ? 0 : (size_t)n;
	}
}

void input_wake(struct input *in)
{
	uint64_t one = 1;

	while (write(in->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
		continue;
}
