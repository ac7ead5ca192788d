/* SPDX-License-Identifier: Apache-2.0 */
/* Fix-ups that change single files: fstab, crypttab, resolver, host name,
 * machine-id, cloud agents, marker. */
#include "unit.h"

#include <sys/xattr.h>

#include "fixup_image.h"

static char huge[1 << 20];

/* A line of 1 MiB among others. */
static void put_huge(const char *path, const char *before, const char *after)
{
	static char text[(1 << 20) + 4096];

	memset(huge, 'x', sizeof(huge) - 1);
	(void)snprintf(text, sizeof(text), "%s%s\n%s", before, huge, after);
	image_put(path, text);
}

/* ---- fstab ---- */

static void fstab_names_devices_by_uuid(void **state)
{
	image_put("/etc/fstab",
		"# /dev/vda2 is root\n"
		"/dev/vda2\t/\text4 errors=remount-ro 0\t1\r\n"
		"\n"
		"/dev/disk/by-path/pci-0000:00:04.0-part2 /again ext4 ro\n"
		"/dev/vda1 /boot ext4 defaults 0 2\n"
		"/dev/vda3 none swap sw 0 0\n"
		"/dev/big/my-data /srv xfs defaults 0 0\n"
		"LABEL=x /label ext4 defaults 0 0\n"
		"UUID=" IMAGE_BOOT_UUID " /b ext4 defaults 0 0\n"
		"tmpfs /tmp tmpfs nosuid 0 0\n"
		"nas:/x /nas nfs defaults 0 0\n"
		"/dev/cdrom /cd iso9660 noauto 0 0\n"
		"nonsense\n"
		"/dev/vda2 /last ext4 defaults");
	image_run("fstab", IMAGE_FILESYSTEMS "'id': 'a'");
	image_is("/etc/fstab",
		"# /dev/vda2 is root\n"
		"UUID=" IMAGE_ROOT_UUID "\t/\text4 errors=remount-ro 0\t1\r\n"
		"\n"
		"UUID=" IMAGE_ROOT_UUID " /again ext4 ro\n"
		"UUID=" IMAGE_BOOT_UUID " /boot ext4 defaults 0 2\n"
		"UUID=" IMAGE_SWAP_UUID " none swap sw 0 0\n"
		"/dev/big/my-data /srv xfs defaults 0 0\n"
		"LABEL=x /label ext4 defaults 0 0\n"
		"UUID=" IMAGE_BOOT_UUID " /b ext4 defaults 0 0\n"
		"tmpfs /tmp tmpfs nosuid 0 0\n"
		"nas:/x /nas nfs defaults 0 0\n"
		"/dev/cdrom /cd iso9660 noauto 0 0\n"
		"nonsense\n"
		"UUID=" IMAGE_ROOT_UUID " /last ext4 defaults");
	assert_int_equal(image_count("changes", "fstab"), 5);
	assert_int_equal(image_count("warnings", "fstab"), 0);
	assert_true(image_says("changes", "/etc/fstab"));
	assert_true(image_says("changes", "/dev/vda3 for none is named UUID="));
}

static void fstab_lets_unknown_devices_be_absent(void **state)
{
	image_put("/etc/fstab",
		"/dev/sdz1 / ext4 defaults 0 1\n"
		"/dev/sdb1 /data ext4 defaults,noatime 0 2\n"
		"/dev/sdb2 /more ext4\n"
		"UUID=ffffffff-0000-0000-0000-000000000000 /u ext4 ro 0 0\n"
		"/dev/mapper/gone-lv /lv ext4 defaults 0 0\n"
		"/dev/sdb3 /ok ext4 defaults,nofail 0 0\n"
		"/dev/sdb4 /later ext4 noauto 0 0\n");
	image_run("fstab",
		IMAGE_FILESYSTEMS "'root': 'UUID=" IMAGE_ROOT_UUID "'");
	image_is("/etc/fstab",
		"UUID=" IMAGE_ROOT_UUID " / ext4 defaults 0 1\n"
		"/dev/sdb1 /data ext4 defaults,noatime,nofail 0 2\n"
		"/dev/sdb2 /more ext4 nofail\n"
		"UUID=ffffffff-0000-0000-0000-000000000000 /u ext4 ro,nofail "
		"0 0\n"
		"/dev/mapper/gone-lv /lv ext4 defaults,nofail 0 0\n"
		"/dev/sdb3 /ok ext4 defaults,nofail 0 0\n"
		"/dev/sdb4 /later ext4 noauto 0 0\n");
	assert_int_equal(image_count("warnings", "fstab"), 4);
	assert_true(image_says("warnings", "/dev/sdb1, for /data"));
}

