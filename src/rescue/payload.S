/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of the rescue system's init, whose path is given as PAYLOAD_INIT. */
	.section .rodata
	.balign 16
	.global payload_init
	.type payload_init, %object
payload_init:
	.incbin PAYLOAD_INIT
	.global payload_init_end
	.type payload_init_end, %object
payload_init_end:
	.size payload_init, payload_init_end - payload_init
	.byte 0
	.section .note.GNU-stack, "", %progbits
