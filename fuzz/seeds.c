/* SPDX-License-Identifier: Apache-2.0 */
/* Writes inputs to begin with: seeds FOLDER, one folder a fuzzer. They follow
 * the code, so they are made with it and not stored. */
#include "fuzz.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/io.h"
#include "copy/record.h"
#include "preflight_facts.h"
#include "wire/message.h"

static const char *folder;

static void make(const char *path)
{
	fuzz_check(mkdir(path, 0777) == 0 || errno == EEXIST);
}

static void seed(const char *target, const void *bytes, size_t n)
{
	static unsigned number;
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, target);
	make(path);
	(void)snprintf(
		path, sizeof(path), "%s/%s/seed%03u", folder, target, number++);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	fuzz_check(fd >= 0 && io_write_all(fd, bytes, n) == 0);
	(void)close(fd);
}

static void seed_texts(const char *target, const char *const *texts)
{
	for (; *texts; texts++)
		seed(target, *texts, strlen(*texts));
}

/* ---- messages ---- */

static void fill(const struct shape *s, char *out)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const struct field *f = &s->fields[i];
		uint32_t two = f->max < 2 ? f->max : 2;

		switch (f->kind) {
		case FIELD_STR:
			(void)snprintf(out + f->offset, f->max, "text");
			break;
		case FIELD_LIST:
			memcpy(out + f->count_offset, &two, 4);
			for (uint32_t k = 0; k < two; k++)
				fill(f->element,
					out + f->offset + k * f->element->size);
			break;
		case FIELD_BLOB:
			memcpy(out + f->count_offset, &two, 4);
			break;
		default:
			out[f->offset] = 1;
		}
	}
}

static void messages(void)
{
	for (uint32_t type = 0; type < MSG_TYPE_MAX; type++) {
		const struct message_def *d = message_def(type);
		uint8_t *wire;
		void *msg;
		int64_t n = 5;

		if (!d)
			continue;
		msg = calloc(1, d->shape->size + 1);
		wire = calloc(1, 14 + codec_max(d->shape) + 8);
		fuzz_check(msg && wire);
		fill(d->shape, msg);
		if (!d->max)
			n = codec_encode(
				d->shape, msg, wire + 14, codec_max(d->shape));
		fuzz_check(n >= 0);
		wire[0] = d->from;
		wire[1] = (uint8_t)type;
		put_be32(wire + 2, type);
		put_be32(wire + 6, 1);
		put_be32(wire + 10, (uint32_t)n);
		seed("channel", wire, 14 + (size_t)n);
		wire[13] = (uint8_t)type;
		if (!d->max)
			seed("codec", wire + 13, 1 + (size_t)n);
		free(msg);
		free(wire);
	}
}

/* ---- records ---- */

static size_t format(uint8_t *out, struct record *r, const void *payload)
{
	uint8_t head[RECORD_HEAD_MAX];
	uint32_t n = record_format(r, head);
	uint8_t sized[8 + RECORD_HEAD_MAX];

	put_be64(sized, 1 << 20);
	memcpy(sized + 8, head, n);
	seed("record", sized, 8 + n);
	memcpy(out, head, n);
	memcpy(out + n, payload, r->payload);
	return n + r->payload;
}

static void records(void)
{
	static uint8_t out[60000], raw[16384], packed[16384];
	struct record data = {.type = RECORD_DATA,
		.n = 2,
		.raw = 12288,
		.payload = 12288,
		.v = {{0, 4096}, {65536, 8192}}};
	struct record zero = {
		.type = RECORD_ZERO, .n = 2, .v = {{4096, 512}, {8192, 65536}}};
	struct record digest = {.type = RECORD_DIGEST,
		.n = 2,
		.raw = 4873,
		.payload = 32,
		.v = {{0, 4096}, {256 * 1024, 777}}};
	struct record barrier = {.type = RECORD_BARRIER, .raw = 1};
	struct record end = {.type = RECORD_END};
	struct record zstd = data;
	size_t n = 2;

	n += format(out + n, &data, raw);
	n += format(out + n, &barrier, raw);
	put_be16(out, (uint16_t)(n - 2));
	n += format(out + n, &zero, raw);
	n += format(out + n, &digest, raw);
	n += format(out + n, &barrier, raw);
	seed("receiver", out, n);
	zstd.flags = RECORD_ZSTD;
	zstd.payload = (uint32_t)ZSTD_compress(
		packed, sizeof(packed), raw, zstd.raw, 1);
	n = 2 + format(out + 2, &zstd, packed);
	n += format(out + n, &zero, raw);
	n += format(out + n, &digest, raw);
	n += format(out + n, &barrier, raw);
	put_be16(out, (uint16_t)(n - 2));
	n += format(out + n, &barrier, raw);
	n += format(out + n, &end, raw);
	seed("receiver", out, n);
}

