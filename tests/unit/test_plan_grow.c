/* SPDX-License-Identifier: Apache-2.0 */
/* What can grow on a larger disk, and what a clone must not have. */
#include "unit.h"

#include <errno.h>

#include "facts/facts.h"
#include "move/clone.h"
#include "move/machine.h"
#include "move/plan_grow.h"

static json_t *read_json(const char *text)
{
	json_error_t why;
	json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, &why);

	if (!j)
		fail_msg("%s in %s", why.text, text);
	return j;
}

#define PART(number, start)                                                    \
	"{\"number\":" number ",\"start\":" start ",\"size\":1048576}"
#define NODE(name, parent, number, start, type)                                \
	"{\"name\":\"" name "\",\"kind\":\"part\",\"parents\":[\"" parent      \
	"\"],\"part\":{\"number\":" number ",\"start\":" start                 \
	"},\"content\":{\"type\":\"" type "\",\"uuid\":\"u-" name "\"}}"
#define WHOLE(name, table, parts)                                              \
	"{\"name\":\"" name                                                    \
	"\",\"kind\":\"disk\",\"table\":{\"kind\":\"" table                    \
	"\",\"partitions\":[" parts "]}}"
#define MOUNT(point, disk, type, more)                                         \
	"{\"mount\":\"" point "\",\"disk\":\"" disk "\",\"type\":\"" type      \
	"\"" more "}"
#define FACTS(disks, mounts)                                                   \
	"{\"disks\":[" disks "],\"filesystems\":[" mounts "]}"

/* "" when it can, else why not. */
static const char *why(const char *text, const char *disk, const char *mount,
	struct plan_grow *ret)
{
	static char says[256];
	static json_t *facts;
	const json_t *d, *found = NULL;
	char *buf = NULL;
	size_t i, n;
	FILE *f = open_memstream(&buf, &n);
	int r;

	json_decref(facts);
	facts = read_json(text);
	json_array_foreach(json_object_get(facts, "disks"), i, d)
	{
		if (strcmp(facts_text(d, "name"), disk) == 0)
			found = d;
	}
	assert_non_null(found);
	assert_non_null(f);
	r = plan_grow_find(facts, found, mount, ret, f);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(says, sizeof(says), "%s", buf);
	free(buf);
	assert_int_equal(r, says[0] ? -EOPNOTSUPP : 0);
	return says;
}

#define UEFI                                                                   \
	WHOLE("vda", "gpt", PART("1", "1048576") "," PART("2", "68157440"))    \
	"," NODE("vda1", "vda", "1", "1048576", "vfat") "," NODE(              \
		"vda2", "vda", "2", "68157440", "ext4")

static void last_partition(void **state)
{
	struct plan_grow g;
	json_t *wish;

	(void)state;
	assert_string_equal(
		why(FACTS(UEFI, MOUNT("/boot/efi", "vda1", "vfat",
					"") "," MOUNT("/", "vda2", "ext4", "")),
			"vda", "/", &g),
		"");
	assert_int_equal(g.partition, 2);
	assert_int_equal(g.start, 68157440);
	wish = plan_grow_wish(&g, 3);
	assert_string_equal(facts_text(wish, "uuid"), "u-vda2");
	assert_string_equal(facts_text(wish, "type"), "ext4");
	assert_string_equal(facts_text(wish, "mount"), "/");
	assert_string_equal(facts_text(wish, "physical"), "");
	assert_int_equal(json_integer_value(json_object_get(wish, "disk")), 3);
	assert_int_equal(
		json_integer_value(json_object_get(wish, "start")), 68157440);
	json_decref(wish);
}

