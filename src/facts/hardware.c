/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "facts/gather.h"

/* What sort of thing a device is: what begins so in an attribute. */
static const struct {
	const char *bus, *attribute, *begins, *kind;
} kinds[] = {
	{"pci", "class", "0x01", "storage"},
	{"pci", "class", "0x02", "network"},
	/* linux/virtio_ids.h */
	{"virtio", "device", "0x0001", "network"},
	{"virtio", "device", "0x0002", "storage"},
	{"virtio", "device", "0x0008", "storage"},
	/* linux/hyperv.h: SCSI, IDE, fibre channel, network */
	{"vmbus", "class_id", "{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}",
		"storage"},
	{"vmbus", "class_id", "{32412632-86cb-44a2-9b5c-50d1417354f5}",
		"storage"},
	{"vmbus", "class_id", "{2f9bcc4a-0069-4af3-b76b-6fd0be528cda}",
		"storage"},
	{"vmbus", "class_id", "{f8615163-df3e-46c5-913f-f2d2f965ed0e}",
		"network"},
	{"xen", "modalias", "xen:vbd", "storage"},
	{"xen", "modalias", "xen:vif", "network"},
	{"usb", "bInterfaceClass", "08", "storage"},
	{"usb", "bInterfaceClass", "02", "network"},
	{"usb", "bInterfaceClass", "0a", "network"},
	{"usb", "bInterfaceClass", "e0", "network"},
	{"scsi", "modalias", "scsi:t-0x00", "storage"},
	{"scsi", "modalias", "scsi:t-0x0e", "storage"},
	{"mmc", "type", "MMC", "storage"},
	{"mmc", "type", "SDIO", "other"},
	{"mmc", "type", "SD", "storage"},
};

static const char *attribute(struct gather *g, const char *folder,
	const char *name, char *buf, size_t size)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return gather_line(g, path, buf, size);
}

static const char *kind_of(
	struct gather *g, const char *bus, const char *folder)
{
	char text[256] = "";
	const char *have = "";

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].bus, bus) != 0)
			continue;
		if (strcmp(have, kinds[i].attribute) != 0) {
			have = kinds[i].attribute;
			(void)attribute(g, folder, have, text, sizeof(text));
		}
		if (strncmp(text, kinds[i].begins, strlen(kinds[i].begins)) ==
			0)
			return kinds[i].kind;
	}
	return "other";
}

static void add_device(
	struct gather *g, const char *path, const char *name, void *arg)
{
	const char *bus = arg, *kind;
	char folder[64 + NAME_MAX + 1], text[PATH_MAX], link[PATH_MAX];
	json_t *d;

	(void)snprintf(folder, sizeof(folder), "%s/%s", path, name);
	/* Of all that the board has only hosts of cards matter. */
	(void)snprintf(link, sizeof(link), "%s/mmc_host", folder);
	if (strcmp(bus, "platform") == 0 && !gather_exists(g, link, O_PATH))
		return;
	(void)attribute(g, folder, "modalias", text, sizeof(text));
	/* Cards tell theirs to udev only: drivers/mmc/core/bus.c. */
	if (strcmp(bus, "mmc") == 0)
		(void)snprintf(text, sizeof(text), "mmc:block");
	/* Hubs, hosts and targets have none. */
	if (!text[0])
		return;
	kind = kind_of(g, bus, folder);
	/* Keyboards and the like do not decide whether a machine boots. */
	if (strcmp(kind, "other") == 0 &&
		(strcmp(bus, "usb") == 0 || strcmp(bus, "scsi") == 0 ||
			strcmp(bus, "mmc") == 0))
		return;
	d = gather_object(g);
	gather_set(g, d, "address", name);
	gather_set(g, d, "bus", bus);
	gather_set(g, d, "kind", kind);
	gather_set(g, d, "modalias", text);
	if (strcmp(bus, "pci") == 0)
		gather_set(g, d, "class",
			attribute(g, folder, "class", text, sizeof(text)));
	(void)snprintf(link, sizeof(link), "%s/driver", folder);
	gather_set(g, d, "driver", gather_link(g, link, text, sizeof(text)));
	(void)snprintf(link, sizeof(link), "%s/driver/module", folder);
	gather_set(g, d, "module", gather_link(g, link, text, sizeof(text)));
	gather_add(g, json_object_get(g->top, "devices"), d);
}

void gather_hardware(struct gather *g)
{
	static char buses[][16] = {"pci", "virtio", "usb", "vmbus", "xen",
		"scsi", "mmc", "platform"};

	gather_set_json(g, g->top, "devices", gather_list(g));
	for (size_t i = 0; i < ARRAY_LEN(buses); i++) {
		char path[160];

		(void)snprintf(
			path, sizeof(path), "sys/bus/%s/devices", buses[i]);
		gather_each(g, path, add_device, buses[i]);
	}
}