static void fstab_without_any_knowledge_stays(void **state)
{
	image_put("/etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n"
				"UUID=abc /x ext4 defaults 0 1\n");
	image_run_idle("fstab", "'id': 'a'");
	assert_true(image_says("warnings", "nobody knows what /dev/sda1"));
}

static void fstab_survives_what_is_hostile(void **state)
{
	put_huge("/etc/fstab", "/dev/vda1 /boot ext4 defaults 0 0\n",
		"/dev/vda3 none swap sw 0 0\n");
	image_run("fstab", IMAGE_FILESYSTEMS "'id': 'a'");
	assert_int_equal(image_count("changes", "fstab"), 2);
	assert_non_null(strstr(image_read("/etc/fstab"), huge));

	image_put_bytes("/etc/fstab", "/dev/vda1 / ext4 ro\0\n", 21, 0644);
	image_run_idle("fstab", IMAGE_FILESYSTEMS "'id': 'a'");
	assert_true(image_says("warnings", "it is no text"));

	assert_int_equal(unlink(image_path("/etc/fstab")), 0);
	image_fifo("/etc/fstab");
	image_run_idle("fstab", IMAGE_FILESYSTEMS "'id': 'a'");
	assert_true(image_says("warnings", "no regular file"));

	/* What it leads to is not there, seen from inside. */
	assert_int_equal(unlink(image_path("/etc/fstab")), 0);
	image_link("/etc/fstab", "/etc/passwd");
	image_run_idle("fstab", IMAGE_FILESYSTEMS "'id': 'a'");
	assert_int_equal(unlink(image_path("/etc/fstab")), 0);
	image_run_idle("fstab", IMAGE_FILESYSTEMS "'id': 'a'");
	image_link("/etc/fstab", "fstab");
	image_run_idle("fstab", IMAGE_FILESYSTEMS "'id': 'a'");
	assert_int_equal(image_count("warnings", "fstab"), 1);
}

static void only_what_is_wished_for(void **state)
{
	image_put("/etc/fstab", "/dev/vda2 / ext4 defaults 0 1\n");
	image_run("", IMAGE_FILESYSTEMS "'id': 'a'");
	image_is("/etc/fstab", "/dev/vda2 / ext4 defaults 0 1\n");
}

/* ---- crypttab ---- */

static void crypttab_names_devices_by_uuid(void **state)
{
	image_put("/etc/crypttab",
		"# name device key options\n"
		"data /dev/vdb none luks,discard\n"
		"other /dev/sdx1\n"
		"third /dev/sdx2 /etc/key luks\n"
		"root /dev/sdx3 none luks\n"
		"fourth UUID=" IMAGE_CRYPT_UUID " none luks\n"
		"fifth /dev/sdx4 none\n"
		"sixth /dev/sdx5 none luks,nofail\n");
	image_run("crypttab", IMAGE_FILESYSTEMS "'root': '/dev/mapper/root'");
	image_is("/etc/crypttab",
		"# name device key options\n"
		"data UUID=" IMAGE_CRYPT_UUID " none luks,discard\n"
		"other /dev/sdx1 none nofail\n"
		"third /dev/sdx2 /etc/key luks,nofail\n"
		"root /dev/sdx3 none luks\n"
		"fourth UUID=" IMAGE_CRYPT_UUID " none luks\n"
		"fifth /dev/sdx4 none nofail\n"
		"sixth /dev/sdx5 none luks,nofail\n");
	assert_true(image_says("warnings", "on which the root stands"));
	put_huge("/etc/crypttab", "data /dev/vdb none luks\n", "");
	image_run("crypttab", IMAGE_FILESYSTEMS "'id': 'a'");
	assert_int_equal(image_count("changes", "crypttab"), 1);
}

