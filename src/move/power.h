/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power of both machines, by commands that the user gave, which reach what
 * no machine can refuse: a hypervisor, or a board's own controller. They run on
 * the controller as hooks do (base/hook.h), with REHOST_PHASE "power-off",
 * "power-on" or "target-power-off" and the machine's place as REHOST_DEVICE.
 *
 * A source that can be switched off and on again is switched off as its fence,
 * before the target is told to boot: that withstands everything, so nothing has
 * to be removed from its disks, and it comes back when it is switched on.
 */
#ifndef REHOST_MOVE_POWER_H
#define REHOST_MOVE_POWER_H

#include "move/steps.h"

/* Whether the options make sense; machine: it is one that moves. */
int power_check(
	const struct options *o, bool machine, struct error *err) MUST_CHECK;

/* Whether the source is to be switched off as its fence. */
bool power_fences(const struct options *o);

/* Switches the source off. That it is begun is stored before, that it is done
 * afterwards. */
int power_off_source(struct move *m, struct error *err) MUST_CHECK;

/* Whether that was done, and not undone. */
bool power_source_is_off(const struct move *m);

/* Whether the command to switch it on has something to bring back: it was, or
 * was to be, switched off as its fence. */
bool power_can_bring_back(const struct move *m);

/* Whether any process of the move has begun to switch it on again. Then it may
 * live, without a fence, and only a rollback can go on from there. */
bool power_source_is_back(const struct move *m);

/* Switches the source on again if any process of the move has begun to switch
 * it off, and connects to it, for which it has the time of a boot. Without that
 * it only connects. */
int power_reach_source(struct move *m, struct error *err) MUST_CHECK;

/* Switches the target off. -ENOENT, and err as it was: no command was given. */
int power_off_target(struct move *m, struct error *err) MUST_CHECK;

#endif
