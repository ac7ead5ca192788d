/* SPDX-License-Identifier: Apache-2.0 */
/* The rescue system's first program inside rehost (made by meson from
 * build/rehost-init). */
#ifndef REHOST_RESCUE_PAYLOAD_H
#define REHOST_RESCUE_PAYLOAD_H

#include <stddef.h>

extern const unsigned char payload_init[];
extern const unsigned char payload_init_end[];

static inline size_t payload_init_size(void)
{
	return (size_t)(payload_init_end - payload_init);
}

#endif