/* A plain volume is written over at each boot: never by a name that another
 * disk may have. */
static void crypttab_swap_made_at_each_boot(void **state)
{
	image_put("/etc/crypttab", "a /dev/vda4 /dev/urandom swap,cipher=x\n"
				   "b /dev/vdc /dev/urandom swap\n"
				   "c /dev/sdx1 none tmp=ext4\n"
				   "d /dev/sdx1 /dev/hwrng plain\n"
				   "e /dev/mapper/big-swap /dev/random swap\n");
	image_put("/etc/fstab",
		"/dev/mapper/a none swap sw 0 0\n"
		"/dev/mapper/b none swap sw 0 0\n"
		"/dev/mapper/c /scratch ext4 defaults,nofail\n");
	image_run("crypttab",
		"'filesystems': [{'device': '/dev/vda4', 'partuuid': 'p-4'},"
		"{'device': '/dev/vdc'}, {'device': '/dev/dm-1', "
		"'logical': '/dev/mapper/big-swap'}]");
	image_is("/etc/crypttab", "a PARTUUID=p-4 /dev/urandom swap,cipher=x\n"
				  "# b /dev/vdc /dev/urandom swap\n"
				  "# c /dev/sdx1 none tmp=ext4\n"
				  "# d /dev/sdx1 /dev/hwrng plain\n"
				  "e /dev/mapper/big-swap /dev/random swap\n");
	assert_true(image_says("warnings", "the line is left out"));
	/* Nobody waits for it. */
	image_is("/etc/fstab", "/dev/mapper/a none swap sw 0 0\n"
			       "/dev/mapper/b none swap sw,nofail 0 0\n"
			       "/dev/mapper/c /scratch ext4 defaults,nofail\n");
}

static void lvm_looks_at_all_disks(void **state)
{
	static const char path[] = "/etc/lvm/devices/system.devices";

	image_put(path, "IDTYPE=sys_wwid IDNAME=naa.1 PVID=x\n");
	image_run("fstab", "'id': 'a'");
	assert_false(image_has(path));
	assert_true(image_says("changes", path));
	image_is("/var/lib/rehost/old/etc/lvm/devices/system.devices",
		"IDTYPE=sys_wwid IDNAME=naa.1 PVID=x\n");
}

/* ---- host name ---- */

static void hostname_of_debian(void **state)
{
	image_put("/etc/hostname", "# ours\nip-10-0-0-5\n");
	image_put("/etc/hosts", "127.0.0.1 localhost\n"
				"127.0.1.1\tweb1.example.com web1\n"
				"10.0.0.5 web10 web1 # web1\n");
	/* The kernel takes names that are none. */
	image_run("hostname", "'hostname': 'web1', 'old_hostname': 'db_01'");
	image_run("hostname", "'hostname': 'web2', 'old_hostname': 'web1'");
	image_is("/etc/hostname", "# ours\nweb2\n");
	image_is("/etc/hosts", "127.0.0.1 localhost\n"
			       "127.0.1.1\tweb2.example.com web2\n"
			       "10.0.0.5 web10 web2 # web1\n");
	assert_int_equal(image_count("changes", "hostname"), 2);
	image_run_idle(
		"hostname", "'hostname': 'web2', 'old_hostname': 'web2'");
}

/* The name stays although cloud-init goes on: only "hostname" is asked for. */
static void hostname_that_cloud_init_would_change(void **state)
{
	static const char file[] =
		"/etc/cloud/cloud.cfg.d/99-rehost-hostname.cfg";

	image_put("/etc/hostname", "web1\n");
	image_folder("/etc/cloud/cloud.cfg.d");
	image_put("/etc/cloud/cloud-init.disabled", "");
	image_run("hostname", "'old_hostname': 'web1'");
	assert_false(image_has(file));
	assert_int_equal(
		unlink(image_path("/etc/cloud/cloud-init.disabled")), 0);
	image_run("hostname", "'old_hostname': 'web1'");
	assert_non_null(strstr(image_read(file), "preserve_hostname: true"));
	image_is("/etc/hostname", "web1\n");
}