/* ---- the kernel's ---- */

static void ringpage(void)
{
	static const char header[] =
		"\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
		"\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
		"\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n";
	static const char event[] =
		"name: block_rq_complete\nID: 2107\nformat:\n"
		"\tfield:unsigned short common_type;\toffset:0;\tsize:2;"
		"\tsigned:0;\n"
		"\tfield:dev_t dev;\toffset:8;\tsize:4;\tsigned:0;\n"
		"\tfield:sector_t sector;\toffset:16;\tsize:8;\tsigned:0;\n"
		"\tfield:unsigned int nr_sector;\toffset:24;\tsize:4;"
		"\tsigned:0;\n"
		"\tfield:char rwbs[10];\toffset:34;\tsize:10;\tsigned:0;\n";
	static uint8_t out[sizeof(header) + sizeof(event) + 4096];
	uint8_t *page = out + sizeof(header) + sizeof(event);
	uint32_t word = 13 | 100 << 5, dev = 7 << 20;
	uint64_t at = 16, sector = 2048, commit;
	uint16_t id = 2107;

	memcpy(out, header, sizeof(header));
	memcpy(out + sizeof(header), event, sizeof(event));
	for (int i = 0; i < 3; i++) {
		memcpy(page + at, &word, 4);
		memcpy(page + at + 4, &id, 2);
		memcpy(page + at + 12, &dev, 4);
		memcpy(page + at + 20, &sector, 8);
		page[at + 28] = 8;
		memcpy(page + at + 38, i == 2 ? "D\0" : "WS", 3);
		at += 4 + 13 * 4;
	}
	commit = at - 16;
	memcpy(page + 8, &commit, 8);
	seed("ringpage", out, sizeof(out));
}

static void dmtable(void)
{
	static const char *const params[] = {"\1"
					     "8:16 2048",
		"\3"
		"2 128 8:16 0 8:32 2048",
		"\3"
		"64 8 8:0 0",
		NULL};
	struct {
		uint8_t form;
		struct dm_target_spec spec;
		char text[32];
	} __attribute__((packed)) t = {.spec = {.length = 4096,
					       .next = sizeof(t) - 1,
					       .target_type = "linear"},
		.text = "8:16 2048"};

	seed_texts("dmtable", params);
	seed("dmtable", &t, sizeof(t));
}

/* ---- a volume's content ---- */

static void signature(uint32_t off, const char *bytes, size_t n)
{
	uint8_t out[512] = {15, (uint8_t)(off >> 16), (uint8_t)(off >> 8),
		(uint8_t)off, 0, (uint8_t)n};

	memcpy(out + 6, bytes, n);
	seed("signatures", out, 6 + n);
}

static void signatures(void)
{
	signature(1080, "\x53\xef\1\0\1\0", 6);
	signature(0, "XFSB\0\0\x10\0\0\0\0\0\0\0\x40\0", 16);
	signature(4086, "SWAPSPACE2", 10);
	signature(512, "LABELONE\1\0\0\0\0\0\0\0", 16);
	signature(512, "EFI PART\0\0\1\0\\\0\0\0", 16);
	signature(65600, "_BHRfS_M", 8);
	signature(510, "\x55\xaa", 2);
	signature(4096, "\xfc\x4e\x2b\xa9\1\0\0\0", 8);
	signature(0, "LUKS\xba\xbe\0\2", 8);
}

