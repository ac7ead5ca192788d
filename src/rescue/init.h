/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rescue system's first program, process 1: what its files share. One
 * thread. Nothing here ends the program: what fails is said on the console, and
 * the rest goes on.
 *
 * The same program is also /sbin/modprobe, which the kernel calls by itself,
 * and what udhcpc calls when it has news (init_net.c).
 */
#ifndef REHOST_RESCUE_INIT_H
#define REHOST_RESCUE_INIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rescue/cmdline.h"

/* Where the builder puts what the programs of the rescue system look for. */
#define INIT_HOST_KEYS "/etc/rehost/host_key" /* and a number: 0, 1 … */
#define INIT_HOST_KEYS_MAX 8
#define INIT_OPENSSH_KEYS "/etc/rehost/openssh_key" /* to be converted */
#define INIT_CONVERT "/usr/bin/dropbearconvert"
#define INIT_FINGERPRINT "/etc/rehost/fingerprint"
#define INIT_DHCP "/sbin/rehost-dhcp"
#define INIT_DROPBEAR "/usr/sbin/dropbear"
#define INIT_BUSYBOX "/bin/busybox"

/* A line on all consoles: "rehost: …". */
void init_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- programs that are kept running (init_service.c) ---- */

#define SERVICE_ARGS 32

struct service {
	char name[48]; /* for messages, and argv[0] */
	const char *path;
	char *args[SERVICE_ARGS]; /* NULL behind the last; whoever adds it
				   * keeps the strings alive */
	pid_t pid;		  /* 0: it does not run */
	uint64_t next;		  /* clock_ms when it may start again */
	uint32_t failures;	  /* in a row, each within a minute */
	uint64_t started;
	int status; /* as of waitpid, when it was said last */
};

/* Starts it unless it runs or has to wait. */
void service_step(struct service *s);

/* Tells it that process pid has ended; true when it was its own. */
bool service_ended(struct service *s, pid_t pid, int status);

/* ---- the watchdog (init_watchdog.c) ---- */

/* From now on rehost must be heard from once in so many seconds; 0: need not.
 * Has the kernel reboot when it fails. */
void watchdog_begin(uint32_t seconds);

/* To be called every second; true when it was silent for too long. Keeps the
 * hardware's own watchdog from rebooting the machine. */
bool watchdog_step(void);

/* The hardware's shall no longer watch: the machine is to stay off. */
void watchdog_stop(void);

/* ---- drivers (init_drivers.c) ---- */

/* Loads what the devices that are there ask for, and then what new ones do. It
 * does not come back; it is for a process of its own, since drivers may take
 * long. */
void drivers_run(void) __attribute__((noreturn));

/* As modprobe: loads what answers to a name. An exit status. */
int drivers_modprobe(int argc, char **argv);

/* ---- network (init_net.c) ---- */

/* Begins with what the command line says. */
void network_begin(const struct cmdline *c);

/* Looks at the links and addresses and does what is to be done. To be called
 * when net_watch says something, and now and then. */
void network_step(void);

/* A child has ended; true when it was ours. */
bool network_ended(pid_t pid, int status);

/* What udhcpc calls: argv[1] is the event, the rest is in the environment. An
 * exit status. */
int network_dhcp_event(int argc, char **argv);

#endif