static void hostname_of_rhel(void **state)
{
	image_put("/etc/sysconfig/network",
		"NETWORKING=yes\nHOSTNAME=\"old.example.com\"\n");
	image_run("hostname", "'hostname': 'new.example.com'");
	image_is("/etc/sysconfig/network",
		"NETWORKING=yes\nHOSTNAME=\"new.example.com\"\n");
	/* Before systemd. */
	assert_false(image_has("/etc/hostname"));
	image_folder("/usr/lib/systemd/system");
	image_folder("/usr/lib/systemd/system/x");
	image_folder("/etc/cloud/cloud.cfg.d");
	image_folder("/etc/cloud/cloud.cfg.d/x");
	image_run("hostname", "'hostname': 'new.example.com'");
	image_is("/etc/hostname", "new.example.com\n");
	assert_non_null(strstr(
		image_read("/etc/cloud/cloud.cfg.d/99-rehost-hostname.cfg"),
		"preserve_hostname: true"));
	put_huge("/etc/hosts", "1.1.1.1 a\n", "2.2.2.2 a\n");
	image_run("hostname", "'hostname': 'b', 'old_hostname': 'a'");
	assert_non_null(strstr(image_read("/etc/hosts"), "2.2.2.2 b\n"));
}

/* ---- machine-id ---- */

static void machine_id_is_new_only_for_a_copy(void **state)
{
	char first[64];

	image_put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
	image_put("/var/lib/dbus/machine-id",
		"0123456789abcdef0123456789abcdef\n");
	image_put("/var/lib/systemd/random-seed", "x");
	image_put("/var/lib/dhcp/dhclient.ens3.leases", "lease {}\n");
	image_put("/var/lib/dhcp/README", "x");
	image_put("/var/lib/NetworkManager/internal-a-eth0.lease", "x");
	image_put("/var/lib/dhcpcd/duid", "x");
	image_put("/etc/nvme/hostnqn", "nqn.x\n");
	image_run_idle("machine-id", "'identity': 'keep', 'id': 'abc'");
	image_run("machine-id", "'identity': 'new', 'id': 'abc'");
	assert_int_equal(image_count("warnings", "machine-id"), 1);
	assert_true(image_says("warnings", "/etc/nvme/hostnqn is that of"));
	(void)snprintf(
		first, sizeof(first), "%s", image_read("/etc/machine-id"));
	assert_int_equal(strlen(first), 33);
	assert_int_equal(strspn(first, "0123456789abcdef"), 32);
	assert_string_not_equal(first, "0123456789abcdef0123456789abcdef\n");
	image_is("/var/lib/dbus/machine-id", first);
	assert_false(image_has("/var/lib/systemd/random-seed"));
	assert_false(image_has("/var/lib/dhcp/dhclient.ens3.leases"));
	assert_true(image_has("/var/lib/dhcp/README"));
	assert_false(
		image_has("/var/lib/NetworkManager/internal-a-eth0.lease"));
	assert_false(image_has("/var/lib/dhcpcd/duid"));
	image_run("machine-id", "'identity': 'new', 'id': 'def'");
	assert_string_not_equal(image_read("/etc/machine-id"), first);
}

/* ---- resolver ---- */

#define MAPPED                                                                 \
	"'nics': [{'name': 'eth0', 'mode': 'map', "                            \
	"'addresses': ['192.0.2.5/24'], "                                      \
	"'nameservers': ['192.0.2.53', '2001:db8::53']}]"

static void resolver_has_reachable_servers(void **state)
{
	image_put("/etc/resolv.conf",
		"search a.example\nnameserver 10.0.0.2\n"
		"options timeout:1\nnameserver 10.0.0.3\n");
	image_put("/etc/systemd/resolved.conf",
		"[Resolve]\n#DNS=\nDNS=10.0.0.2 10.0.0.3\n");
	image_run("resolver", MAPPED);
	image_is("/etc/resolv.conf",
		"search a.example\nnameserver 192.0.2.53\n"
		"nameserver 2001:db8::53\noptions timeout:1\n");
	image_is("/etc/systemd/resolved.conf",
		"[Resolve]\n#DNS=\nDNS=192.0.2.53 2001:db8::53\n");
	assert_non_null(
		strstr(image_read("/var/lib/rehost/old/etc/resolv.conf"),
			"nameserver 10.0.0.2"));
}

