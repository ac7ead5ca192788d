/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdarg.h>

#include "facts_tree.h"

#define LIB "/lib/modules/6.1.0-9-amd64/"
#define AHCI "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"
#define BLK "virtio:d00000002v00001AF4"
#define NET "virtio:d00000001v00001AF4"

static const char *const *asked;
static const char *kernels;

static void gather_asked(struct gather *g)
{
	assert_int_equal(json_object_set_new(g->top, "kernels",
				 json_loads(kernels, 0, NULL)),
		0);
	gather_drivers(g, asked);
}

static json_t *drivers(const char *with_kernels, const char *const *modaliases)
{
	kernels = with_kernels;
	asked = modaliases;
	return tree_gather_with(tree, gather_asked);
}

static void is_in(const json_t *j, const char *modalias, const char *module,
	const char *in)
{
	json_t *d =
		tree_find(json_object_get(j, "drivers"), "modalias", modalias);

	if (!d)
		fail_msg("%s has no answer", modalias);
	assert_string_equal(tree_text(d, "module"), module);
	assert_string_equal(tree_text(d, "in"), in);
}

#define KERNELS                                                                \
	"[{\"release\":\"5.10.0\",\"running\":true},"                          \
	"{\"release\":\"6.1.0-9-amd64\",\"default\":true,"                     \
	"\"builtin\":[\"ext4\",\"virtio_pci\",\"nvme\"],"                      \
	"\"initramfs_modules\":[\"virtio_blk\",\"ahci\"]}]"

static const char aliases[] =
	"# comment\n"
	"alias virtio:d00000002v* virtio_blk\n"
	"alias virtio:d00000001v* virtio_net\n"
	"alias pci:v*d*sv*sd*bc01sc06i01* generic-slow\n"
	"alias pci:v00008086d00002922sv*sd*bc*sc*i* ahci\n";

/* As the kernels of clouds have it: within, and no alias anywhere. */
#define NVME "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02"

static void best_place(void **state)
{
	static const char info[] =
		"virtio_pci.license=GPL\0"
		"virtio_pci.alias=pci:v00001AF4d*sv*sd*bc*sc*i*\0"
		"nvme.license=GPL";
	static const char *const list[] = {AHCI, BLK, NET, BLK,
		"pci:v00001AF4d00001001sv0sd0bc01sc00i00", "xen:vbd", NVME,
		NULL};
	json_t *j;

	tree_put(LIB "modules.alias", aliases);
	tree_put_bytes(LIB "modules.builtin.modinfo", info, sizeof(info));
	j = drivers(KERNELS, list);
	assert_int_equal(json_array_size(json_object_get(j, "drivers")), 6);
	/* Of two that answer the one in the initramfs. */
	is_in(j, AHCI, "ahci", "initramfs");
	is_in(j, BLK, "virtio_blk", "initramfs");
	is_in(j, NET, "virtio_net", "modules");
	is_in(j, list[4], "virtio_pci", "builtin");
	is_in(j, "xen:vbd", "", "none");
	is_in(j, NVME, "nvme", "builtin");
	json_decref(j);
}

/* What an old kernel has within. */
static void without_modinfo(void **state)
{
	static const char *const list[] = {
		"pci:v00001AF4d00001001sv0sd0bc01sc00i00", BLK, NULL};
	json_t *j;

	tree_put(LIB "modules.alias", "");
	j = drivers(KERNELS, list);
	is_in(j, list[0], "virtio_pci", "builtin");
	is_in(j, BLK, "", "none");
	json_decref(j);
}

static void unknown(void **state)
{
	static const char *const list[] = {BLK, NULL};
	json_t *j = drivers(KERNELS, list);

	/* No list of aliases at all tells nothing. */
	assert_null(json_object_get(j, "drivers"));
	assert_non_null(
		tree_find(json_object_get(j, "missing"), "what", "drivers"));
	json_decref(j);
	j = drivers("[{\"release\":\"../../etc\"}]", list);
	assert_null(json_object_get(j, "drivers"));
	json_decref(j);
	j = drivers(KERNELS, NULL);
	assert_null(json_object_get(j, "drivers"));
	assert_int_equal(json_array_size(json_object_get(j, "missing")), 0);
	json_decref(j);
}

static void hostile(void **state)
{
	enum { LINES = 40000, ASKED = 600 };
	static char names[ASKED][64];
	static const char *list[ASKED + 1];
	char *text = malloc(LINES * 64);
	size_t n = 0;
	json_t *j;

	assert_non_null(text);
	for (unsigned i = 0; i < LINES; i++)
		n += (size_t)snprintf(text + n, 64,
			"alias *a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b x%u\n", i);
	tree_put_bytes(LIB "modules.alias", text, n);
	for (unsigned i = 0; i < ASKED; i++) {
		(void)snprintf(names[i], sizeof(names[i]),
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%u", i);
		list[i] = names[i];
	}
	j = drivers(KERNELS, list);
	/* It ends, and says that it did not look at all. */
	assert_null(json_object_get(j, "drivers"));
	assert_int_equal(json_array_size(json_object_get(j, "missing")), 2);
	json_decref(j);
	free(text);
}

/* Hosts and cards of SD, and nothing else of the board or of these buses. */
static void cards(void **state)
{
	json_t *j, *list;

	tree_put("/sys/bus/platform/devices/80860F14:00/modalias",
		"acpi:80860F14:INT33BB:\n");
	tree_folder("/sys/bus/platform/devices/80860F14:00/mmc_host");
	tree_link("/sys/bus/platform/devices/80860F14:00/driver",
		"../../../../bus/platform/drivers/sdhci-acpi");
	tree_put("/sys/bus/platform/devices/pcspkr/modalias",
		"platform:pcspkr\n");
	tree_put("/sys/bus/mmc/devices/mmc0:0001/type", "MMC\n");
	tree_put("/sys/bus/mmc/devices/mmc1:aaaa/type", "SDIO\n");
	j = tree_gather_with(tree, gather_hardware);
	list = json_object_get(j, "devices");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(
		tree_text(tree_find(list, "address", "mmc0:0001"), "modalias"),
		"mmc:block");
	assert_string_equal(
		tree_text(tree_find(list, "address", "80860F14:00"), "driver"),
		"sdhci-acpi");
	json_decref(j);
}

/* All that ask which kernel boots next get the same answer. */
static void next_kernel(void **state)
{
	static const struct {
		const char *kernels, *release;
	} known[] = {{"[]", ""}, {"5", ""}, {"[5,{\"release\":\"a\"}]", "a"},
		{"[{\"release\":\"a\"},{\"release\":\"b\"}]", "b"},
		{"[{\"release\":\"a\",\"running\":true},"
		 "{\"release\":\"b\",\"running\":true},"
		 "{\"release\":\"c\"}]",
			"a"},
		{"[{\"release\":\"a\",\"running\":true},"
		 "{\"release\":\"b\",\"default\":true},"
		 "{\"release\":\"c\",\"default\":true}]",
			"b"}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		json_t *j = json_pack("{s:o}", "kernels",
			json_loads(known[i].kernels, JSON_DECODE_ANY, NULL));

		assert_string_equal(facts_text(facts_kernel(j), "release"),
			known[i].release);
		json_decref(j);
	}
	assert_null(facts_kernel(NULL));
}

#define tree_test(fn)                                                          \
	cmocka_unit_test_setup_teardown(fn, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		tree_test(best_place),
		tree_test(without_modinfo),
		tree_test(unknown),
		tree_test(cards),
		cmocka_unit_test(next_kernel),
		tree_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
