/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of a machine that was moved, on the target's disks, without the
 * programs that made them: a partition as the kernel has it, or what
 * device-mapper puts together (linux/dm-ioctl.h, DM_DEV_CREATE, DM_TABLE_LOAD),
 * or the md driver (volume/array.h), from where the source said that it lies.
 */
#ifndef REHOST_VOLUME_ASSEMBLE_H
#define REHOST_VOLUME_ASSEMBLE_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "wire/message.h"

/* Finds or makes the device that lies so on the disks; number tells several
 * apart, and arrays are known by their names. ret is its path. What is made is
 * removed by assemble_undo, by another process: this one may do no more than
 * assemble until it ends. */
int assemble(const struct msg_path *disks, uint32_t n_disks,
	const struct msg_pieces *on, uint32_t number, char ret[64],
	struct error *err) MUST_CHECK;

/* Removes the devices with numbers below n that were made by processes that
 * ended. An error is an array that could not be stopped: it is left unclean. */
int assemble_undo(uint32_t n, struct error *err) MUST_CHECK;

#endif