static void resolver_leaves_others_files_alone(void **state)
{
	image_put("/etc/resolv.conf",
		"# Generated by NetworkManager\nnameserver 10.0.0.2\n");
	image_run_idle("resolver", MAPPED);
	assert_int_equal(unlink(image_path("/etc/resolv.conf")), 0);
	image_link(
		"/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
	image_run_idle("resolver", MAPPED);
	assert_int_equal(unlink(image_path("/etc/resolv.conf")), 0);
	image_put("/etc/resolv.conf", "nameserver 10.0.0.2\n");
	image_run_idle("resolver", "'nics': [{'name': 'eth0', 'mode': 'keep', "
				   "'nameservers': ['192.0.2.53']}]");
}

/* ---- cloud ---- */

static void cloud_agents_of_systemd(void **state)
{
	image_put("/etc/cloud/cloud.cfg", "x");
	image_put("/usr/lib/systemd/system/amazon-ssm-agent.service", "[Unit]");
	image_put("/usr/lib/systemd/system/open-vm-tools.service", "[Unit]");
	image_put("/etc/systemd/system/walinuxagent.service", "[Unit] own");
	image_put("/etc/init.d/waagent", "#!/bin/sh");
	image_link("/etc/rc3.d/S20waagent", "../init.d/waagent");
	image_link("/etc/rc3.d/S20other", "../init.d/other");
	image_run("cloud", "'id': 'a'");
	assert_true(image_has("/etc/cloud/cloud-init.disabled"));
	assert_string_equal(
		image_target("/etc/systemd/system/amazon-ssm-agent.service"),
		"/dev/null");
	assert_string_equal(
		image_target("/etc/systemd/system/walinuxagent.service"),
		"/dev/null");
	image_is("/var/lib/rehost/old/etc/systemd/system/walinuxagent.service",
		"[Unit] own");
	assert_false(image_has("/etc/systemd/system/open-vm-tools.service"));
	assert_false(image_has("/etc/rc3.d/S20waagent"));
	assert_true(image_has("/etc/rc3.d/S20other"));
}

static void cloud_agents_before_systemd(void **state)
{
	image_put("/etc/init.d/nova-agent", "#!/bin/sh");
	image_link("/etc/rc.d/rc3.d/S15nova-agent", "../init.d/nova-agent");
	image_link("/etc/rc3.d", "rc.d/rc3.d");
	image_put("/etc/init/amazon-ssm-agent.conf", "start on x");
	image_run("cloud", "'id': 'a'");
	assert_false(image_has("/etc/rc.d/rc3.d/S15nova-agent"));
	assert_non_null(strstr(
		image_read("/etc/init/amazon-ssm-agent.override"), "manual"));
	assert_false(image_has("/etc/cloud/cloud-init.disabled"));
}

static void cloud_folders_that_lead_away(void **state)
{
	char outside[128], path[192];
	struct stat st;

	(void)snprintf(outside, sizeof(outside), "%s-outside", image);
	assert_int_equal(mkdir(outside, 0755), 0);
	image_folder("/usr/lib/systemd/system");
	image_put("/usr/lib/systemd/system/waagent.service", "x");
	image_folder("/etc/x");
	image_link("/etc/systemd", outside);
	assert_true(image_try("cloud", "'id': 'a'") < 0);
	assert_non_null(strstr(image_error, "/etc/systemd/system"));
	(void)snprintf(path, sizeof(path), "%s/system", outside);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(rmdir(outside), 0);
}

/* ---- marker ---- */

static void marker_goes_at_the_end_of_the_first_boot(void **state)
{
	char command[512];

	image_put("/usr/lib/systemd/system/x.service", "");
	image_run("", "'id': 'a'");
	assert_non_null(strstr(
		image_read("/etc/rehost-migrating"), "\nname=web1\ntime=20"));
	assert_string_equal(
		image_target("/etc/systemd/system/multi-user.target.wants/"
			     "rehost-first-boot.service"),
		"../rehost-first-boot.service");
	assert_non_null(strstr(
		image_read("/etc/systemd/system/rehost-first-boot.service"),
		"ExecStart=/bin/sh /etc/rehost-first-boot"));
	assert_false(image_has("/etc/rehost-relabel"));
	/* It leaves nothing behind. */
	(void)snprintf(command, sizeof(command),
		"cd '%s' && sed 's| /etc/| etc/|g' etc/rehost-first-boot | sh "
		"&& test -z \"$(find etc -name 'rehost*')\"",
		image);
	assert_int_equal(system(command), 0);
}

#define GROW                                                                   \
	"'id': 'a', 'grow': [{'disk': 0, 'partition': 2, 'start': 1048576, "   \
	"'type': 'ext4', 'mount': '/', 'uuid': 'u-1'}, {'disk': 1, "           \
	"'partition': 1, 'start': 1048576, 'type': 'xfs', 'mount': '/srv', "   \
	"'physical': 'p-1', 'group': 'vg', 'logical': "                        \
	"'/dev/mapper/vg-srv'}]"

/* Programs of the moved system, which write down how they were called. */
static void put_growers(void)
{
	static const char *const programs[] = {
		"resize2fs", "xfs_growfs", "lvextend"};
	char path[64], text[256];

	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		(void)snprintf(path, sizeof(path), "/b/%s", programs[i]);
		(void)snprintf(text, sizeof(text),
			"#!/bin/sh\necho %s \"$@\" >>'%s/called'\n",
			programs[i], image);
		image_script(path, text);
	}
	image_script("/b/blkid", "#!/bin/sh\necho /dev/$2\n");
	(void)snprintf(text, sizeof(text), "#!/bin/sh\ncat '%s/free'\n", image);
	image_script("/b/vgs", text);
	(void)snprintf(text, sizeof(text),
		"#!/bin/sh\necho pvresize \"$@\" >>'%s/called'\n"
		"echo '  107' >'%s/free'\n",
		image, image);
	image_script("/b/pvresize", text);
	image_put("/free", "  7\n");
}

