/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files configure the network, and in which way: light readers of
 * interfaces(5), systemd.network(5), the keyfiles of NetworkManager, netplan(5)
 * and ifcfg files. They read what a plan must know (which interface, fixed
 * addresses or asked ones), not the whole language; netplan's YAML is looked at
 * line by line.
 */
#ifndef REHOST_FACTS_NETCONFIG_H
#define REHOST_FACTS_NETCONFIG_H

#include <jansson.h>
#include <stdbool.h>

struct gather;

enum netconfig_format {
	NETCONFIG_INTERFACES, /* ifupdown */
	NETCONFIG_NETWORKD,
	NETCONFIG_KEYFILE, /* NetworkManager */
	NETCONFIG_NETPLAN,
	NETCONFIG_IFCFG, /* of RHEL and of SUSE */
	NETCONFIG_CONNMAN,
};

/* How an interface gets its addresses; of several the greatest counts. */
enum netconfig_mode {
	NETCONFIG_NONE = 0,   /* nothing is said */
	NETCONFIG_MANUAL = 1, /* it gets none, or others care */
	NETCONFIG_AUTO = 2,   /* IPv6 router advertisements alone */
	NETCONFIG_DHCP = 3,
	NETCONFIG_STATIC = 4,
};

struct netconfig_entry {
	char names[512];  /* names and patterns, blanks between; "": any */
	char mac[18];	  /* lower case with colons; "": any */
	char source[512]; /* not an interface: a pattern of further files */
	enum netconfig_mode mode;
};

/* Reads one file (which it changes) and calls fn for each interface in it. */
void netconfig_parse(enum netconfig_format format, char *text,
	void (*fn)(void *arg, const struct netconfig_entry *e), void *arg);

/* Whether a pattern with * and ? fits. */
bool netconfig_matches(const char *pattern, const char *name);

/* The list of "network"."configured_by"; interfaces is "network"."interfaces",
 * which patterns and MAC addresses are resolved with. NULL when out of memory.
 */
json_t *netconfig_gather(struct gather *g, json_t *interfaces);

#endif