static void texts(void)
{
	static const char *const places[] = {"/dev/vdb", "./disk.img",
		"root@host:/dev/vdb", "ssh://me@[2001:db8::1]:2222/srv/",
		"[::1]:/x", "host", "ssh://host:22", "-oProxyCommand=x:/y",
		NULL};
	static const char *const numbers[] = {"0", "18446744073709551615",
		"50M", "500ms", "1h", "web-1.a_b", "00ff10", NULL};
	static const char *const mounts[] = {
		"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root "
		"rw,errors=continue",
		"29 1 8:1 / /a\\040b\\134c ro shared:1 - ext4 /dev/sda1 rw",
		"8:1", "a\\011b", NULL};
#define MARKER "0123456789abcdef0123456789abcdef"
	static const char *const answers[] = {"REHOST-READY " MARKER,
		"REHOST-READY " MARKER " gzip", "REHOST-AGENT " MARKER,
		"REHOST-ERROR " MARKER " arch aarch64",
		"REHOST-ERROR " MARKER " root", "REHOST-READY x",
		"Last login: today", NULL};
	static const char *const options[] = {"{}",
		"{\"name\":\"one\",\"source\":\"a:/b\",\"target\":\"c:/d\","
		"\"copy\":false,\"wait\":true,\"freeze\":true,"
		"\"full_verify\":false,\"fence\":1,\"via\":2,\"lanes\":4,"
		"\"port_low\":0,\"port_high\":0,\"bwlimit\":0,"
		"\"downtime_ms\":2000,\"linger_ms\":3600000,"
		"\"hook_timeout_ms\":60000,\"lease_ms\":30000,"
		"\"overwrite\":\"\",\"quiesce\":[\"true\"],\"rollback\":[],"
		"\"activate\":[],\"deactivate\":[],\"ssh\":[\"-p\",\"22\"]}",
		NULL};

	seed_texts("bootstrap", answers);
	seed_texts("place", places);
	seed_texts("parse", numbers);
	seed_texts("mountinfo", mounts);
	seed_texts("options", options);
}

/* Files that configure the network, by netconfig.c's first byte. */
static void netconfig(void)
{
	static const char *const texts[] = {
		"\0source /etc/network/interfaces.d/*\nauto eth0\n"
		"iface eth0 inet static\n address 192.0.2.1/24\n"
		"iface eth1 \\\n inet6 auto\nsource-directory x\n",
		"\1[Match]\nName=en* eth0\nMACAddress=52-54-00-AA-BB-CC\n"
		"[Network]\nDHCP=yes\n[Address]\nAddress=192.0.2.1/24\n"
		"[Link]\nUnmanaged=yes\n",
		"\2[connection]\ntype=ethernet\ninterface-name=ens3\n"
		"[ethernet]\nmac-address=52:54:00:AA:BB:CC\n"
		"[ipv4]\nmethod=auto\n[ipv6]\nmethod=manual\n",
		"\3network:\n  ethernets:\n    a:\n      match:\n"
		"        macaddress: '52:54:00:aa:bb:cc'\n"
		"      dhcp4: true # x\n    b: {dhcp4: no, addresses: [x]}\n"
		"  bridges:\n    c:\n      set-name: d\n      addresses:\n"
		"      - 192.0.2.1/24\n",
		"\4DEVICE=\"eth0\"\nBOOTPROTO='dhcp'\nIPADDR0=192.0.2.1\n"
		"HWADDR=52:54:00:AA:BB:CC\nIPV6_AUTOCONF=yes\n",
		"\5[service_x]\nType=ethernet\nIPv4=192.0.2.1/24/192.0.2.2\n"
		"MAC=52:54:00:aa:bb:cc\nDeviceName=eth0\n"};

	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		seed("netconfig", texts[i], 1 + strlen(texts[i] + 1));
}

