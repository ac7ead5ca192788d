/* SPDX-License-Identifier: Apache-2.0 */
/* Which of QEMU's devices are like those of the target. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "facts/facts.h"
#include "move/throwaway.h"

#define MEMORY_MIN_MIB 512
#define CPUS_MAX 4U
#define SLOTS                                                                  \
	28U /* without the chipset, the screen, and the source of chance */
#define PREFIX_MAX 29 /* room for gateway, name server and itself */

/* ---- disks ---- */

/* Beginnings of modaliases. */
static const struct {
	const char *modalias;
	enum disk_model model;
} controllers[] = {
	{"virtio:d00000002", DISK_VIRTIO_BLK},
	{"virtio:d00000008", DISK_VIRTIO_SCSI},
	{"pci:v00001AF4d00001001", DISK_VIRTIO_BLK},
	{"pci:v00001AF4d00001042", DISK_VIRTIO_BLK},
	{"pci:v00001AF4d00001004", DISK_VIRTIO_SCSI},
	{"pci:v00001AF4d00001048", DISK_VIRTIO_SCSI},
	{"pci:v000015ADd000007C0", DISK_PVSCSI},
	{"pci:v00001000d00000054", DISK_MPTSAS},
	{"pci:v00001000d00000060", DISK_MEGASAS},
	{"pci:v00008086d00007010", DISK_IDE},
	{"pci:v00008086d00007111", DISK_IDE},
};

static const struct {
	const char *modalias, *model;
} cards[] = {
	{"virtio:d00000001", "virtio-net-pci"},
	{"pci:v00001AF4d00001000", "virtio-net-pci"},
	{"pci:v00001AF4d00001041", "virtio-net-pci"},
	{"pci:v00008086d0000100E", "e1000"},
	{"pci:v00008086d0000100F", "e1000-82545em"},
	{"pci:v00008086d000010D3", "e1000e"},
	{"pci:v000015ADd000007B0", "vmxnet3"},
	{"pci:v000010ECd00008139", "rtl8139"},
	{"pci:v000010ECd00008029", "ne2k_pci"},
	{"pci:v00001022d00002000", "pcnet"},
};

static const char *modalias_of(const json_t *facts, const char *address)
{
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(facts, "devices"), i, d)
	{
		if (address[0] &&
			strcmp(facts_text(d, "address"), address) == 0)
			return facts_text(d, "modalias");
	}
	return "";
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* By classes: every AHCI controller is like the other, and so with NVMe. */
static int controller(const char *modalias)
{
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if (begins(modalias, controllers[i].modalias))
			return (int)controllers[i].model;
	if (begins(modalias, "pci:") && strstr(modalias, "bc01sc06i01"))
		return DISK_AHCI;
	if (begins(modalias, "pci:") && strstr(modalias, "bc01sc08i02"))
		return DISK_NVME;
	return -1;
}

/* What a disk hangs on; -1 when QEMU has nothing like it. */
static int disk_model(const json_t *facts, const char *path)
{
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		const json_t *on = json_object_get(d, "driver_path");
		int model = -1;

		if (strcmp(facts_text(d, "path"), path) != 0)
			continue;
		for (size_t k = json_array_size(on); k-- > 0 && model < 0;) {
			const char *at =
				json_string_value(json_array_get(on, k));

			model = controller(modalias_of(facts, at ? at : ""));
		}
		return model;
	}
	return -1;
}

static uint64_t disk_size(const json_t *facts, const char *path)
{
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		if (strcmp(facts_text(d, "path"), path) == 0)
			return (uint64_t)MAX(
				json_integer_value(json_object_get(d, "size")),
				(json_int_t)0);
	}
	return 0;
}

static void note(json_t *notes, const char *what, const char *why)
{
	json_t *j = json_sprintf("%s: %s", what, why);

	if (j)
		(void)json_array_append_new(notes, j);
}

