/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interface of a moved system, and the files that give it addresses: one
 * writer for each way of configuring. They write what a plan can say
 * (addresses, gateways, nameservers, or DHCP) and keep all other settings of
 * the interface; what belonged to the old network (routes, commands that set
 * such) is left out.
 */
#ifndef REHOST_FIXUP_NIC_H
#define REHOST_FIXUP_NIC_H

#include "facts/netconfig.h"
#include "fixup/unit.h"

struct nic {
	const char *name;	      /* of the interface, here and there */
	const char *mac, *target_mac; /* "" when not known */
	const char *holder;	      /* the bridge or bond that has its
				       * addresses, "" when it has them itself */
	bool map, dhcp;		      /* neither: addresses stay */
	/* Lists of texts, NULL when there is none. */
	const json_t *addresses, *gateways, *nameservers;
};

/* The interface does not get what is planned, because of why: a warning; of a
 * clone, which would have the addresses of its source, an error (-EADDRINUSE).
 */
int nic_unchanged(
	struct unit *u, const struct nic *nic, const char *why) MUST_CHECK;

/* The text at a place of one of its lists, NULL behind the last. */
const char *nic_at(const json_t *list, size_t i);

/* The first gateway of a family, or "". */
const char *nic_gateway(const struct nic *nic, bool six);

/* Whether it has an address of a family. */
bool nic_has(const struct nic *nic, bool six);

/* "192.0.2.5/24": the part before the slash, and the mask as an address. */
#define NIC_ADDRESS_MAX 64
void nic_address(const char *network, char ret[NIC_ADDRESS_MAX]);
void nic_netmask(const char *network, char ret[NIC_ADDRESS_MAX]);

/* Rewriters (unit_rewrite_fn, arg is a const struct nic) of a file that has the
 * interface. */
int nic_rewrite_interfaces(
	struct unit *u, const char *text, struct edit *out, void *arg);
int nic_rewrite_networkd(
	struct unit *u, const char *text, struct edit *out, void *arg);
int nic_rewrite_keyfile(
	struct unit *u, const char *text, struct edit *out, void *arg);
int nic_rewrite_netplan(
	struct unit *u, const char *text, struct edit *out, void *arg);
int nic_rewrite_ifcfg(
	struct unit *u, const char *text, struct edit *out, void *arg);

/* What a new file has for the interface. */
void nic_write_interfaces(const struct nic *nic, struct edit *out);
void nic_write_networkd(const struct nic *nic, struct edit *out);
void nic_write_keyfile(const struct nic *nic, struct edit *out);
void nic_write_netplan(const struct nic *nic, struct edit *out);

/* Rewrites the MAC addresses of the source by which a file finds an interface
 * (not those that it gives to one). */
struct nic_list {
	struct nic *v;
	size_t n;
};
struct nic_macs {
	const struct nic_list *nics;
	enum netconfig_format format;
};
int nic_rewrite_macs(
	struct unit *u, const char *text, struct edit *out, void *arg);
/* The same for rules of udev, arg is a const struct nic_list. */
int nic_rewrite_rules(
	struct unit *u, const char *text, struct edit *out, void *arg);

#endif