/* Files of a moved system, by fixup.c's first byte. */
static void fixups(void)
{
	static const char *const texts[] = {
		"\0/dev/vda2 / ext4 errors=remount-ro 0 1\n# x\n"
		"/dev/sdb1 /data ext4\nUUID=1234 /x xfs ro 0 0\n",
		"\1data /dev/vda2 none luks\nother /dev/sdb1\n",
		"\2auto eth0 eth0:0\niface eth0 inet static\n"
		" address 10.0.0.5\n # x\n mtu 9000\n up ip route add "
		"x\n\niface eth0:0 inet "
		"static\n",
		"\3[Match]\nName=eth0\n[Network]\nDHCP=yes\nDNS=1\n"
		"[Address]\nAddress=10.0.0.5/24\n[Link]\nMTUBytes=9000\n",
		"\4[connection]\ninterface-name=eth0\n[ipv4]\nmethod=auto\n"
		"dns=1;\n[ipv6]\nmethod=ignore\n",
		"\5network:\n  ethernets:\n    a:\n      match:\n"
		"        macaddress: '52:54:00:aa:bb:cc'\n      addresses:\n"
		"      - 10.0.0.5/24\n      mtu: 9000\n    eth0:\n"
		"      dhcp4: true\n",
		"\6DEVICE=eth0\nBOOTPROTO=none\nIPADDR0=10.0.0.5\nDNS1=1\n",
		"\7SUBSYSTEM==\"net\", ATTR{address}==\"52:54:00:aa:bb:cc\", "
		"NAME=\"eth0\"\n",
		"\10\tlinux /vmlinuz root=/dev/vda2 ro resume=/dev/sdb1\n"
		"set kernelopts=\"root=/dev/loop0p2\"\n",
		"\11kernelopts=root=/dev/vda2 ro\n####",
		"\12\tkernel /vmlinuz root=/dev/sda1\n",
		"\13options root=/dev/vda2 $kernelopts\n",
		"\14APPEND initrd=/x root=/dev/vda2\n",
		"\15GRUB_CMDLINE_LINUX=\"root=/dev/vda2 quiet\"\n",
		"\16root=/dev/vda2 ro\n"};

	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		seed("fixup", texts[i], 1 + strlen(texts[i] + 1));
}

static void kernel_text(void)
{
	static const char *const texts[] = {
		"   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 "
		"00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0",
		"  0: 00000000000000000000000000000000:0035 "
		"00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 222 1",
		"12:pids:/a\n1:name=systemd:/system.slice/b.service\n0::/"
		"c.scope",
		" 254       0 vda 100 1 2000 7 300 4 5000 9 0 1 2 3", "12.34",
		"REDIS0010\xfa\tredis-ver\x06"
		"7.0.15\xfa",
		NULL};

	seed_texts("kerneltext", texts);
}

/* An address, a route with one hop and one with two; a link, a neighbour. */
static void rtnetlink(void)
{
	static const uint8_t link[] = {
		/* family, type, index, flags, change; IFLA_IFNAME, IFLA_LINK */
		0, 0, 1, 0, 3, 0, 0, 0, 3, 16, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0,
		'v', '7', 0, 0, 8, 0, 5, 0, 2, 0, 0, 0,
		/* IFLA_LINKINFO with IFLA_INFO_KIND */
		16, 0, 18, 0, 9, 0, 1, 0, 'v', 'l', 'a', 'n', 0, 0, 0, 0};
	static const uint8_t neighbour[] = {
		/* family, index, state, flags, type; NDA_DST, NDA_LLADDR */
		2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 1, 8, 0, 1, 0, 192, 0, 2, 1,
		10, 0, 2, 0, 2, 0, 0, 0, 0, 1, 0, 0};
	static const uint8_t bytes[] = {
		/* length, type, flags, number, sender */
		40, 0, 0, 0, 20, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0,
		/* family, prefix, flags, scope, index; IFA_LOCAL, IFA_FLAGS */
		2, 24, 128, 0, 2, 0, 0, 0, 8, 0, 2, 0, 192, 0, 2, 1, 8, 0, 8, 0,
		128, 0, 0, 0,
		/* RTA_OIF, RTA_GATEWAY, RTA_PRIORITY */
		52, 0, 0, 0, 24, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,
		254, 16, 0, 1, 0, 0, 0, 0, 8, 0, 4, 0, 2, 0, 0, 0, 8, 0, 5, 0,
		192, 0, 2, 1, 8, 0, 6, 0, 100, 0, 0, 0,
		/* RTA_MULTIPATH */
		64, 0, 0, 0, 24, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,
		254, 16, 0, 1, 0, 0, 0, 0, 36, 0, 9, 0, 16, 0, 0, 0, 2, 0, 0, 0,
		8, 0, 5, 0, 192, 0, 2, 1, 16, 0, 4, 0, 3, 0, 0, 0, 8, 0, 5, 0,
		192, 0, 2, 2};

	seed("rtnetlink", bytes, sizeof(bytes));
	seed("rtnetlink", bytes + 16, 24);
	seed("rtnetlink", bytes + 56, 36);
	seed("rtnetlink", bytes + 108, 48);
	seed("rtnetlink", link, sizeof(link));
	seed("rtnetlink", neighbour, sizeof(neighbour));
}