static void choose_disks(const struct throwaway_wish *w,
	struct throwaway_spec *ret, json_t *notes)
{
	for (uint32_t i = 0; i < w->n_disks; i++) {
		int model = disk_model(w->target, w->target_disks[i]);

		/* The moved system has drivers for what it had, and may have
		 * none for anything else. */
		if (model < 0) {
			note(notes, w->target_disks[i],
				"QEMU has no controller like the target's");
			model = disk_model(w->source, w->source_disks[i]);
		}
		if (model == DISK_IDE && ret->q35)
			model = DISK_AHCI;
		ret->disks[i].size = disk_size(w->source, w->source_disks[i]);
		ret->disks[i].model =
			model < 0 ? DISK_VIRTIO_BLK : (enum disk_model)model;
	}
	ret->n_disks = w->n_disks;
}

void throwaway_serial(uint32_t disk, char buf[THROWAWAY_SERIAL_SIZE])
{
	(void)snprintf(buf, THROWAWAY_SERIAL_SIZE, "rehearsal%u", disk);
}

const char *throwaway_path(
	enum disk_model model, unsigned n, char *buf, size_t size)
{
	char letters[3] = {(char)('a' + n % 26)};

	if (n >= VOLUMES_MAX)
		return NULL;
	/* After z comes aa. */
	if (n >= 26) {
		letters[1] = letters[0];
		letters[0] = 'a';
	}
	if (model == DISK_NVME)
		(void)snprintf(buf, size, "/dev/nvme%un1", n);
	else
		(void)snprintf(buf, size, "/dev/%s%s",
			model == DISK_VIRTIO_BLK ? "vd" : "sd", letters);
	return buf;
}

/* How many of its first n disks hang on such a controller. */
static unsigned count(
	const struct throwaway_spec *s, enum disk_model model, uint32_t n)
{
	unsigned found = 0;

	for (uint32_t i = 0; i < n; i++)
		found += s->disks[i].model == model;
	return found;
}

/* Those that are no devices of the PCI bus themselves need one there. */
static unsigned free_slots(const struct throwaway_spec *s)
{
	unsigned used = s->n_nics;

	for (int model = 0; model < DISK_MODELS; model++)
		used += model != DISK_VIRTIO_BLK && model != DISK_NVME &&
			model != DISK_IDE &&
			count(s, (enum disk_model)model, s->n_disks) > 0;
	return SLOTS - MIN(used, SLOTS);
}

int throwaway_fits(const struct throwaway_spec *s, struct error *err)
{
	static const struct {
		enum disk_model model;
		unsigned most;
		const char *name;
	} limits[] = {
		{DISK_AHCI, 6, "AHCI"},
		{DISK_IDE, 4, "IDE"},
		{DISK_MPTSAS, 8, "LSI SAS 1068"},
	};
	unsigned slots = free_slots(s);
	unsigned n = count(s, DISK_VIRTIO_BLK, s->n_disks) +
		     count(s, DISK_NVME, s->n_disks);

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		unsigned has = count(s, limits[i].model, s->n_disks);

		if (has <= limits[i].most)
			continue;
		error_set(err, -E2BIG, "make a machine like the target");
		return error_why(err,
			"%u of its disks hang on %s, and QEMU's controller "
			"takes %u",
			has, limits[i].name, limits[i].most);
	}
	if (n <= slots)
		return 0;
	error_set(err, -E2BIG, "make a machine like the target");
	return error_why(err,
		"%u of its disks are virtio-blk or NVMe, and QEMU's PCI bus "
		"has room for %u",
		n, slots);
}

void throwaway_disk_device(
	const struct throwaway_spec *s, uint32_t disk, char *buf, size_t size)
{
	static const char *const devices[DISK_MODELS] = {
		[DISK_VIRTIO_BLK] = "virtio-blk-pci",
		[DISK_VIRTIO_SCSI] = "scsi-hd,bus=virtio-scsi.0",
		[DISK_NVME] = "nvme",
		[DISK_AHCI] = "ide-hd,bus=ahci.",
		[DISK_IDE] = "ide-hd,bus=ide.",
		[DISK_PVSCSI] = "scsi-hd,bus=pvscsi.0",
		[DISK_MPTSAS] = "scsi-hd,bus=mptsas.0",
		[DISK_MEGASAS] = "scsi-hd,bus=megasas.0",
	};
	enum disk_model model = s->disks[disk].model;
	char serial[THROWAWAY_SERIAL_SIZE], port[32] = "";
	unsigned n = count(s, model, disk);

	if (model == DISK_AHCI)
		(void)snprintf(port, sizeof(port), "%u", n);
	else if (model == DISK_IDE)
		(void)snprintf(port, sizeof(port), "%u,unit=%u", n / 2, n % 2);
	throwaway_serial(disk, serial);
	(void)snprintf(buf, size, "%s%s,drive=d%u,serial=%s,bootindex=%u",
		devices[model], port, disk, serial, disk + 1);
}