static void what_stands_in_the_way(void **state)
{
	struct plan_grow g;

	(void)state;
	assert_string_equal(why(FACTS(UEFI, MOUNT("/", "vda2", "ext4", "")),
				    "vda", "/srv", &g),
		"no filesystem of a disk is mounted there");
	assert_string_equal(
		why(FACTS(UEFI, MOUNT("/boot/efi", "vda1", "vfat", "")), "vda",
			"/boot/efi", &g),
		"vfat does not grow while it is mounted");
	assert_string_equal(why(FACTS(UEFI "," WHOLE("vdb", "gpt", ""),
					MOUNT("/", "vda2", "ext4", "")),
				    "vdb", "/", &g),
		"it lies on another disk");
	assert_string_equal(
		why(FACTS(WHOLE("vda", "dos",
				  PART("1", "1048576") "," PART(
					  "2", "9999999")) "," NODE("vda1",
				  "vda", "1", "1048576", "xfs") "," NODE("vda2",
				  "vda", "2", "9999999", "swap"),
			    MOUNT("/", "vda1", "xfs", "")),
			"vda", "/", &g),
		"partition 2 (swap) lies behind partition 1");
	assert_string_equal(
		why(FACTS(WHOLE("vda", "dos",
				  PART("2", "1048576") "," PART(
					  "5", "2097152")) "," NODE("vda5",
				  "vda", "5", "2097152", "ext4"),
			    MOUNT("/", "vda5", "ext4", "")),
			"vda", "/", &g),
		"partition 5 is a logical one");
	assert_string_equal(
		why(FACTS(UEFI, MOUNT("/", "vda2", "btrfs",
					",\"devices\":[\"vda2\",\"vdb\"]")),
			"vda", "/", &g),
		"it lies on several devices");
	assert_string_equal(
		why(FACTS(UEFI ",{\"name\":\"dm-0\",\"kind\":\"crypt\","
			       "\"parents\":[\"vda2\"]}",
			    MOUNT("/", "dm-0", "ext4", "")),
			"vda", "/", &g),
		"it lies on a device (crypt) that rehost does not grow");
	assert_string_equal(
		why(FACTS("{\"name\":\"vda\",\"kind\":\"disk\",\"table\":{"
			  "\"kind\":\"gpt\",\"error\":\"it is odd\"}}," NODE(
				  "vda1", "vda", "1", "1048576", "ext4"),
			    MOUNT("/", "vda1", "ext4", "")),
			"vda", "/", &g),
		"of its partition table, it is odd");
	/* Facts of a machine that nobody vouches for. */
	assert_string_equal(
		why("{\"disks\":[{\"name\":\"vda\",\"kind\":\"disk\"},"
		    "{\"name\":\"vda1\",\"kind\":\"part\",\"parents\":"
		    "[\"vda\"]}],\"filesystems\":[{\"mount\":\"/\",\"disk\":"
		    "\"vda1\",\"type\":\"ext4\"}]}",
			"vda", "/", &g),
		"where its partition begins is not known");
}

#define LVM(on)                                                                \
	UEFI "," NODE("vda3", "vda", "3", "99999999",                          \
		"LVM2_member") ",{\"name\":\"dm-0\",\"kind\":\"lvm\","         \
			       "\"path\":"                                     \
			       "\"/dev/mapper/vg-root\",\"parents\":[" on      \
			       "],\"lvm\":{\"vg\":\"vg\",\"lv\":\"root\"}}"

static void logical_volumes(void **state)
{
	struct plan_grow g;
	json_t *wish;

	(void)state;
	assert_string_equal(why(FACTS(LVM("\"vdb1\",\"vda3\""),
					MOUNT("/", "dm-0", "xfs", "")),
				    "vda", "/", &g),
		"");
	assert_int_equal(g.partition, 3);
	wish = plan_grow_wish(&g, 0);
	assert_string_equal(facts_text(wish, "physical"), "u-vda3");
	assert_string_equal(facts_text(wish, "group"), "vg");
	assert_string_equal(facts_text(wish, "logical"), "/dev/mapper/vg-root");
	assert_string_equal(facts_text(wish, "uuid"), "");
	json_decref(wish);
	/* A mirror, a thin one: on other volumes of LVM. */
	assert_string_equal(
		why(FACTS(LVM("\"dm-7\""), MOUNT("/", "dm-0", "xfs", "")),
			"vda", "/", &g),
		"its logical volume does not lie on that disk straight away");
}

static void whole_disks(void **state)
{
	struct plan_grow g;

	(void)state;
	assert_string_equal(why(FACTS("{\"name\":\"vdb\",\"kind\":\"disk\","
				      "\"content\":{\"type\":\"xfs\",\"uuid\":"
				      "\"u\"}}",
					MOUNT("/srv", "vdb", "xfs", "")),
				    "vdb", "/srv", &g),
		"");
	assert_int_equal(g.partition, 0);
	assert_int_equal(g.start, 0);
}