/* ---- what a machine's disks and files say ---- */

static size_t piece(uint8_t *out, uint32_t off, const void *bytes, uint16_t n)
{
	out[0] = (uint8_t)(off >> 16);
	put_be16(out + 1, (uint16_t)off);
	put_be16(out + 3, n);
	memcpy(out + 5, bytes, n);
	return 5U + n;
}

static void put_le(uint8_t *p, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static size_t mbr_piece(uint8_t *out, uint32_t sector, const uint32_t *parts)
{
	uint8_t b[66] = {0};

	for (int i = 0; i < 2; i++) {
		put_le(b + 16 * i + 4, parts[3 * i], 1);
		put_le(b + 16 * i + 8, parts[3 * i + 1], 4);
		put_le(b + 16 * i + 12, parts[3 * i + 2], 4);
	}
	put_le(b + 64, 0xaa55, 2);
	return piece(out, sector * 512 + 446, b, sizeof(b));
}

static void tables(void)
{
	static const uint32_t first[] = {0x83, 8, 8, 5, 16, 64};
	static const uint32_t second[] = {0x82, 1, 4, 5, 16, 16};
	static const uint32_t loop[] = {0x82, 1, 4, 5, 0, 16};
	static const uint32_t plain[] = {0x83, 8, 8, 0x8e, 64, 64};
	static const uint32_t protective[] = {0xee, 1, 127, 0, 0, 0};
	uint8_t out[1024] = {0, 0}, head[92] = "EFI PART\0\0\1\0\\";
	uint8_t entry[64] = {1};
	size_t n = 2;

	n += mbr_piece(out + n, 0, first);
	n += mbr_piece(out + n, 16, second);
	n += mbr_piece(out + n, 32, loop);
	seed("table", out, n);
	out[1] = 2;
	n = 2 + mbr_piece(out + 2, 0, protective);
	put_le(head + 24, 1, 8);
	put_le(head + 72, 2, 8);
	put_le(head + 80, 4, 4);
	put_le(head + 84, 128, 4);
	n += piece(out + n, 512, head, sizeof(head));
	entry[32] = 40;
	entry[40] = 50;
	entry[56] = 'a';
	n += piece(out + n, 1024, entry, sizeof(entry));
	seed("table", out, n);
	/* Those that grow. */
	out[1] = 6;
	put_le(head + 32, 110, 8);
	put_le(head + 40, 4, 8);
	put_le(head + 48, 100, 8);
	n = 2 + mbr_piece(out + 2, 0, protective);
	n += piece(out + n, 512, head, sizeof(head));
	n += piece(out + n, 1024, entry, sizeof(entry));
	seed("table", out, n);
	out[0] = 255;
	out[1] = 4;
	seed("table", out, 2 + mbr_piece(out + 2, 0, plain));
}

/* An archive, the same packed, and both, one behind the other. */
static void seed_initramfs(const char *archive, size_t n)
{
	static const char gz[] = "\x1f\x8b\x08\0\0\0\0\0\0\x03";
	char all[2048];
	size_t packed;

	seed("unpack", archive, n);
	memcpy(all, archive, n);
	packed = ZSTD_compress(all + n, sizeof(all) - n, archive, n, 1);
	fuzz_check(!ZSTD_isError(packed));
	seed("unpack", all + n, packed);
	seed("unpack", all, n + packed);
	memcpy(all + n, gz, sizeof(gz) - 1);
	seed("unpack", all, n + sizeof(gz) - 1);
}

static void boot(void)
{
	static const char *const fstabs[] = {"UUID=a / ext4 rw,password=x 0 "
					     "1\n# b\n/dev/sda1 /a\\040b xfs\n",
		"root /dev/vg/lv none luks,discard\n", NULL};
	static const char *const configs[] = {/* By grubcfg.c's first byte. */
		"@set default=\"1>0\"\nmenuentry 'a b' --id x {\n"
		" linux /k root=/dev/a \\\n ro ; initrd /u /i\n}\n"
		"submenu b {\nmenuentry c {\nmultiboot /x\nmodule /k\n}\n}\n"
		"function d {\n}\nset default=\"${saved_entry}\"\nblscfg\n",
		"Adefault 1\ntitle A\nkernel (hd0,0)/k root=/dev/a\n"
		"initrd /i\ntitle B\nkernel /xen.gz\nmodule /k ro\n",
		"BDEFAULT l\nLABEL l\n LINUX /k\n APPEND initrd=/i root=x\n",
		"Ctitle T\nlinux /k\ninitrd /i $x\noptions root=x $y\n",
		"@saved_entry=x\n", NULL};
	char archive[512];
	int n = 0;

	seed_texts("fstab", fstabs);
	seed_texts("grubcfg", configs);
	archive[n++] = 6;
	for (int i = 0; i < 2; i++) {
		n += snprintf(archive + n, sizeof(archive) - (size_t)n,
			"070701%048d%08x%032d%08x%08d", 0, i ? 0 : 5, 0,
			i ? 11 : 4, 0);
		memcpy(archive + n,
			i ? "TRAILER!!!\0\0\0" : "a/b\0\0\0hello\0\0", 14);
		n += 14;
	}
	seed("cpio", archive, (size_t)n);
	seed_initramfs(archive + 1, (size_t)n - 1);
}

/* ---- what preflight reads ---- */

static void machines(void)
{
	static const char aliases[] = "0# x\nalias pci:v*d[0-9]* virtio-pci\n"
				      "alias virtio:d00000002v* virtio_blk\n";
	static const char infos[] = "1a.license=GPL\0a.alias=x\0b.alias=?";
	static const char bad[] =
		"{'root':false,'disks':[{'name':'vda','kind':'disk',"
		"'size':1,'parents':['vda'],'lvm':{'lv':'x_tdata'},"
		"'content':{'type':'crypto_LUKS'},'md':{'degraded':1}}],"
		"'swap':[{'kind':'file','path':'/s','disk':'vda'}],"
		"'fstab':[{'names':'path','type':'nfs'}],"
		"'databases':[{'kind':'x','running':true}],"
		"'network':{'configured_by':[{'kind':'cloud-init',"
		"'interfaces':{'52:54:00:00:00:09':'dhcp'}}]},"
		"'kernels':[{'release':'1-cloud-amd64','running':true}]}";
	static char text[2 * sizeof(source_text) + sizeof(target_text) +
			 sizeof(bad)];
	const char *const pairs[][2] = {{source_text, target_text},
		{bad, target_text}, {source_text, bad}};

	seed("modalias", aliases, sizeof(aliases));
	seed("modalias", infos, sizeof(infos));
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		size_t n = strlen(pairs[i][0]) + 1 + strlen(pairs[i][1]);

		(void)snprintf(text, sizeof(text), "%s%c%s", pairs[i][0], '\0',
			pairs[i][1]);
		for (size_t k = 0; k < n; k++)
			text[k] = text[k] == '\'' ? '"' : text[k];
		seed("preflight", text, n);
	}
}

