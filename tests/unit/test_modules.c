/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "rescue/modules.h"

static const char dep[] =
	"kernel/drivers/net/virtio_net.ko: kernel/net/net-failover.ko "
	"kernel/net/failover.ko.xz\n"
	"kernel/net/net-failover.ko: kernel/net/failover.ko.xz\n"
	"kernel/net/failover.ko.xz:\n"
	"kernel/drivers/nvme/nvme.ko.zst:\n"
	"kernel/broken.ko: kernel/nowhere.ko\n"
	"../../etc/evil.ko:\n"
	"/etc/evil2.ko:\n"
	"no colon\n"
	"kernel/not-a-module.txt:\n";

static const char alias[] = "# a comment\n"
			    "alias virtio:d00000001v* virtio_net\n"
			    "alias pci:v*d*sv*sd*bc01sc08i02* nvme\n"
			    "alias pci:v0000144Dd[0-9A-B]*sv* nvme\n"
			    "alias fs-nvme nvme\n"
			    "alias of:N*T*Ca,b-c nvme\n"
			    "alias x no_such_module\n"
			    "alias\n"
			    "alias onlyone\n";

static int make(const char *d, const char *a, struct modules **ret)
{
	char *dc = strdup(d), *ac = strdup(a);

	assert_non_null(dc);
	assert_non_null(ac);
	return modules_read(dc, strlen(d), ac, strlen(a), ret);
}

static const char *only(const struct modules *m, const char *asked)
{
	uint32_t found[8];
	uint32_t n = modules_find(m, asked, found, 8);

	return n == 0 ? "" : n > 1 ? "several" : modules_name(m, found[0]);
}

static void finds(void **state)
{
	struct modules *m;
	uint32_t found[1];

	assert_int_equal(make(dep, alias, &m), 0);
	assert_int_equal(modules_count(m), 5);
	assert_string_equal(only(m, "virtio:d00000001v00001AF4"), "virtio_net");
	assert_string_equal(only(m, "virtio:d00000002v00001AF4"), "");
	assert_string_equal(
		only(m, "pci:v00008086d1sv2sd3bc01sc08i02"), "nvme");
	/* Two aliases of the same. */
	assert_string_equal(
		only(m, "pci:v0000144DdBsv2sd3bc01sc08i02"), "nvme");
	assert_string_equal(only(m, "pci:v0000144DdCsv2"), "");
	/* Names, with either sign. */
	assert_string_equal(only(m, "net_failover"), "net_failover");
	assert_string_equal(only(m, "net-failover"), "net_failover");
	assert_string_equal(only(m, "fs_nvme"), "nvme");
	assert_string_equal(only(m, "of:NaTbCa,b_c"), "nvme");
	assert_string_equal(only(m, "x"), "");
	assert_string_equal(only(m, ""), "");
	assert_string_equal(only(m, "evil"), "");
	assert_string_equal(only(m, "not_a_module"), "");
	/* No more than there is room for. */
	assert_int_equal(modules_find(m, "nvme", found, 0), 0);
	modules_free(m);
}

static void orders(void **state)
{
	uint32_t order[MODULES_ORDER], found[1];
	struct modules *m;

	assert_int_equal(make(dep, alias, &m), 0);
	assert_int_equal(modules_find(m, "virtio_net", found, 1), 1);
	assert_int_equal(modules_order(m, found[0], order), 3);
	assert_string_equal(modules_name(m, order[0]), "failover");
	assert_string_equal(modules_name(m, order[1]), "net_failover");
	assert_string_equal(modules_name(m, order[2]), "virtio_net");
	assert_int_equal(modules_find(m, "broken", found, 1), 1);
	assert_int_equal(modules_order(m, found[0], order), -ENOENT);
	modules_free(m);
}

static void writes(void **state)
{
	struct modules *m, *again;
	bool *chosen;
	char *d, *a;
	size_t dn, an;

	assert_int_equal(make(dep, alias, &m), 0);
	chosen = calloc(modules_count(m), sizeof(*chosen));
	assert_non_null(chosen);
	for (uint32_t i = 0; i < modules_count(m); i++)
		chosen[i] = strcmp(modules_name(m, i), "nvme") != 0;
	assert_int_equal(modules_write_dep(m, chosen, &d, &dn), 0);
	assert_string_equal(d,
		"kernel/net/failover.ko.zst:\n"
		"kernel/net/net-failover.ko.zst: kernel/net/failover.ko.zst\n"
		"kernel/drivers/net/virtio_net.ko.zst: "
		"kernel/net/net-failover.ko.zst kernel/net/failover.ko.zst\n");
	assert_int_equal(modules_write_alias(m, chosen, &a, &an), 0);
	assert_string_equal(a, "alias virtio:d00000001v* virtio_net\n");
	free(chosen);
	modules_free(m);
	/* What was written is read. */
	assert_int_equal(modules_read(d, dn, a, an, &again), 0);
	assert_int_equal(modules_count(again), 3);
	assert_string_equal(
		only(again, "virtio:d00000001v00001AF4"), "virtio_net");
	modules_free(again);
}

static void limits(void **state)
{
	uint32_t order[MODULES_ORDER], found[1];
	struct modules *m;
	char *many = malloc(1 << 20);
	size_t n = 0;

	assert_non_null(many);
	n += (size_t)sprintf(many + n, "k/top.ko:");
	for (int i = 0; i < MODULES_ORDER; i++)
		n += (size_t)sprintf(many + n, " k/a%d.ko", i);
	n += (size_t)sprintf(many + n, "\n");
	for (int i = 0; i < MODULES_ORDER; i++)
		n += (size_t)sprintf(many + n, "k/a%d.ko:\n", i);
	assert_int_equal(make(many, "", &m), 0);
	assert_int_equal(modules_find(m, "top", found, 1), 1);
	assert_int_equal(modules_order(m, found[0], order), -E2BIG);
	modules_free(m);
	memset(many, '\n', MODULES_MAX + 1);
	many[MODULES_MAX + 1] = '\0';
	assert_int_equal(make(many, "", &m), -E2BIG);
	free(many);
	assert_int_equal(make("", "", &m), 0);
	assert_int_equal(modules_count(m), 0);
	assert_string_equal(only(m, "x"), "");
	modules_free(m);
	modules_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds),
		cmocka_unit_test(orders),
		cmocka_unit_test(writes),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