static void mounts_that_a_script_can_have(void **state)
{
	(void)state;
	assert_true(plan_grow_is_mount("/"));
	assert_true(plan_grow_is_mount("/srv/data-1"));
	assert_false(plan_grow_is_mount(""));
	assert_false(plan_grow_is_mount("srv"));
	assert_false(plan_grow_is_mount("/a b"));
	assert_false(plan_grow_is_mount("/$(reboot)"));
	assert_false(plan_grow_is_mount("/a;b"));
}

/* ---- clones ---- */

#define MAC_A "52:54:00:00:00:0a"
#define MAC_B "52:54:00:00:00:0b"
#define MAC_C "52:54:00:00:00:0c"
#define NIC(name, mac, kind, more)                                             \
	"{\"name\":\"" name "\",\"mac\":\"" mac "\",\"kind\":\"" kind          \
	"\",\"addresses\":[" more "]}"

struct clone {
	enum plan_mode mode;
	const char *address;
	bool exclude, no_fixup;
	const char *cards;	/* of the target; NULL: that of the plan only */
	const char *configured; /* of the source, or NULL */
};

#define CARD(mac)                                                              \
	"{\"name\":\"e\",\"mac\":\"" mac                                       \
	"\",\"kind\":\"ethernet\",\"address\":\"0000:00:03.0\"}"

static size_t noted;

static void on_note(void *arg, const char *event, const char *text)
{
	(void)arg;
	assert_string_equal(event, "same-address");
	assert_non_null(strstr(text, "the clone has "));
	noted++;
}

/* "" when it may be made, else why not; *ret_notes how many were noted. */
static const char *refusal(
	const char *nics, const struct clone *c, size_t *ret_notes)
{
	static struct error err;
	static struct move m;
	json_t *facts, *target;
	char *text = NULL;
	struct plan p;
	struct plan_nic *n;
	int r;

	assert_true(asprintf(&text,
			    "{\"network\":{\"interfaces\":[%s],"
			    "\"configured_by\":[%s]}}",
			    nics, c->configured ? c->configured : "") > 0);
	facts = read_json(text);
	free(text);
	assert_true(asprintf(&text, "{\"network\":{\"interfaces\":[%s]}}",
			    c->cards	 ? c->cards
			    : c->exclude ? ""
					 : CARD(MAC_B)) > 0);
	target = read_json(text);
	free(text);
	memset(&err, 0, sizeof(err));
	memset(&m, 0, sizeof(m));
	m.observer.note = on_note;
	noted = 0;
	plan_init(&p);
	n = plan_add_nic(&p);
	assert_non_null(n);
	n->mac = strdup(MAC_A);
	n->exclude = c->exclude;
	n->target = c->exclude ? NULL : strdup(MAC_B);
	n->mode = c->mode;
	p.fixups[PLAN_NETWORK] = !c->no_fixup;
	if (c->address)
		assert_int_equal(
			plan_list_add(&n->addresses, c->address, 4), 0);
	r = clone_check(&m, &p, facts, target, &err);
	assert_int_equal(r, err.why[0] ? -EADDRINUSE : 0);
	*ret_notes = noted;
	plan_done(&p);
	json_decref(facts);
	json_decref(target);
	return err.why;
}

static void addresses_of_the_source(void **state)
{
	static const char one[] = NIC("eth0", MAC_A, "ethernet",
		"\"192.0.2.15/24\",\"fe80::1/64\"") "," NIC("lo", "",
		"loopback", "\"127.0.0.1/8\",\"::1/128\"");
	static const char keeps[] =
		"it would have 192.0.2.15/24 (eth0) as well, which the source "
		"keeps";
	size_t notes;

	(void)state;
	assert_string_equal(
		refusal(one, &(struct clone){PLAN_KEEP}, &notes), keeps);
	assert_string_equal(
		refusal(one, &(struct clone){PLAN_DHCP}, &notes), "");
	assert_int_equal(notes, 0);
	assert_string_equal(
		refusal(one, &(struct clone){PLAN_DHCP, .no_fixup = true},
			&notes),
		keeps);
	assert_string_equal(
		refusal(one, &(struct clone){PLAN_MAP, "192.0.2.16/24"},
			&notes),
		"");
	/* With another prefix it is the same address. */
	assert_string_equal(
		refusal(one, &(struct clone){PLAN_MAP, "192.0.2.15/16"},
			&notes),
		keeps);
	assert_string_equal(
		refusal(one, &(struct clone){PLAN_KEEP, .exclude = true},
			&notes),
		"");
	/* What it has of itself only. */
	assert_string_equal(
		refusal(NIC("eth0", MAC_A, "ethernet", "\"fe80::1/64\""),
			&(struct clone){PLAN_DHCP}, &notes),
		"");
}

