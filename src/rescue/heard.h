/* SPDX-License-Identifier: Apache-2.0 */
/* How the rescue system's watchdog learns that somebody drives the machine: an
 * agent that hears from its controller touches this file. Init makes it; where
 * it is not there, the machine is no rescue system. */
#ifndef REHOST_RESCUE_HEARD_H
#define REHOST_RESCUE_HEARD_H

#define RESCUE_HEARD "/run/rehost.heard"

/* An agent makes this one before it writes to a disk of such a machine: there
 * is no old system any more to go back to. */
#define RESCUE_WRITTEN "/run/rehost.written"

#endif