/* The end of the first boot, seen from outside. */
static int first_boot(void)
{
	char command[1024];

	(void)snprintf(command, sizeof(command),
		"cd '%s' && sed -i 's| /etc/| etc/|g; s|/var/lib/rehost|state|;"
		"s|^PATH=.*|PATH=%s/b:/usr/bin:/bin|' etc/rehost-first-boot "
		"etc/rehost-grow && sh etc/rehost-first-boot >out 2>&1",
		image, image);
	return system(command);
}

static void what_lies_on_a_larger_disk_grows(void **state)
{
	image_put("/usr/lib/systemd/system/x.service", "");
	put_growers();
	image_run("", GROW);
	assert_int_equal(image_count("changes", "grow"), 1);
	assert_int_equal(first_boot(), 0);
	/* What the group had free before stays free. */
	image_is("/called", "resize2fs /dev/u-1\n"
			    "pvresize /dev/p-1\n"
			    "lvextend -l +100 /dev/mapper/vg-srv\n"
			    "xfs_growfs /srv\n");
	assert_non_null(
		strstr(image_read("/state/grown"), "rehost: / has grown\n"));
	assert_non_null(strstr(image_read("/out"), "rehost: /srv has grown\n"));
	assert_false(image_has("/etc/rehost-grow"));
	assert_false(image_has("/state/free-vg"));
}

static void growing_goes_on_after_a_crash(void **state)
{
	image_put("/usr/lib/systemd/system/x.service", "");
	put_growers();
	image_run("", GROW);
	/* It had got as far as the physical volume. */
	image_folder("/state");
	image_put("/state/free-vg", "7\n");
	image_put("/free", "  107\n");
	assert_int_equal(first_boot(), 0);
	assert_non_null(
		strstr(image_read("/called"), "lvextend -l +100 /dev/"));
}

static void what_cannot_grow_is_told(void **state)
{
	image_put("/usr/lib/systemd/system/x.service", "");
	put_growers();
	image_script("/b/resize2fs", "#!/bin/sh\necho no room; exit 3\n");
	image_script("/b/vgs", "#!/bin/sh\nexit 5\n");
	image_run("", GROW);
	assert_int_equal(first_boot(), 0);
	assert_non_null(strstr(image_read("/state/grown"),
		"no room\nrehost: / could not grow (3)\n"));
	assert_non_null(strstr(
		image_read("/state/grown"), "rehost: /srv could not grow (1)"));
	assert_false(image_has("/called"));
	assert_false(image_has("/etc/rehost-migrating"));
}