#define CONFIGURED(name, how)                                                  \
	"{\"kind\":\"ifupdown\",\"active\":true,\"interfaces\":{\"" name       \
	"\":\"" how "\"}}"

/* Its configuration stays, and a card may get its name. */
static void interfaces_that_are_left_out(void **state)
{
	static const char two[] = NIC("eth0", MAC_A, "ethernet",
		"\"192.0.2.15/24\"") "," NIC("eth1", MAC_C, "ethernet", "");
	static const char bridge[] =
		"{\"name\":\"eth0\",\"mac\":\"" MAC_A "\",\"kind\":"
		"\"ethernet\",\"master\":\"br0\"}," NIC(
			"br0", MAC_A, "bridge", "\"192.0.2.15/24\"");
	static const char other[] = "{\"name\":\"eth9\",\"mac\":\"" MAC_C
				    "\",\"address\":\"0000:00:09.0\","
				    "\"kind\":\"ethernet\",\"addresses\":"
				    "[\"192.0.2.19/24\"]}";
	static const char keeps[] =
		"it would have 192.0.2.15/24 (eth0) as well, which the source "
		"keeps";
	struct clone c = {PLAN_DHCP, .exclude = true};
	size_t notes;

	(void)state;
	/* There is no card that could. */
	assert_string_equal(refusal(two, &c, &notes), "");
	/* What software made is no card where there is hardware. */
	c = (struct clone){PLAN_DHCP,
		.cards = CARD(MAC_B) "," NIC("veth7", MAC_A, "ethernet", "")};
	assert_string_equal(refusal(other, &c, &notes), "");
	/* All are left out, and there is one. */
	c = (struct clone){PLAN_DHCP, .exclude = true, .cards = CARD(MAC_B)};
	assert_string_equal(refusal(two, &c, &notes), keeps);
	assert_string_equal(refusal(bridge, &c, &notes),
		"it would have 192.0.2.15/24 (br0) as well, which the source "
		"keeps");
	assert_string_equal(
		refusal(NIC("eth0.7", MAC_A, "vlan", "\"10.0.7.1/24\""), &c,
			&notes),
		"it would have 10.0.7.1/24 (eth0.7) as well, which the source "
		"keeps");
	/* As in a container. */
	c.cards = NIC("host0", MAC_B, "ethernet", "");
	assert_string_equal(refusal(two, &c, &notes), keeps);
	/* One has a card, there is another. */
	c = (struct clone){PLAN_DHCP, .cards = CARD(MAC_B) "," CARD(MAC_C)};
	assert_string_equal(refusal(two, &c, &notes), "");
	assert_string_equal(refusal(other, &c, &notes),
		"it would have 192.0.2.19/24 (eth9) as well, which the source "
		"keeps");
}

/* What it has not now, but by its files. */
static void addresses_in_configuration(void **state)
{
	static const char unused[] = NIC("eth0", MAC_A, "ethernet", "");
	static const char would[] = "it would have the addresses as well that "
				    "eth0 is configured with on the source";
	static const char keeps[] =
		"it would have the addresses as well that " MAC_A
		" is configured with on the source";
	struct clone c = {PLAN_KEEP};
	size_t notes;

	(void)state;
	assert_string_equal(refusal(unused, &c, &notes), keeps);
	c = (struct clone){PLAN_DHCP, .no_fixup = true};
	assert_string_equal(refusal(unused, &c, &notes), keeps);
	c = (struct clone){
		PLAN_DHCP, .configured = CONFIGURED("eth0", "static")};
	assert_string_equal(refusal(unused, &c, &notes), "");
	c.exclude = true;
	assert_string_equal(refusal(unused, &c, &notes), "");
	c.cards = CARD(MAC_B);
	assert_string_equal(refusal(unused, &c, &notes), would);
	c.configured = CONFIGURED("eth0", "dhcp");
	assert_string_equal(refusal(unused, &c, &notes), "");
}

