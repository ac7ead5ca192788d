/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices a rehearsal's machine gets, and what a console tells. */
#include "unit_json.h"

#include <errno.h>

#include "base/cleanup.h"
#include "move/rehearse.h"
#include "move/throwaway.h"

#define GIB (1ULL << 30)

static const char target_text[] =
	"{'system':{'firmware':{'mode':'bios'},'cpus':8},"
	"'memory':{'total':1031000000},"
	"'devices':["
	"{'address':'0000:00:03.0','modalias':"
	"'pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00'},"
	"{'address':'0000:00:04.0','modalias':"
	"'pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02'},"
	"{'address':'0000:00:05.0','modalias':"
	"'pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01'},"
	"{'address':'0000:00:06.0','modalias':"
	"'pci:v00001AF4d00001048sv00001AF4sd00001100bc01sc00i00'},"
	"{'address':'virtio3','modalias':'virtio:d00000008v00001AF4'},"
	"{'address':'0000:00:07.0','modalias':"
	"'pci:v00009005d0000028Dsv0sd0bc01sc04i00'},"
	"{'address':'0000:00:08.0','modalias':"
	"'pci:v000015ADd000007B0sv000015ADsd000007B0bc02sc00i00'}],"
	"'disks':["
	"{'path':'/dev/nvme0n1','driver_path':['0000:00:04.0']},"
	"{'path':'/dev/sda','driver_path':['0000:00:05.0','0:0:0:0']},"
	"{'path':'/dev/sdb','driver_path':['0000:00:06.0','virtio3']},"
	"{'path':'/dev/sdc','driver_path':['0000:00:07.0']}],"
	"'network':{'interfaces':["
	"{'name':'eth0','mac':'52:54:00:00:00:10','address':'0000:00:03.0',"
	"'driver_path':['0000:00:03.0','virtio0'],"
	"'addresses':['192.0.2.16/24']},"
	"{'name':'eth1','mac':'52:54:00:00:00:11','address':'0000:00:08.0',"
	"'driver_path':['0000:00:08.0'],'addresses':[]}]}}";

static const char source_text[] =
	"{'devices':["
	"{'address':'virtio1','modalias':'virtio:d00000002v00001AF4'}],"
	"'disks':["
	"{'path':'/dev/vda','driver_path':['0000:00:04.0','virtio1'],"
	"'size':2147483648},"
	"{'path':'/dev/vdb','driver_path':['virtio1'],'size':512}],"
	"'network':{'interfaces':["
	"{'name':'ens3','mac':'52:54:00:00:00:01',"
	"'addresses':['192.0.2.15/26']}],"
	"'routes':[{'to':'default','via':'192.0.2.1'}]}}";

static struct throwaway_spec choose(const char *target, const char *source,
	const char *nics, const char *address, const char *target_disk,
	json_t **notes)
{
	json_t *t = load(target), *s = load(source), *n = load(nics);
	struct throwaway_wish w = {.target = t,
		.source = s,
		.nics = n,
		.address = address,
		.memory_max = 8 * GIB,
		.cpus_max = 2,
		.n_disks = 1,
		.source_disks = {"/dev/vda"},
		.target_disks = {target_disk}};
	struct throwaway_spec spec;

	*notes = json_array();
	throwaway_choose(&w, &spec, *notes);
	json_decref(t);
	json_decref(s);
	json_decref(n);
	return spec;
}

static const char keep[] =
	"[{'mac':'52:54:00:00:00:01','target_mac':'52:54:00:00:00:10',"
	"'mode':'keep'}]";