/* ---- the rescue system ---- */

/* A program with a loader and a library, and the beginning of a kernel. */
static void programs(void)
{
	struct {
		Elf64_Ehdr h;
		Elf64_Phdr p[3];
		Elf64_Dyn d[4];
		char loader[16], strings[16];
	} i;
	uint8_t kernel[0x220];

	memset(&i, 0, sizeof(i));
	memcpy(i.h.e_ident, ELFMAG, SELFMAG);
	i.h.e_ident[EI_CLASS] = ELFCLASS64;
	i.h.e_ident[EI_DATA] = ELFDATA2LSB;
	i.h.e_type = ET_DYN;
	i.h.e_machine = EM_X86_64;
	i.h.e_phoff = sizeof(i.h);
	i.h.e_phentsize = sizeof(i.p[0]);
	i.h.e_phnum = 3;
	i.p[0].p_type = PT_LOAD;
	i.p[0].p_filesz = sizeof(i);
	i.p[1].p_type = PT_INTERP;
	i.p[1].p_offset = (uint64_t)(i.loader - (char *)&i);
	i.p[1].p_filesz = sizeof(i.loader);
	i.p[2].p_type = PT_DYNAMIC;
	i.p[2].p_offset = (uint64_t)((char *)i.d - (char *)&i);
	i.p[2].p_filesz = sizeof(i.d);
	i.d[0].d_tag = DT_NEEDED;
	i.d[1].d_tag = DT_STRTAB;
	i.d[1].d_un.d_ptr = (uint64_t)(i.strings - (char *)&i);
	i.d[2].d_tag = DT_STRSZ;
	i.d[2].d_un.d_val = sizeof(i.strings);
	memcpy(i.loader, "/lib/ld.so", 11);
	memcpy(i.strings, "libc.so.6", 10);
	seed("elf", &i, sizeof(i));
	memset(kernel, 0, sizeof(kernel));
	memcpy(kernel + 0x202, "HdrS", 4);
	kernel[0x20e] = 0x10;
	memcpy(kernel + 0x210, "6.1.0 (x)", 10);
	seed("elf", kernel, sizeof(kernel));
}