static void addresses_that_software_has(void **state)
{
	static const char bridge[] =
		"{\"name\":\"eth0\",\"mac\":\"" MAC_A "\",\"kind\":"
		"\"ethernet\",\"master\":\"br0\"}," NIC(
			"br0", MAC_A, "bridge", "\"2001:db8::5/64\"");
	static const char vlan[] = NIC("eth0", MAC_A, "ethernet", "") "," NIC(
		"eth0.7", MAC_A, "vlan", "\"10.0.7.1/24\"");
	static const char inner[] =
		NIC("eth0", MAC_A, "ethernet", "\"192.0.2.15/24\"") "," NIC(
			"docker0", MAC_B, "bridge", "\"172.17.0.1/16\"");
	size_t notes;

	(void)state;
	assert_string_equal(refusal(bridge, &(struct clone){PLAN_KEEP}, &notes),
		"it would have 2001:db8::5/64 (br0) as well, which the source "
		"keeps");
	assert_string_equal(
		refusal(bridge, &(struct clone){PLAN_DHCP}, &notes), "");
	assert_string_equal(
		refusal(bridge, &(struct clone){PLAN_MAP, "2001:db8:0:0::5/64"},
			&notes),
		"it would have 2001:db8::5/64 (br0) as well, which the source "
		"keeps");
	assert_string_equal(refusal(vlan, &(struct clone){PLAN_DHCP}, &notes),
		"it would have 10.0.7.1/24 (eth0.7) as well, which the source "
		"keeps");
	assert_string_equal(
		refusal(vlan, &(struct clone){PLAN_DHCP, .exclude = true},
			&notes),
		"");
	assert_string_equal(
		refusal(inner, &(struct clone){PLAN_DHCP}, &notes), "");
	assert_int_equal(notes, 1);
}

/* A MAC of the configuration, not of the card, goes along. */
static void macs_in_configuration(void **state)
{
#define OWN(own, more)                                                         \
	"{\"name\":\"eth0\",\"mac\":\"" MAC_A "\",\"permanent_mac\":\"" own    \
	"\",\"kind\":\"ethernet\"" more ",\"addresses\":[]}"
	size_t notes;

	(void)state;
	assert_string_equal(
		refusal(OWN(MAC_C, ""), &(struct clone){PLAN_DHCP}, &notes),
		"it would have the MAC address " MAC_A
		" as well, which the source's configuration gives eth0");
	assert_string_equal(
		refusal(OWN(MAC_A, ""), &(struct clone){PLAN_DHCP}, &notes),
		"");
	/* A bond gives its parts its own. */
	assert_string_equal(refusal(OWN(MAC_C, ",\"master\":\"bond0\""),
				    &(struct clone){PLAN_DHCP}, &notes),
		"");
}

/* What the fix-ups are told of a source with these facts. The plan is given up.
 */
static json_t *wish_with(struct plan *p, const char *text)
{
	json_t *facts = read_json(text), *none = json_object();
	json_t *wish = machine_wish(p, facts, none, "new");

	assert_non_null(wish);
	plan_done(p);
	json_decref(facts);
	json_decref(none);
	return wish;
}

/* What the fix-ups are told of names that say nothing by themselves. */
static void names_in_tables(void **state)
{
	static const char facts[] =
		"{\"disks\":[{\"name\":\"sdb1\",\"kind\":\"part\",\"content\":"
		"{\"type\":\"ext4\",\"uuid\":\"u-1\"}},{\"name\":\"sdb2\","
		"\"kind\":\"part\",\"content\":{\"type\":\"crypto_LUKS\","
		"\"uuid\":\"u-2\"}}],\"crypttab\":[{\"name\":\"secret\","
		"\"device\":\"/dev/disk/by-id/z-part2\",\"disk\":\"sdb2\"}],"
		"\"filesystems\":[{\"mount\":\"/srv\",\"disk\":\"sdb1\"}],"
		"\"fstab\":[{\"spec\":\"/dev/disk/by-path/x-part1\","
		"\"mount\":\"/srv\"},{\"spec\":\"/dev/disk/by-path/y\","
		"\"mount\":\"/other\"},{\"spec\":\"UUID=u-1\","
		"\"mount\":\"/srv\"}]}";
	json_t *wish;
	const json_t *names;
	struct plan p;

	(void)state;
	plan_init(&p);
	wish = wish_with(&p, facts);
	names = json_object_get(
		json_array_get(json_object_get(wish, "filesystems"), 0),
		"aliases");
	assert_int_equal(json_array_size(names), 1);
	assert_string_equal(json_string_value(json_array_get(names, 0)),
		"/dev/disk/by-path/x-part1");
	names = json_object_get(
		json_array_get(json_object_get(wish, "filesystems"), 1),
		"aliases");
	assert_int_equal(json_array_size(names), 1);
	assert_string_equal(json_string_value(json_array_get(names, 0)),
		"/dev/disk/by-id/z-part2");
	json_decref(wish);
}

