/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU takes every machine that a rehearsal may ask for: chipsets, firmware,
 * disks on each controller, cards. They are switched on and off again. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "move/throwaway.h"

static struct ground *ground;
static struct session session;

static const char *const cards[] = {"virtio-net-pci", "e1000", "e1000-82545em",
	"e1000e", "vmxnet3", "rtl8139", "ne2k_pci", "pcnet"};

/* No kernel, but what QEMU takes for one: a boot sector of the 32-bit boot
 * protocol (Documentation/arch/x86/boot.rst), and nothing behind it. */
static void put_kernel(const char *path)
{
	static uint8_t image[16384];
	FILE *f;

	image[0x1f1] = 4; /* setup_sects */
	image[0x1fe] = 0x55;
	image[0x1ff] = 0xaa;
	memcpy(image + 0x202, "HdrS", 4);
	image[0x206] = 0x06; /* version 2.6 */
	image[0x207] = 0x02;
	image[0x211] = 0x01; /* loaded high */
	image[0x22f] = 0x37; /* initrd_addr_max */
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(image, sizeof(image), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	struct error err = {0};

	(void)state;
	session_init(&session);
	return ground_new(NULL, NULL, &session, &ground, &err);
}

static int tear_down(void **state)
{
	(void)state;
	ground_end(ground);
	return 0;
}

static void expect_taken(const struct throwaway_spec *s)
{
	char kernel[96], console[96];
	struct throwaway_files f = {.ground = ground,
		.here = ground_facts(ground)->folder,
		.console = console,
		.kernel = kernel,
		.initramfs = kernel,
		.cmdline = "console=ttyS0"};
	struct throwaway *t = NULL;
	struct error err = {0};

	(void)snprintf(kernel, sizeof(kernel), "%s/image", f.here);
	(void)snprintf(console, sizeof(console), "%s/console", f.here);
	put_kernel(kernel);
	if (throwaway_check(ground, s->uefi, &err) < 0 ||
		throwaway_prepare(s, &f, &err) < 0 ||
		throwaway_start(s, &f, &session, &t, &err) < 0)
		fail_msg("%s: %s", err.what, err.why);
	for (uint32_t i = 0; i < s->n_ports; i++)
		assert_int_not_equal(throwaway_port(t, s->ports[i]), 0);
	throwaway_end(t);
}

static struct throwaway_spec machine(bool q35, bool uefi)
{
	return (struct throwaway_spec){.q35 = q35,
		.uefi = uefi,
		.cpus = 2,
		.memory_mib = 256,
		.n_nics = 1,
		.nics = {{"virtio-net-pci", "52:54:00:00:00:01"}},
		.network = "192.0.2.0/24",
		.host = "192.0.2.1",
		.dns = "192.0.2.2",
		.address = "192.0.2.15",
		.n_ports = 2,
		.ports = {22, 80}};
}

static void add_disks(
	struct throwaway_spec *s, enum disk_model model, unsigned n)
{
	while (n-- > 0) {
		s->disks[s->n_disks].model = model;
		s->disks[s->n_disks++].size = (16 << 20) + 512;
	}
}

static void test_controllers(void **state)
{
	(void)state;
	for (int model = 0; model < DISK_MODELS; model++) {
		for (int q35 = model == DISK_IDE ? 0 : 1; q35 >= 0; q35--) {
			struct throwaway_spec s = machine(q35, false);

			add_disks(&s, (enum disk_model)model, 3);
			expect_taken(&s);
		}
	}
}

/* As many of each as its controller takes, and all kinds at once. */
static void test_many(void **state)
{
	struct throwaway_spec s = machine(false, false);
	struct error err = {0};

	(void)state;
	add_disks(&s, DISK_IDE, 4);
	add_disks(&s, DISK_AHCI, 6);
	add_disks(&s, DISK_MPTSAS, 8);
	add_disks(&s, DISK_MEGASAS, 2);
	add_disks(&s, DISK_PVSCSI, 2);
	add_disks(&s, DISK_VIRTIO_SCSI, 2);
	add_disks(&s, DISK_NVME, 2);
	add_disks(&s, DISK_VIRTIO_BLK, 2);
	assert_int_equal(throwaway_fits(&s, &err), 0);
	expect_taken(&s);
	s = machine(false, false);
	add_disks(&s, DISK_VIRTIO_BLK, 27);
	assert_int_equal(throwaway_fits(&s, &err), 0);
	expect_taken(&s);
	s = machine(true, false);
	add_disks(&s, DISK_NVME, 27);
	assert_int_equal(throwaway_fits(&s, &err), 0);
	expect_taken(&s);
}

static void test_cards(void **state)
{
	struct throwaway_spec s = machine(true, true);

	(void)state;
	assert_true(ARRAY_LEN(cards) <= THROWAWAY_NICS_MAX);
	s.n_nics = ARRAY_LEN(cards);
	for (uint32_t i = 0; i < s.n_nics; i++) {
		s.nics[i].model = cards[i];
		(void)snprintf(s.nics[i].mac, sizeof(s.nics[i].mac),
			"52:54:00:00:00:%02x", i);
	}
	add_disks(&s, DISK_VIRTIO_BLK, 1);
	expect_taken(&s);
	s.q35 = s.uefi = false;
	expect_taken(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_controllers),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_cards),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
