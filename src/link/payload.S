/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of the agent program, whose path is given as PAYLOAD_AGENT, and of
 * the same packed, PAYLOAD_PACKED. */
	.section .rodata
	.balign 4096
	.global payload_agent
	.type payload_agent, %object
payload_agent:
	.incbin PAYLOAD_AGENT
	.global payload_agent_end
	.type payload_agent_end, %object
payload_agent_end:
	.size payload_agent, payload_agent_end - payload_agent
	.byte 0

	.balign 4096
	.global payload_packed
	.type payload_packed, %object
payload_packed:
	.incbin PAYLOAD_PACKED
	.global payload_packed_end
	.type payload_packed_end, %object
payload_packed_end:
	.size payload_packed, payload_packed_end - payload_packed
	.byte 0
	.section .note.GNU-stack, "", %progbits