static void test_disks(void **state)
{
	static const struct {
		const char *path;
		enum disk_model model;
		size_t notes;
		const char *device;
	} cases[] = {
		{"/dev/nvme0n1", DISK_NVME, 0,
			"nvme,drive=d0,serial=rehearsal0,bootindex=1"},
		{"/dev/sda", DISK_AHCI, 0,
			"ide-hd,bus=ahci.0,drive=d0,serial=rehearsal0,"
			"bootindex=1"},
		{"/dev/sdb", DISK_VIRTIO_SCSI, 0,
			"scsi-hd,bus=virtio-scsi.0,drive=d0,"
			"serial=rehearsal0,bootindex=1"},
		/* Nothing like it in QEMU: as the source has it. */
		{"/dev/sdc", DISK_VIRTIO_BLK, 1,
			"virtio-blk-pci,drive=d0,serial=rehearsal0,"
			"bootindex=1"},
		{"/dev/nowhere", DISK_VIRTIO_BLK, 1, NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *notes;
		char device[256];
		struct throwaway_spec s = choose(target_text, source_text, keep,
			"192.0.2.15", cases[i].path, &notes);

		assert_int_equal(s.n_disks, 1);
		assert_int_equal(s.disks[0].model, cases[i].model);
		assert_true(s.disks[0].size == 2 * GIB);
		assert_int_equal(json_array_size(notes), cases[i].notes);
		throwaway_disk_device(&s, 0, device, sizeof(device));
		if (cases[i].device)
			assert_string_equal(device, cases[i].device);
		json_decref(notes);
	}
}

static bool fits(enum disk_model model, uint32_t n, uint32_t nics)
{
	struct throwaway_spec s = {.n_disks = n, .n_nics = nics};
	struct error err = {0};
	int r;

	for (uint32_t i = 0; i < n; i++)
		s.disks[i].model = model;
	r = throwaway_fits(&s, &err);
	assert_true(r == 0 || (r == -E2BIG && err.why[0]));
	return r == 0;
}

static void test_limits(void **state)
{
	struct throwaway_spec s = {.n_disks = 4};
	char device[256];

	assert_true(fits(DISK_AHCI, 6, 1) && !fits(DISK_AHCI, 7, 1));
	assert_true(fits(DISK_IDE, 4, 1) && !fits(DISK_IDE, 5, 1));
	assert_true(fits(DISK_MPTSAS, 8, 1) && !fits(DISK_MPTSAS, 9, 1));
	assert_true(fits(DISK_VIRTIO_SCSI, VOLUMES_MAX, 8));
	assert_true(fits(DISK_NVME, 27, 1) && !fits(DISK_NVME, 27, 2));
	assert_true(fits(DISK_VIRTIO_BLK, 20, 8));
	assert_false(fits(DISK_VIRTIO_BLK, 21, 8));
	for (uint32_t i = 0; i < 4; i++)
		s.disks[i].model = DISK_IDE;
	throwaway_disk_device(&s, 3, device, sizeof(device));
	assert_string_equal(device, "ide-hd,bus=ide.1,unit=1,drive=d3,"
				    "serial=rehearsal3,bootindex=4");
}

static void test_paths(void **state)
{
	char buf[32];

	assert_string_equal(
		throwaway_path(DISK_VIRTIO_BLK, 1, buf, sizeof(buf)),
		"/dev/vdb");
	assert_string_equal(
		throwaway_path(DISK_NVME, 2, buf, sizeof(buf)), "/dev/nvme2n1");
	assert_string_equal(
		throwaway_path(DISK_AHCI, 25, buf, sizeof(buf)), "/dev/sdz");
	assert_string_equal(
		throwaway_path(DISK_AHCI, 27, buf, sizeof(buf)), "/dev/sdab");
	assert_null(throwaway_path(DISK_AHCI, VOLUMES_MAX, buf, sizeof(buf)));
}

static void test_machine(void **state)
{
	json_t *notes;
	struct throwaway_spec s = choose(target_text, source_text, keep,
		"192.0.2.15", "/dev/nvme0n1", &notes);

	assert_false(s.uefi);
	assert_false(s.q35);
	assert_int_equal(s.cpus, 2);
	assert_true(s.memory_mib >= 983 && s.memory_mib <= 1110);
	assert_int_equal(json_array_size(notes), 0);
	json_decref(notes);
	/* Facts are a machine's own words. */
	s = choose("{'system':{'firmware':{'mode':'uefi'},'cpus':-1},"
		   "'memory':{'total':-5},'disks':7,'devices':['x',{}]}",
		"{}", "[1,{'target_mac':'52:54:00:00:00:10,addr=1'}]",
		"nonsense", "/dev/sda", &notes);
	assert_true(s.uefi && s.q35);
	assert_int_equal(s.cpus, 2);
	assert_true(s.memory_mib >= 512);
	assert_int_equal(s.n_nics, 1);
	assert_string_equal(s.nics[0].mac, "52:54:00:12:34:56");
	assert_string_equal(s.address, "10.0.2.15");
	json_decref(notes);
	s = choose("{'memory':{'total':17179869184}}", "{}", keep, "",
		"/dev/sda", &notes);
	assert_true(s.memory_mib == 8 * GIB >> 20);
	json_decref(notes);
}

static void expect_network(const struct throwaway_spec *s, const char *network,
	const char *host, const char *dns, const char *address)
{
	assert_string_equal(s->network, network);
	assert_string_equal(s->host, host);
	assert_string_equal(s->dns, dns);
	assert_string_equal(s->address, address);
}

static void test_network(void **state)
{
	json_t *notes;
	struct throwaway_spec s = choose(target_text, source_text, keep,
		"192.0.2.15", "/dev/sda", &notes);

	assert_int_equal(s.n_nics, 1);
	assert_string_equal(s.nics[0].model, "virtio-net-pci");
	assert_string_equal(s.nics[0].mac, "52:54:00:00:00:10");
	expect_network(
		&s, "192.0.2.0/26", "192.0.2.1", "192.0.2.2", "192.0.2.15");
	json_decref(notes);
	/* By DHCP: as the target has it now. */
	s = choose(target_text, source_text,
		"[{'mac':'52:54:00:00:00:01','mode':'dhcp',"
		"'target_mac':'52:54:00:00:00:10'}]",
		"192.0.2.16", "/dev/sda", &notes);
	expect_network(
		&s, "192.0.2.0/24", "192.0.2.1", "192.0.2.2", "192.0.2.16");
	json_decref(notes);
	/* The second card has it, so it comes first; too small a network. */
	s = choose(target_text, source_text,
		"[{'mac':'52:54:00:00:00:01','mode':'keep',"
		"'target_mac':'52:54:00:00:00:10'},"
		"{'mac':'52:54:00:00:00:02','mode':'map',"
		"'target_mac':'52:54:00:00:00:11',"
		"'addresses':['198.51.100.2/31'],'gateways':['198.51.100.3']}]",
		"198.51.100.2", "/dev/sda", &notes);
	assert_int_equal(s.n_nics, 2);
	assert_string_equal(s.nics[0].mac, "52:54:00:00:00:11");
	assert_string_equal(s.nics[0].model, "vmxnet3");
	expect_network(&s, "198.51.100.0/29", "198.51.100.3", "198.51.100.1",
		"198.51.100.2");
	json_decref(notes);
	/* A gateway outside, and IPv6. */
	s = choose(target_text, source_text,
		"[{'mac':'52:54:00:00:00:02','mode':'map',"
		"'target_mac':'52:54:00:00:00:11',"
		"'addresses':['198.51.100.2/32'],'gateways':['10.0.0.1']}]",
		"198.51.100.2", "/dev/sda", &notes);
	expect_network(&s, "198.51.100.0/29", "198.51.100.3", "198.51.100.1",
		"198.51.100.2");
	json_decref(notes);
	s = choose(target_text, source_text, keep, "2001:db8::1", "/dev/sda",
		&notes);
	assert_string_equal(s.address, "10.0.2.15");
	assert_int_equal(json_array_size(notes), 1);
	json_decref(notes);
}

static void test_console(void **state)
{
	json_t *tail = rehearsal_tail("\033[2Jone\r\n\n  \n"
				      "\033[1;31mtwo\033[0m\001\xff\nthree\033",
		2);

	assert_int_equal(json_array_size(tail), 2);
	assert_string_equal(
		json_string_value(json_array_get(tail, 0)), "two??");
	assert_string_equal(
		json_string_value(json_array_get(tail, 1)), "three");
	json_decref(tail);
	assert_null(rehearsal_reason("Debian GNU/Linux 12 web1 ttyS0\n"));
	assert_non_null(strstr(
		rehearsal_reason("Gave up waiting for root file system device."
				 "  Common problems:\n"),
		"driver"));
	assert_non_null(strstr(
		rehearsal_reason("Kernel panic - not syncing: VFS: Unable to "
				 "mount root fs on unknown-block(0,0)"),
		"root filesystem"));
	assert_true(rehearsal_kernel_spoke(
		"[    0.000000] Linux version 6.1.0-18-amd64 (debian)\n"));
	assert_false(rehearsal_kernel_spoke(
		"rescue: boots\nkexec_core: Starting new kernel\n"));
}

static void expect_cmdline(const char *before, const char *after)
{
	struct msg_fit *f = calloc(1, sizeof(*f));
	struct error err = {0};
	bool added = false;
	json_t *wish;

	assert_non_null(f);
	(void)snprintf(f->cmdline, sizeof(f->cmdline), "%s", before);
	f->n_wish = 2;
	memcpy(f->wish, "{}", 2);
	assert_int_equal(rehearsal_wish_console(f, &added, &err), 0);
	assert_string_equal(f->cmdline, after);
	assert_true(added);
	wish = json_loadb((const char *)f->wish, f->n_wish, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(wish, "console")), 2);
	json_decref(wish);
	free(f);
}

static void test_wish_console(void **state)
{
	(void)state;
	expect_cmdline("", "console=tty0 console=ttyS0,115200");
	expect_cmdline("ro quiet splash",
		"ro  splash console=tty0 console=ttyS0,115200");
	expect_cmdline("root=/dev/quiet1 console=ttyS0",
		"root=/dev/quiet1 console=ttyS0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_wish_console),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
