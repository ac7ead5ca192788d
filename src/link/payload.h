/* SPDX-License-Identifier: Apache-2.0 */
/* The agent program inside rehost (made by meson from build/rehost-agent). */
#ifndef REHOST_LINK_PAYLOAD_H
#define REHOST_LINK_PAYLOAD_H

#include <stddef.h>

extern const unsigned char payload_agent[];
extern const unsigned char payload_agent_end[];

static inline size_t payload_agent_size(void)
{
	return (size_t)(payload_agent_end - payload_agent);
}

#endif
