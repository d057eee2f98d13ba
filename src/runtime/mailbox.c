/* Work for another thread. See mailbox.h. */
#include "runtime/mailbox.h"

#include <assert.h>

#include "base/inject.h"
#include "runtime/loop.h"

/* As many are taken before the loop looks at its sockets and timers again. */
enum { BATCH = 64 };

static struct mail *take(struct mailbox *box)
{
	struct list *link;

	pthread_mutex_lock(&box->lock);
	link = list_shift(&box->due);
	if (link != NULL)
		box->count--;
	pthread_mutex_unlock(&box->lock);
	return link == NULL ? NULL : list_entry(link, struct mail, link);
}

static void on_async(uv_async_t *async)
{
	struct mailbox *box = async->data;

	for (int n = 0; n < BATCH; n++) {
		struct mail *m = take(box);

		if (m == NULL)
			return;
		box->taken++;
		m->run(m, true);
	}
	uv_async_send(async);
}

void mailbox_create(struct mailbox *box)
{
	pthread_mutex_init(&box->lock, NULL); /* plain: cannot fail */
	list_init(&box->due);
	box->count = 0;
	box->open = false;
	box->taken = 0;
	box->waiting = 0;
}

void mailbox_destroy(struct mailbox *box)
{
	assert(!box->open && list_empty(&box->due));
	pthread_mutex_destroy(&box->lock);
}

int mailbox_open(struct mailbox *box, struct loop *loop)
{
	int rc = inject("mailbox")
			 ? UV_EMFILE
			 : uv_async_init(&loop->uv, &box->async, on_async);

	if (rc != 0)
		return rc;
	box->async.data = box;
	uv_unref((uv_handle_t *)&box->async);
	pthread_mutex_lock(&box->lock);
	box->open = true;
	pthread_mutex_unlock(&box->lock);
	return 0;
}

void mailbox_close(struct mailbox *box)
{
	struct mail *m;
	bool open;

	pthread_mutex_lock(&box->lock);
	open = box->open;
	box->open = false;
	pthread_mutex_unlock(&box->lock);
	if (!open)
		return;
	while ((m = take(box)) != NULL)
		m->run(m, false);
	uv_close((uv_handle_t *)&box->async, NULL);
}

unsigned mailbox_count(struct mailbox *box)
{
	unsigned count;

	pthread_mutex_lock(&box->lock);
	count = box->count;
	pthread_mutex_unlock(&box->lock);
	return count;
}

int mailbox_post(struct mailbox *box, struct mail *m, unsigned limit)
{
	int rc = 0;

	pthread_mutex_lock(&box->lock);
	if (!box->open) {
		rc = UV_EPIPE;
	} else if (limit != 0 && box->count >= limit) {
		rc = UV_EAGAIN;
	} else {
		/* Under the lock: the handle cannot be closed meanwhile. */
		if (box->count++ == 0)
			uv_async_send(&box->async);
		list_add_tail(&box->due, &m->link);
	}
	pthread_mutex_unlock(&box->lock);
	return rc;
}

void mailbox_hold(struct mailbox *box)
{
	if (box->waiting++ == 0)
		uv_ref((uv_handle_t *)&box->async);
}

void mailbox_release(struct mailbox *box)
{
	assert(box->waiting > 0);
	if (--box->waiting == 0)
		uv_unref((uv_handle_t *)&box->async);
}