static void rescue(void)
{
	static const char lists[] =
		"k/a.ko: k/b.ko k/c-d.ko.xz\nk/b.ko:\nk/c-d.ko.xz: k/b.ko\n\0"
		"alias pci:v0000144Dd[0-9A-B]*sv* a\nalias fs-x c_d\n\0"
		"pci:v0000144DdAsv1";
	static const char *const lines[] = {
		"rehost.ip=10.0.0.5/24,gw=10.0.0.1,mac=52:54:00:12:34:56",
		"quiet rehost.ip=2001:db8::7/64,gw=fe80::1,dev=eth0 "
		"rehost.dns=::1 rehost.watchdog=90",
		"dhcp,dev=eth1", "rehost.ip=dhcp", NULL};

	seed("modules", lists, sizeof(lists) - 1);
	seed_texts("cmdline", lines);
	programs();
}

static void plans(void)
{
#define NOTHING                                                                \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	static const char *const texts[] = {
		"plan: 1\nname: a\nsource:\n  place: root@a\n  hostname: ~\n"
		"  fingerprint: " NOTHING "\ntarget: {place: b, fingerprint: "
		"\"" NOTHING "\"}\ndisks:\n  - name: vda\n    id: \"a\\x20\"\n"
		"    size: 1G\n    target: {name: vdb, id: 'b', size: 2G}\n"
		"    overwrite: b\n  - {name: c, id: d, size: 1, exclude: "
		"true}\n"
		"  - {name: e, id: d, size: 1, target: ~}\n"
		"network:\n  - mac: \"52:54:00:00:00:01\"\n    target: "
		"\"52:54:00:00:00:02\"\n    mode: map\n    addresses:\n"
		"      - 192.0.2.1/24\n    gateways: [ \"2001:db8::1\" ]\n"
		"identity: new\nfixups:\n  fstab: false\nbudget: {downtime: "
		"5ms, bwlimit: ~}\ncutover: wait\nprobes: [ tcp:1, "
		"http://x:8/y ]\nhooks:\n  timeout: 1m\n  quiesce:\n  - |\n"
		"    a\n    b\nfacts: {source: [], target: []}\n",
		"a: &b [*b, !c d, ? e : >\n f]\n--- ...\n", NULL};

	seed_texts("plan", texts);
}

/* ---- clients of the export ---- */

static void nbd(void)
{
	/* Flags, GO to the disk "0", a read, a write, the end. */
	static const uint8_t client[] = "\0\0\0\3"
					"IHAVEOPT\0\0\0\7\0\0\0\7"
					"\0\0\0\1"
					"0\0\0"
					"\x25\x60\x95\x13\0\0\0\0cookie00"
					"\0\0\0\0\0\0\x10\0\0\0\x20\0"
					"\x25\x60\x95\x13\0\0\0\1cookie01"
					"\0\0\0\0\0\0\x10\0\0\0\0\4data"
					"\x25\x60\x95\x13\0\0\0\2cookie02"
					"\0\0\0\0\0\0\0\0\0\0\0\0";
	static const uint8_t list[] = "\0\0\0\1"
				      "IHAVEOPT\0\0\0\3\0\0\0\0"
				      "IHAVEOPT\0\0\0\1\0\0\0\1"
				      "1";

	seed("nbd", client, sizeof(client) - 1);
	seed("nbd", list, sizeof(list) - 1);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	folder = argv[1];
	make(folder);
	messages();
	records();
	ringpage();
	dmtable();
	signatures();
	texts();
	netconfig();
	fixups();
	kernel_text();
	rtnetlink();
	tables();
	boot();
	machines();
	rescue();
	plans();
	nbd();
	return 0;
}
