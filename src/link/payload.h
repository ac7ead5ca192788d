/* SPDX-License-Identifier: Apache-2.0 */
/* The agent program inside rehost (made by meson from build/rehost-agent), as
 * it is and packed by gzip(1). */
#ifndef REHOST_LINK_PAYLOAD_H
#define REHOST_LINK_PAYLOAD_H

#include <stddef.h>

extern const unsigned char payload_agent[];
extern const unsigned char payload_agent_end[];
extern const unsigned char payload_packed[];
extern const unsigned char payload_packed_end[];

static inline size_t payload_agent_size(void)
{
	return (size_t)(payload_agent_end - payload_agent);
}

static inline size_t payload_packed_size(void)
{
	return (size_t)(payload_packed_end - payload_packed);
}

#endif
