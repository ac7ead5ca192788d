/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/modalias.h"
#include "facts/disks.h"
#include "facts/gather.h"

/* Both files are a few MiB at most. */
#define TEXT_MAX (16U << 20)
/* Controllers of one machine. */
#define WANTED_MAX 512
/* Steps of matching, all together: real files need a few millions. */
#define STEPS_MAX (1ULL << 29)

/* Where a driver is, the best last. */
enum place { NONE, MODULES, INITRAMFS, BUILTIN };

static const char *const places[] = {"none", "modules", "initramfs", "builtin"};

struct wanted {
	const char *modalias; /* as it was given */
	char key[MODALIAS_MAX];
	char module[MODALIAS_MAX];
	enum place in;
};

struct search {
	struct gather *g;
	const json_t *kernel;
	struct wanted *v;
	size_t n;
	uint64_t steps;
};

/* What is within a kernel seldom tells the devices that it drives: there
 * MODULE_DEVICE_TABLE (include/linux/module.h; seen in 6.1) is empty, so that
 * modules.builtin.modinfo, which kernels have since 5.2, has only the aliases
 * that were written by hand. These are the drivers that a move meets. */
static const struct modalias known[] = {
	{"virtio:d00000001v*", "virtio_net"},
	{"virtio:d00000002v*", "virtio_blk"},
	{"virtio:d00000008v*", "virtio_scsi"},
	{"pci:v00001AF4d*", "virtio_pci"},
	{"xen:vbd", "xen_blkfront"},
	{"xen:vif", "xen_netfront"},
	{"vmbus:d96361baa104294db60572e2ffb1dc7f", "hv_storvsc"},
	{"vmbus:635161f83edfc546913ff2d2f965ed0e", "hv_netvsc"},
	{"pci:v000015ADd000007C0*", "vmw_pvscsi"},
	{"pci:v000015ADd000007B0*", "vmxnet3"},
	{"pci:v00008086d0000100*", "e1000"},
	{"pci:v*d*sv*sd*bc01sc06i01*", "ahci"},
	{"pci:v00008086d000010D3*", "e1000e"},
	{"pci:v00001D0Fd0000EC2*", "ena"},
	{"pci:v00001AE0d00000042*", "gve"},
	{"pci:v00008086d00007010*", "ata_piix"},
	{"pci:v00008086d00007111*", "ata_piix"},
	{"pci:v00001000d00000030*", "mptspi"},
	{"pci:v00001000d00000054*", "mptsas"},
	{"pci:v00001000d00000060*", "megaraid_sas"},
	{"pci:v*d*sv*sd*bc01sc08i02*", "nvme"},
	{"scsi:t_0x00*", "sd_mod"},
	/* What disks of USB, cards, and disks behind Hyper-V hang on. */
	{"pci:v*d*sv*sd*bc0Csc03i30*", "xhci_pci"},
	{"pci:v*d*sv*sd*bc0Csc03i20*", "ehci_pci"},
	{"pci:v*d*sv*sd*bc08sc05i*", "sdhci_pci"},
	{"mmc:block", "mmc_block"},
	{"vmbus:1df6c444444400449d52802e27ede19f", "pci_hyperv"},
};

static void spend(struct search *s, size_t n)
{
	s->steps -= MIN(s->steps, (uint64_t)n);
}

static bool has(struct search *s, const char *key, const char *module)
{
	const json_t *list = json_object_get(s->kernel, key), *j;
	size_t i;

	spend(s, json_array_size(list));
	json_array_foreach(list, i, j)
	{
		const char *name = json_string_value(j);

		if (name && strcmp(name, module) == 0)
			return true;
	}
	return false;
}

static void offer(struct search *s, const struct modalias *a, bool builtin)
{
	size_t literal = modalias_literal(a->pattern);

	spend(s, s->n);
	for (size_t i = 0; i < s->n; i++) {
		struct wanted *w = &s->v[i];
		enum place in = BUILTIN;

		/* Most differ at once, already in the bus. */
		if (w->in == BUILTIN ||
			strncmp(a->pattern, w->key, literal) != 0 ||
			!modalias_match(a->pattern + literal, w->key + literal,
				&s->steps))
			continue;
		if (!builtin && !has(s, "builtin", a->module))
			in = has(s, "initramfs_modules", a->module) ? INITRAMFS
								    : MODULES;
		if (in <= w->in)
			continue;
		w->in = in;
		(void)snprintf(w->module, sizeof(w->module), "%s", a->module);
	}
}

/* Offers what a file has; false when there is no such file. */
static bool search_file(struct search *s, const char *release, const char *file)
{
	CLEANUP_FREE char *text = NULL;
	bool builtin = strstr(file, "builtin") != NULL;
	struct modalias_reader r;
	struct modalias a;
	char path[PATH_MAX];
	size_t n;

	(void)snprintf(path, sizeof(path), "lib/modules/%s/%s", release, file);
	if (gather_read(s->g, path, TEXT_MAX, &text, &n) < 0)
		return false;
	modalias_begin(&r, text, n, builtin);
	while (s->steps > 0 && modalias_next(&r, &a))
		offer(s, &a, builtin);
	if (s->steps == 0)
		gather_missing(s->g, path, "it takes too long to search");
	return true;
}

static void show(struct search *s)
{
	json_t *list = gather_list(s->g);

	for (size_t i = 0; i < s->n; i++) {
		const struct wanted *w = &s->v[i];
		json_t *d = gather_object(s->g);

		gather_set(s->g, d, "modalias", w->modalias);
		gather_set(s->g, d, "module", w->module);
		gather_set(s->g, d, "in", places[w->in]);
		gather_add(s->g, list, d);
	}
	gather_set_json(s->g, s->g->top, "drivers", list);
}

static void search_all(struct search *s, const char *release)
{
	bool modinfo = search_file(s, release, "modules.builtin.modinfo");
	bool alias;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (has(s, "builtin", known[i].module))
			offer(s, &known[i], true);
	alias = search_file(s, release, "modules.alias");
	/* Nothing found where nothing was searched says nothing. */
	if (!alias && !modinfo)
		gather_missing(
			s->g, "drivers", "lib/modules/%s has no list", release);
	else if (s->steps > 0)
		show(s);
}

static bool is_wanted(const struct search *s, const char *modalias)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i].modalias, modalias) == 0)
			return true;
	return false;
}

void gather_drivers(struct gather *g, const char *const *modaliases)
{
	CLEANUP_FREE struct wanted *v = NULL;
	struct search s = {.g = g, .steps = STEPS_MAX};
	const char *release;

	if (!modaliases || !*modaliases)
		return;
	v = calloc(WANTED_MAX, sizeof(*v));
	if (!v) {
		g->oom = true;
		return;
	}
	s.v = v;
	for (; *modaliases; modaliases++) {
		struct wanted *w = &v[s.n];

		if (strlen(*modaliases) >= sizeof(w->key) ||
			is_wanted(&s, *modaliases))
			continue;
		if (s.n == WANTED_MAX) {
			gather_missing(g, "drivers",
				"asked for more than %d devices", WANTED_MAX);
			break;
		}
		w->modalias = *modaliases;
		(void)snprintf(w->key, sizeof(w->key), "%s", *modaliases);
		modalias_normalize(w->key);
		s.n++;
	}
	s.kernel = facts_kernel(g->top);
	release = facts_text(s.kernel, "release");
	if (!release[0] || strchr(release, '/'))
		gather_missing(g, "drivers", "no kernel is known");
	else
		search_all(&s, release);
}