static void marker_labels_what_was_changed(void **state)
{
	image_put("/usr/lib/systemd/system/x.service", "");
	image_put("/etc/selinux/config", "# x\nSELINUX=enforcing\n");
	image_put("/etc/fstab", "/dev/vda2 / ext4 defaults 0 1\n");
	image_run("fstab", IMAGE_FILESYSTEMS "'id': 'a'");
	assert_non_null(
		strstr(image_read("/etc/rehost-relabel"), "/etc/fstab\n"));
	assert_non_null(strstr(
		image_read("/etc/rehost-relabel"), "/etc/rehost-migrating\n"));
	/* A later run adds to it. */
	image_put("/etc/hostname", "a\n");
	image_run("hostname", "'hostname': 'b'");
	assert_non_null(
		strstr(image_read("/etc/rehost-relabel"), "/etc/fstab\n"));
	assert_non_null(
		strstr(image_read("/etc/rehost-relabel"), "/etc/hostname\n"));
}

static void labels_are_kept_and_inherited(void **state)
{
	char value[64] = "";

	image_put("/etc/fstab", "/dev/vda2 / ext4 defaults 0 1\n");
	if (setxattr(image_path("/etc/fstab"), "security.selinux", "a:b:c:s0",
		    9, 0) < 0 ||
		setxattr(image_path("/etc"), "security.selinux", "a:b:etc:s0",
			11, 0) < 0)
		skip();
	image_run("fstab", IMAGE_FILESYSTEMS "'id': 'a'");
	assert_int_equal(getxattr(image_path("/etc/fstab"), "security.selinux",
				 value, sizeof(value)),
		9);
	assert_string_equal(value, "a:b:c:s0");
	assert_int_equal(getxattr(image_path("/etc/rehost-migrating"),
				 "security.selinux", value, sizeof(value)),
		11);
	assert_string_equal(value, "a:b:etc:s0");
}

static void marker_before_systemd(void **state)
{
	image_folder("/etc/init.d");
	image_folder("/etc/rc.d/rc3.d");
	image_folder("/etc/rc.d/rc3.d/x");
	image_folder("/etc/init.d/x");
	image_run("", "'id': 'a'");
	assert_string_equal(
		image_target("/etc/rc.d/rc3.d/S99rehost-first-boot"),
		"../../init.d/rehost-first-boot");
	assert_true(image_has("/etc/init.d/rehost-first-boot"));
}

static void marker_with_nothing_known(void **state)
{
	image_run("", "'id': 'a'");
	assert_true(image_says("warnings", "stays until somebody removes it"));
	assert_true(image_has("/etc/rehost-migrating"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, image_setup, image_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fstab_names_devices_by_uuid),
		TEST(fstab_lets_unknown_devices_be_absent),
		TEST(fstab_without_any_knowledge_stays),
		TEST(fstab_survives_what_is_hostile),
		TEST(only_what_is_wished_for),
		TEST(crypttab_names_devices_by_uuid),
		TEST(crypttab_swap_made_at_each_boot),
		TEST(lvm_looks_at_all_disks),
		TEST(hostname_of_debian),
		TEST(hostname_that_cloud_init_would_change),
		TEST(hostname_of_rhel),
		TEST(machine_id_is_new_only_for_a_copy),
		TEST(resolver_has_reachable_servers),
		TEST(resolver_leaves_others_files_alone),
		TEST(cloud_agents_of_systemd),
		TEST(cloud_agents_before_systemd),
		TEST(cloud_folders_that_lead_away),
		TEST(marker_goes_at_the_end_of_the_first_boot),
		TEST(what_lies_on_a_larger_disk_grows),
		TEST(growing_goes_on_after_a_crash),
		TEST(what_cannot_grow_is_told),
		TEST(marker_labels_what_was_changed),
		TEST(labels_are_kept_and_inherited),
		TEST(marker_before_systemd),
		TEST(marker_with_nothing_known),
	};

	return cmocka_run_group_tests_name("fixup_files", tests, NULL, NULL);
}