/* ---- cards ---- */

static const json_t *interface_of(const json_t *facts, const char *mac)
{
	const json_t *i;
	size_t k;

	json_array_foreach(facts_at(facts, "network.interfaces"), k, i)
	{
		if (mac[0] && strcasecmp(facts_text(i, "mac"), mac) == 0)
			return i;
	}
	return NULL;
}

static const char *card_model(const json_t *facts, const char *mac)
{
	const json_t *i = interface_of(facts, mac);
	const json_t *on = json_object_get(i, "driver_path");
	const char *address = facts_text(i, "address");

	for (size_t k = json_array_size(on) + 1; k-- > 0; address = NULL) {
		const char *at =
			address ? address
				: json_string_value(json_array_get(on, k));
		const char *modalias = modalias_of(facts, at ? at : "");

		for (size_t c = 0; c < ARRAY_LEN(cards); c++)
			if (begins(modalias, cards[c].modalias))
				return cards[c].model;
	}
	return NULL;
}

/* Text goes into QEMU's arguments. */
static bool is_mac(const char *text)
{
	size_t n = strspn(text, "0123456789abcdefABCDEF:");

	return n == 17 && text[n] == '\0';
}

/* "192.0.2.5/24" begins with that address. */
static bool is_at(const char *text, const char *address)
{
	size_t n = strlen(address);

	return text && n > 0 && strncmp(text, address, n) == 0 &&
	       strchr("/", text[n]);
}

/* The entry of the addresses that begins with the planned one, or NULL. */
static const char *entry(const json_t *addresses, const char *address)
{
	const json_t *a;
	size_t i;

	json_array_foreach(addresses, i, a)
	{
		if (is_at(json_string_value(a), address))
			return json_string_value(a);
	}
	return NULL;
}

/* Of a card of the wish that has the planned address: "ADDRESS/PREFIX", else
 * NULL. */
static const char *planned(const struct throwaway_wish *w, const json_t *nic)
{
	const char *mode = facts_text(nic, "mode");
	const char *mac = facts_text(nic, "mac");
	const json_t *i;

	if (strcmp(mode, "map") == 0)
		return entry(json_object_get(nic, "addresses"), w->address);
	if (strcmp(mode, "dhcp") == 0) {
		i = interface_of(w->target, facts_text(nic, "target_mac"));
		return entry(json_object_get(i, "addresses"), w->address);
	}
	i = interface_of(w->source, mac);
	return entry(json_object_get(i, "addresses"), w->address);
}

static void choose_cards(const struct throwaway_wish *w,
	struct throwaway_spec *ret, json_t *notes)
{
	const json_t *nic;
	uint32_t first = 0;
	size_t i;

	json_array_foreach(w->nics, i, nic)
	{
		struct throwaway_nic *n = &ret->nics[ret->n_nics];
		const char *mac = facts_text(nic, "target_mac");
		const char *model = card_model(w->target, mac);

		if (!is_mac(mac) || ret->n_nics == THROWAWAY_NICS_MAX)
			continue;
		if (!model) {
			note(notes, mac,
				"QEMU has no network card like the target's");
			model = card_model(w->source, facts_text(nic, "mac"));
		}
		n->model = model ? model : "virtio-net-pci";
		(void)snprintf(n->mac, sizeof(n->mac), "%s", mac);
		if (planned(w, nic))
			first = ret->n_nics;
		ret->n_nics++;
	}
	if (ret->n_nics == 0) {
		ret->nics[ret->n_nics++] = (struct throwaway_nic){
			"virtio-net-pci", "52:54:00:12:34:56"};
		note(notes, "network cards",
			"the plan has none for the target");
	}
	if (first > 0) {
		struct throwaway_nic n = ret->nics[0];

		ret->nics[0] = ret->nics[first];
		ret->nics[first] = n;
	}
}

/* ---- the network ---- */

