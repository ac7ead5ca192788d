/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine in QEMU that resembles the target, for a rehearsal: its disks are
 * overlays over the target's NBD export, its network leads nowhere, and it ends
 * with the process that made it. QEMU runs as whoever runs rehost, or logs in
 * where it is to run; no root, no module, no device of that machine is needed.
 *
 * While it is waited for, the session is served, as its disks come through
 * that.
 */
#ifndef REHOST_MOVE_THROWAWAY_H
#define REHOST_MOVE_THROWAWAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "move/ground.h"
#include "move/session.h"

#define THROWAWAY_NICS_MAX 8
#define THROWAWAY_PORTS_MAX 9

enum disk_model {
	DISK_VIRTIO_BLK,
	DISK_VIRTIO_SCSI,
	DISK_NVME,
	DISK_AHCI,
	DISK_IDE,
	DISK_PVSCSI,
	DISK_MPTSAS,
	DISK_MEGASAS,
	DISK_MODELS,
};

struct throwaway_nic {
	const char *model; /* QEMU's name of it */
	char mac[18];
};

/* What it is made of. */
struct throwaway_spec {
	bool uefi, q35;
	unsigned cpus;
	uint64_t memory_mib;
	uint32_t n_disks;
	struct {
		enum disk_model model;
		uint64_t size;
	} disks[VOLUMES_MAX];
	/* The first one has the planned address, the others have no network. */
	uint32_t n_nics;
	struct throwaway_nic nics[THROWAWAY_NICS_MAX];
	/* IPv4; the address comes by DHCP, too. */
	char network[24], host[16], dns[16], address[16];
	/* Of the machine; each is reached by a port of this machine. */
	uint32_t n_ports;
	unsigned ports[THROWAWAY_PORTS_MAX];
};

/* What it has to be told about the machine that it stands for. */
struct throwaway_wish {
	const json_t *source, *target; /* facts */
	const json_t *nics;	       /* of the wish: see fixup/fixup.h */
	const char *address;	       /* where it will be, or "" */
	uint64_t memory_max;	       /* bytes that may be taken */
	unsigned cpus_max;
	uint32_t n_disks;
	const char *source_disks[VOLUMES_MAX], *target_disks[VOLUMES_MAX];
};

/* Chooses parts like the target's; all but the ports. Disks are as large as the
 * source's, which is what moves. What has no counterpart is said in notes, a
 * list of texts. */
void throwaway_choose(const struct throwaway_wish *w,
	struct throwaway_spec *ret, json_t *notes);

/* Has QEMU room for so many disks of a kind? */
int throwaway_fits(
	const struct throwaway_spec *s, struct error *err) MUST_CHECK;

/* The serial number of its disk, and a path that it may have there; NULL when
 * there are no more. */
#define THROWAWAY_SERIAL_SIZE 16
void throwaway_serial(uint32_t disk, char buf[THROWAWAY_SERIAL_SIZE]);
const char *throwaway_path(
	enum disk_model model, unsigned n, char *buf, size_t size);

/* QEMU's -device for a disk. */
void throwaway_disk_device(
	const struct throwaway_spec *s, uint32_t disk, char *buf, size_t size);

struct throwaway;

/* Where it is, and what it uses. */
struct throwaway_files {
	const struct ground *ground;
	const char *here;    /* folder on this machine, for sockets */
	const char *exports; /* socket of the NBD exports, in it */
	const char *console; /* what it says is added there, here */
	bool no_kvm;	     /* it was tried, and does not work */
	/* To boot first, when its disks have no contents yet; or NULL: its
	 * firmware boots from its disks. */
	const char *kernel, *initramfs, *cmdline;
};

/* Are the programs there that it needs? -ENOENT says which package has it. */
int throwaway_check(
	const struct ground *g, bool uefi, struct error *err) MUST_CHECK;

/* Makes empty overlays, and brings kernel and initramfs there. */
int throwaway_prepare(const struct throwaway_spec *s,
	const struct throwaway_files *f, struct error *err) MUST_CHECK;

/* Switches it on, with KVM where that works. It goes off when it wants to boot
 * again. */
int throwaway_start(const struct throwaway_spec *spec,
	const struct throwaway_files *f, struct session *s,
	struct throwaway **ret, struct error *err) MUST_CHECK;

/* From now on its disks have what is exported. */
int throwaway_fill(struct throwaway *t, const struct throwaway_spec *s,
	const struct throwaway_files *f, struct error *err) MUST_CHECK;

/* Is it on? When not, why: "" when it wanted to boot again or went off. */
bool throwaway_is_on(struct throwaway *t, char *why, size_t size);

/* Does it stand still because there is no room for what it writes? */
bool throwaway_is_full(struct throwaway *t);

/* The port of this machine by which one of its ports is reached. */
unsigned throwaway_port(const struct throwaway *t, unsigned port);

/* Whether connections to one of its ports were taken by it, and not only by
 * QEMU on its behalf. 1, 0, or negative errno. */
int throwaway_took(struct throwaway *t, unsigned port, struct error *err);

/* What its screen shows, as PNG. */
int throwaway_screen(
	struct throwaway *t, const char *path, struct error *err) MUST_CHECK;

/* Switches it off, at once. NULL is fine. */
void throwaway_end(struct throwaway *t);

#endif