/* What lies on a disk that is left out may be absent, unless it comes over the
 * network. */
static void disks_that_stay(void **state)
{
	static const char facts[] =
		"{\"disks\":[{\"name\":\"sda\",\"size\":9,\"kind\":\"disk\","
		"\"id\":\"A\"},"
		"{\"name\":\"sda1\",\"parents\":[\"sda\"],\"path\":\"/dev/"
		"sda1\"},"
		"{\"name\":\"sdb\",\"size\":9,\"kind\":\"disk\",\"id\":\"B\"},"
		"{\"name\":\"sdb1\",\"parents\":[\"sdb\"]},"
		"{\"name\":\"dm-0\",\"parents\":[\"sdb1\"]},"
		"{\"name\":\"nbd0\",\"size\":9,\"kind\":\"disk\",\"id\":\"C\","
		"\"path\":\"/dev/nbd0\",\"content\":{\"type\":\"ext4\"}},"
		"{\"name\":\"dm-1\",\"parents\":[\"dm-1\",\"dm-1\"]}]}";
	json_t *wish;
	const json_t *list;
	struct plan p;

	(void)state;
	plan_init(&p);
	for (int i = 0; i < 2; i++) {
		assert_non_null(plan_add_disk(&p));
		p.disks[i].exclude = true;
		p.disks[i].id = strdup(i ? "C" : "B");
		p.disks[i].name = strdup(i ? "nbd0" : "sdb");
	}
	wish = wish_with(&p, facts);
	list = json_object_get(wish, "filesystems");
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(
		facts_text(json_array_get(list, 0), "device"), "/dev/sda1");
	assert_string_equal(
		facts_text(json_array_get(list, 1), "device"), "/dev/nbd0");
	json_decref(wish);
}

/* Where what the firmware reads is mounted, although nobody did on the source;
 * and a folder of a filesystem. */
static void mounts_of_the_wish(void **state)
{
	static const char facts[] =
		"{\"disks\":[{\"name\":\"sda1\",\"path\":\"/dev/sda1\"},"
		"{\"name\":\"sda2\",\"path\":\"/dev/sda2\"}],"
		"\"filesystems\":[{\"mount\":\"/\",\"disk\":\"sda2\","
		"\"type\":\"xfs\"},{\"mount\":\"/var\",\"disk\":\"sda2\","
		"\"folder\":\"/srv/var\",\"type\":\"xfs\"},"
		"{\"mount\":\"/efi\",\"type\":\"autofs\"}],"
		"\"fstab\":[{\"mount\":\"/efi\",\"disk\":\"sda1\"}],"
		"\"boot\":{\"esp\":{\"disk\":\"sda1\"}}}";
	json_t *wish;
	const json_t *list;
	struct plan p;

	(void)state;
	plan_init(&p);
	wish = wish_with(&p, facts);
	list = json_object_get(wish, "mounts");
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(
		facts_text(json_array_get(list, 1), "mount"), "/efi");
	assert_string_equal(
		facts_text(json_array_get(list, 1), "device"), "/dev/sda1");
	assert_string_equal(
		facts_text(json_array_get(list, 1), "type"), "vfat");
	assert_string_equal(
		facts_text(json_array_get(list, 2), "folder"), "/srv/var");
	json_decref(wish);
}