static void write_address(uint32_t at, char buf[16])
{
	struct in_addr a = {htonl(at)};

	(void)inet_ntop(AF_INET, &a, buf, 16);
}

static uint32_t parse_address(const char *text)
{
	struct in_addr a;

	return text && inet_pton(AF_INET, text, &a) == 1 ? ntohl(a.s_addr) : 0;
}

/* The gateway that the moved system will use, or 0. */
static uint32_t find_gateway(const struct throwaway_wish *w)
{
	const json_t *nic, *route;
	size_t i;

	json_array_foreach(w->nics, i, nic)
	{
		const json_t *g = json_object_get(nic, "gateways");

		if (planned(w, nic) && json_array_size(g) > 0)
			return parse_address(
				json_string_value(json_array_get(g, 0)));
	}
	json_array_foreach(facts_at(w->source, "network.routes"), i, route)
	{
		const char *to = facts_text(route, "to");

		if (strcmp(to, "default") == 0 || strcmp(to, "0.0.0.0/0") == 0)
			return parse_address(facts_text(route, "via"));
	}
	return 0;
}

static unsigned find_prefix(const struct throwaway_wish *w)
{
	const json_t *nic;
	uint64_t prefix = 24;
	size_t i;

	json_array_foreach(w->nics, i, nic)
	{
		const char *text = planned(w, nic);
		const char *slash = text ? strchr(text, '/') : NULL;

		if (slash && (parse_u64(slash + 1, &prefix) < 0 || prefix > 32))
			prefix = 24;
	}
	return (unsigned)MAX(prefix, (uint64_t)8);
}

static void choose_network(const struct throwaway_wish *w,
	struct throwaway_spec *ret, json_t *notes)
{
	unsigned prefix = MIN(find_prefix(w), (unsigned)PREFIX_MAX);
	uint32_t address = parse_address(w->address), host, net, at;
	uint32_t mask;
	char text[16];

	if (!address) {
		if (w->address[0])
			note(notes, w->address, "only IPv4 is rehearsed");
		address = 0x0a00020f; /* QEMU's own choice */
		prefix = 24;
	}
	mask = ~0U << (32 - prefix);
	net = address & mask;
	host = find_gateway(w);
	if ((host & mask) != net || host == address || host == net)
		host = address == net + 2 ? net + 3 : net + 2;
	for (at = net + 1; at == address || at == host; at++)
		;
	write_address(net, text);
	(void)snprintf(
		ret->network, sizeof(ret->network), "%s/%u", text, prefix);
	write_address(host, ret->host);
	write_address(at, ret->dns);
	write_address(address, ret->address);
}

/* ---- all ---- */

static bool has_q35(const json_t *facts)
{
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(facts, "devices"), i, d)
	{
		if (begins(facts_text(d, "modalias"), "pci:v00008086d000029C0"))
			return true;
	}
	return false;
}

void throwaway_choose(const struct throwaway_wish *w,
	struct throwaway_spec *ret, json_t *notes)
{
	json_int_t memory =
		json_integer_value(facts_at(w->target, "memory.total"));
	json_int_t cpus =
		json_integer_value(facts_at(w->target, "system.cpus"));

	memset(ret, 0, sizeof(*ret));
	ret->uefi = strcmp(facts_text(w->target, "system.firmware.mode"),
			    "uefi") == 0;
	ret->q35 = ret->uefi || has_q35(w->target);
	ret->cpus = cpus > 0 && cpus < CPUS_MAX ? (unsigned)cpus : CPUS_MAX;
	ret->cpus = MAX(MIN(ret->cpus, w->cpus_max), 1U);
	ret->memory_mib = (uint64_t)MAX(memory, (json_int_t)0) >> 20;
	/* A kernel counts only what it left itself. */
	ret->memory_mib = (ret->memory_mib + 127) / 64 * 64;
	if (ret->memory_mib > w->memory_max >> 20) {
		ret->memory_mib = w->memory_max >> 20;
		note(notes, "the target's memory", "here is less than that");
	}
	ret->memory_mib = MAX(ret->memory_mib, (uint64_t)MEMORY_MIN_MIB);
	choose_disks(w, ret, notes);
	choose_cards(w, ret, notes);
	choose_network(w, ret, notes);
}
