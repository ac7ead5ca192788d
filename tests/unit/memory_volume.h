/* SPDX-License-Identifier: Apache-2.0 */
/* A volume in memory, which ends the program when it is used outside its
 * bounds. */
#ifndef REHOST_TESTS_MEMORY_VOLUME_H
#define REHOST_TESTS_MEMORY_VOLUME_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "volume/volume.h"

struct memory_volume {
	struct volume volume; /* first */
	pthread_mutex_t lock;
	uint8_t *bytes;
	uint64_t writes; /* writes and zeros */
};

static struct memory_volume *memory_volume_at(
	struct volume *v, uint64_t n, uint64_t off)
{
	struct memory_volume *m = (struct memory_volume *)(void *)v;

	if (n == 0 || off >= v->size || n > v->size - off)
		abort();
	return m;
}

static int memory_volume_read(
	struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	struct memory_volume *m = memory_volume_at(v, n, off);

	(void)pthread_mutex_lock(&m->lock);
	memcpy(buf, m->bytes + off, n);
	(void)pthread_mutex_unlock(&m->lock);
	return 0;
}

static int memory_volume_write(
	struct volume *v, void *buf, uint64_t n, uint64_t off)
{
	struct memory_volume *m = memory_volume_at(v, n, off);

	(void)pthread_mutex_lock(&m->lock);
	memcpy(m->bytes + off, buf, n);
	m->writes++;
	(void)pthread_mutex_unlock(&m->lock);
	return 0;
}

static int memory_volume_zero(struct volume *v, uint64_t n, uint64_t off)
{
	struct memory_volume *m = memory_volume_at(v, n, off);

	(void)pthread_mutex_lock(&m->lock);
	memset(m->bytes + off, 0, n);
	m->writes++;
	(void)pthread_mutex_unlock(&m->lock);
	return 0;
}

static int memory_volume_flush(struct volume *v)
{
	return 0;
}

/* All bytes are fill. */
static inline void memory_volume_init(
	struct memory_volume *m, uint64_t size, int fill)
{
	static const struct volume_ops ops = {memory_volume_read,
		memory_volume_write, memory_volume_zero, memory_volume_flush};

	memset(m, 0, sizeof(*m));
	m->volume.ops = &ops;
	m->volume.fd = -1;
	m->volume.size = size;
	m->volume.alignment = 512;
	(void)pthread_mutex_init(&m->lock, NULL);
	m->bytes = malloc(size);
	if (!m->bytes)
		abort();
	memset(m->bytes, fill, size);
}

static inline void memory_volume_done(struct memory_volume *m)
{
	free(m->bytes);
	(void)pthread_mutex_destroy(&m->lock);
}

#endif