/* A bridge has the addresses of its card. */
static void holder_of_a_card(void **state)
{
	static char mac[] = "52:54:00:00:00:01";
	static const char facts[] =
		"{\"network\":{\"interfaces\":[{\"name\":\"br0\",\"kind\":"
		"\"bridge\",\"mac\":\"52:54:00:00:00:01\",\"addresses\":"
		"[\"10.0.0.5/24\"]},{\"name\":\"eno1\",\"kind\":\"ethernet\","
		"\"mac\":\"52:54:00:00:00:01\",\"master\":\"br0\"}]}}";
	json_t *wish;
	const json_t *nic;
	struct plan p;

	(void)state;
	plan_init(&p);
	assert_non_null(plan_add_nic(&p));
	p.nics[0].name = strdup("eno1");
	p.nics[0].mac = strdup(mac);
	p.nics[0].target = strdup("52:54:00:00:00:02");
	wish = wish_with(&p, facts);
	nic = json_array_get(json_object_get(wish, "nics"), 0);
	assert_string_equal(facts_text(nic, "name"), "eno1");
	assert_string_equal(facts_text(nic, "holder"), "br0");
	json_decref(wish);
}

static json_t *wish_of(const char *boot)
{
	char text[2048];
	struct plan p;

	(void)snprintf(text, sizeof(text),
		"{\"disks\":[{\"name\":\"sda1\",\"kind\":\"part\",\"part\":"
		"{\"uuid\":\"aabb-01\"},\"content\":{\"type\":\"ext4\"}}],"
		"\"filesystems\":[{\"mount\":\"/\",\"disk\":\"sda1\","
		"\"uuid\":\"u-1\"}],\"boot\":{\"default\":{%s}}}",
		boot);
	plan_init(&p);
	return wish_with(&p, text);
}

/* A kernel alone knows partitions only. */
static void kernels_without_an_initramfs(void **state)
{
	json_t *w;

	(void)state;
	w = wish_of("\"kernel\":\"/boot/k\",\"root\":\"/dev/sda1\","
		    "\"command_line\":\"root=/dev/sda1 ro\"");
	assert_string_equal(facts_text(w, "root"), "PARTUUID=aabb-01");
	assert_string_equal(
		facts_text(w, "boot.command_line"), "root=PARTUUID=aabb-01 ro");
	assert_string_equal(facts_text(w, "boot.kernel"), "/boot/k");
	assert_true(json_is_null(
		json_object_get(json_object_get(w, "kernel"), "initramfs")));
	json_decref(w);
	/* Nobody waits for a disk that has another name. */
	w = wish_of("\"kernel\":\"/boot/k\",\"initramfs\":\"/boot/i\","
		    "\"root\":\"/dev/sda1\",\"command_line\":"
		    "\"root=/dev/sda1 resume=/dev/sda2 ro resume=UUID=u-3\"");
	assert_string_equal(facts_text(w, "root"), "UUID=u-1");
	assert_string_equal(facts_text(w, "boot.command_line"),
		"root=UUID=u-1 ro resume=UUID=u-3");
	json_decref(w);
	/* Boot loaders may have it in other ways than facts know. */
	w = wish_of("\"kernel\":\"/boot/k\",\"root\":\"/dev/sda1\","
		    "\"secret\":true,\"command_line\":"
		    "\"initrd=/boot/i root=/dev/sda1 ro\"");
	assert_string_equal(facts_text(w, "root"), "UUID=u-1");
	assert_true(json_is_true(facts_at(w, "boot.secret")));
	/* Nobody starts it without. */
	assert_null(facts_at(w, "boot.kernel"));
	json_decref(w);
	w = wish_of("\"kernel\":\"/boot/k\",\"root\":\"UUID=u-1\"");
	assert_string_equal(facts_text(w, "root"), "UUID=u-1");
	assert_null(facts_at(w, "boot.secret"));
	json_decref(w);
	w = wish_of("");
	assert_null(json_object_get(json_object_get(w, "kernel"), "initramfs"));
	json_decref(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_partition),
		cmocka_unit_test(what_stands_in_the_way),
		cmocka_unit_test(logical_volumes),
		cmocka_unit_test(whole_disks),
		cmocka_unit_test(mounts_that_a_script_can_have),
		cmocka_unit_test(addresses_of_the_source),
		cmocka_unit_test(interfaces_that_are_left_out),
		cmocka_unit_test(addresses_in_configuration),
		cmocka_unit_test(addresses_that_software_has),
		cmocka_unit_test(macs_in_configuration),
		cmocka_unit_test(names_in_tables),
		cmocka_unit_test(disks_that_stay),
		cmocka_unit_test(mounts_of_the_wish),
		cmocka_unit_test(holder_of_a_card),
		cmocka_unit_test(kernels_without_an_initramfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
