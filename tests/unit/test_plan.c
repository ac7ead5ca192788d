/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "move/plan.h"
#include "move/plan_text.h"

#define GIB 1073741824ULL

/* ---- facts ---- */

static json_t *json(const char *text)
{
	json_error_t e;
	json_t *j = json_loads(text, JSON_DECODE_ANY, &e);

	if (!j)
		fail_msg("%s in %s", e.text, text);
	return j;
}

/* A machine with these disks (in GiB, each with a serial) and interfaces. */
static json_t *machine(const char *host, const char *disks, const char *network)
{
	json_t *j = json_pack("{s:i s:b s:{s:s s:{s:s}} s:o s:[] s:[] s:o}",
		"schema", 1, "root", 1, "system", "hostname", host, "firmware",
		"mode", "bios", "disks", json(disks), "filesystems", "swap",
		"network", json(network));

	assert_non_null(j);
	return j;
}

#define DISK(name, serial, gib)                                                \
	"{\"name\":\"" name "\",\"kind\":\"disk\",\"size\":" gib "073741824,"  \
	"\"serial\":\"" serial "\",\"id\":\"serial:" serial "\"}"
#define FULL(name, serial, gib)                                                \
	"{\"name\":\"" name "\",\"kind\":\"disk\",\"size\":" gib "073741824,"  \
	"\"serial\":\"" serial "\",\"id\":\"serial:" serial "\","              \
	"\"content\":{\"type\":\"ext4\",\"uuid\":\"u-" serial "\"}}"
#define NIC(name, mac, carrier, addresses)                                     \
	"{\"name\":\"" name "\",\"mac\":\"" mac "\",\"kind\":\"ethernet\","    \
	"\"address\":\"0000:00:03.0\",\"carrier\":" carrier                    \
	",\"addresses\":[" addresses "]}"
#define MAC_A "52:54:00:00:00:0a"
#define MAC_B "52:54:00:00:00:0b"
#define MAC_C "52:54:00:00:00:0c"
#define MAC_D "52:54:00:00:00:0d"

static struct options wish(void)
{
	struct options o;

	options_init(&o);
	(void)snprintf(o.source, sizeof(o.source), "root@old");
	(void)snprintf(o.target, sizeof(o.target), "root@new");
	return o;
}

static struct plan make(const json_t *source, const json_t *target)
{
	struct options o = wish();
	struct error err;
	struct plan p;

	if (plan_make(&o, false, source, target, &p, &err) < 0)
		fail_msg("%s: %s", err.what, err.why);
	return p;
}

static struct plan make_disks(const char *source, const char *target)
{
	json_t *s = machine("old", source, "{}");
	json_t *t = machine("new", target, "{}");
	struct plan p = make(s, t);

	json_decref(s);
	json_decref(t);
	return p;
}

static char *written(const struct plan *p)
{
	struct error err;
	char *text = NULL;

	if (plan_write(p, &text, &err) < 0)
		fail_msg("%s", err.why);
	return text;
}

static struct plan parsed(const char *text)
{
	struct error err;
	struct plan p;

	if (plan_parse("f", text, strlen(text), &p, &err) < 0)
		fail_msg("%s in\n%s", err.why, text);
	return p;
}

/* Which disk of the target each of the source gets: "vda=vdb vdb=- ". */
static const char *mapping(const struct plan *p)
{
	static char text[512];

	text[0] = '\0';
	for (uint32_t i = 0; i < p->n_disks; i++) {
		size_t n = strlen(text);

		(void)snprintf(text + n, sizeof(text) - n, "%s=%s ",
			p->disks[i].name,
			p->disks[i].exclude	  ? "no"
			: p->disks[i].target_name ? p->disks[i].target_name
						  : "~");
	}
	return text;
}

static void expect_mapping(
	const char *source, const char *target, const char *want)
{
	struct plan p = make_disks(source, target);
	char *text = written(&p);
	struct plan q = parsed(text);

	assert_string_equal(mapping(&p), want);
	assert_string_equal(mapping(&q), want);
	free(text);
	plan_done(&p);
	plan_done(&q);
}

/* ---- disks ---- */

static void smallest_that_fits(void **state)
{
	expect_mapping("[" DISK("vda", "A", "1") "]",
		"[" DISK("vda", "X", "3") "," DISK("vdb", "Y", "1") "," DISK(
			"vdc", "Z", "2") "]",
		"vda=vdb ");
	expect_mapping("[" DISK("vda", "A", "2") "," DISK("vdb", "B", "1") "]",
		"[" DISK("vda", "X", "3") "," DISK("vdb", "Y", "2") "]",
		"vda=vdb vdb=vda ");
	expect_mapping("[" DISK("vda", "A", "3") "]",
		"[" DISK("vda", "X", "2") "]", "vda=~ ");
	expect_mapping("[]", "[]", "");
}

static void equal_disks(void **state)
{
	/* All are needed: in order. */
	expect_mapping("[" DISK("vda", "A", "1") "," DISK("vdb", "B", "1") "]",
		"[" DISK("vda", "X", "2") "," DISK("vdb", "Y", "2") "]",
		"vda=vda vdb=vdb ");
	/* One is not: no guess. */
	expect_mapping("[" DISK("vda", "A", "1") "]",
		"[" DISK("vda", "X", "2") "," DISK("vdb", "Y", "2") "]",
		"vda=~ ");
	/* An empty one before one with something on it. */
	expect_mapping("[" DISK("vda", "A", "1") "]",
		"[" FULL("vda", "X", "2") "," DISK("vdb", "Y", "2") "]",
		"vda=vdb ");
}

static void unfit_disks(void **state)
{
	static const char *const unfit[] = {"\"removable\":true",
		"\"readonly\":true", "\"kind\":\"rom\"", "\"kind\":\"part\"",
		"\"kind\":\"loop\"", "\"id\":\"\"", "\"size\":-1",
		"\"size\":\"1\""};

	for (unsigned i = 0; i < ARRAY_LEN(unfit); i++) {
		CLEANUP_FREE char *text = NULL;

		assert_true(asprintf(&text,
				    "[{\"name\":\"vda\",\"kind\":\"disk\","
				    "\"size\":9999999999,\"id\":\"serial:X\","
				    "%s}]",
				    unfit[i]) > 0);
		expect_mapping("[" DISK("vda", "A", "1") "]", text, "vda=~ ");
	}
	expect_mapping("[{\"name\":\"sda\",\"kind\":\"disk\",\"size\":1,"
		       "\"id\":\"size:1\",\"removable\":true}]",
		"[" DISK("vda", "X", "2") "]", "sda=no ");
}

static void disks_in_use(void **state)
{
	static const struct {
		const char *key, *value;
	} uses[] = {
		{"filesystems", "[{\"mount\":\"/\",\"disk\":\"vda2\"}]"},
		{"filesystems", "[{\"mount\":\"/\",\"devices\":[\"dm-0\"]}]"},
		{"swap", "[{\"disk\":\"vda\"}]"},
		{NULL, NULL}, /* an active volume group */
	};
	static const char disks[] =
		"[" FULL("vda", "X", "2") ","
					  "{\"name\":\"vda2\",\"kind\":"
					  "\"part\",\"parents\":[\"vda\"]},"
					  "{\"name\":\"dm-0\",\"kind\":\"lvm\","
					  "\"parents\":[\"vda2\"]}]";

	for (unsigned i = 0; i < ARRAY_LEN(uses); i++) {
		json_t *s = machine("old", "[" DISK("vda", "A", "1") "]", "{}");
		json_t *t = machine("new", disks, "{}");
		struct plan p;

		if (uses[i].key) {
			assert_int_equal(
				json_array_remove(
					json_object_get(t, "disks"), 2),
				0);
			if (strstr(uses[i].value, "dm-0"))
				assert_int_equal(
					json_array_append_new(
						json_object_get(t, "disks"),
						json("{\"name\":\"dm-0\","
						     "\"kind\":"
						     "\"part\",\"parents\":"
						     "[\"vda2\"]}")),
					0);
			assert_int_equal(json_object_set_new(t, uses[i].key,
						 json(uses[i].value)),
				0);
		}
		p = make(s, t);
		assert_string_equal(mapping(&p), "vda=~ ");
		assert_non_null(
			strstr(p.disks[0].comment, i < 2    ? "is mounted on /"
						   : i == 2 ? "in use as swap"
							    : "carries dm-0"));
		plan_done(&p);
		/* Free again, as when the machine runs from memory. */
		assert_int_equal(
			json_array_clear(json_object_get(t, "filesystems")), 0);
		assert_int_equal(
			json_array_clear(json_object_get(t, "swap")), 0);
		while (json_array_size(json_object_get(t, "disks")) > 1)
			assert_int_equal(
				json_array_remove(
					json_object_get(t, "disks"), 1),
				0);
		p = make(s, t);
		assert_string_equal(mapping(&p), "vda=vda ");
		assert_null(p.disks[0].overwrite);
		assert_non_null(strstr(p.disks[0].comment, "NOT EMPTY"));
		plan_done(&p);
		json_decref(s);
		json_decref(t);
	}
}

static void paths_of_one_disk(void **state)
{
	expect_mapping("[" DISK("vda", "A", "1") "]",
		"[{\"name\":\"sda\",\"kind\":\"disk\",\"size\":2073741824,"
		"\"id\":\"wwn:1\",\"holders\":[\"dm-0\"]},"
		"{\"name\":\"sdb\",\"kind\":\"disk\",\"size\":2073741824,"
		"\"id\":\"wwn:1\",\"holders\":[\"dm-0\"]},"
		"{\"name\":\"dm-0\",\"kind\":\"mpath\",\"size\":2073741824,"
		"\"id\":\"uuid:m\",\"parents\":[\"sda\",\"sdb\"]}]",
		"vda=dm-0 ");
}

static void overwrite(void **state)
{
	json_t *s = machine("old", "[" DISK("vda", "A", "1") "]", "{}");
	json_t *t = machine("new", "[" FULL("vda", "X", "2") "]", "{}");
	struct options o = wish();
	struct error err;
	struct plan p = make(s, t);

	/* Not before somebody says so. */
	assert_int_equal(plan_check(&p, s, t, &err), -EEXIST);
	assert_string_equal(err.host, "root@new");
	assert_non_null(strstr(err.todo, "serial:X"));
	plan_done(&p);
	/* Nor where nobody could see what is there. */
	json_object_del(
		json_array_get(json_object_get(t, "disks"), 0), "content");
	json_object_del(
		json_array_get(json_object_get(t, "disks"), 0), "table");
	p = make(s, t);
	assert_int_equal(plan_check(&p, s, t, &err), 0);
	json_object_set_new(json_array_get(json_object_get(t, "disks"), 0),
		"unreadable", json_true());
	plan_done(&p);
	p = make(s, t);
	assert_int_equal(plan_check(&p, s, t, &err), -EEXIST);
	plan_done(&p);
	(void)snprintf(o.overwrite, sizeof(o.overwrite), "serial:X");
	assert_int_equal(plan_make(&o, false, s, t, &p, &err), 0);
	assert_string_equal(p.disks[0].overwrite, "serial:X");
	assert_int_equal(plan_check(&p, s, t, &err), 0);
	plan_done(&p);
	/* Said of one that looks empty it stays said: the target looks closer.
	 */
	json_object_del(
		json_array_get(json_object_get(t, "disks"), 0), "unreadable");
	assert_int_equal(plan_make(&o, false, s, t, &p, &err), 0);
	assert_string_equal(p.disks[0].overwrite, "serial:X");
	assert_int_equal(plan_check(&p, s, t, &err), 0);
	/* It was mounted since. */
	json_object_set_new(t, "filesystems",
		json("[{\"mount\":\"/x\",\"disk\":\"vda\"}]"));
	assert_int_equal(plan_check(&p, s, t, &err), -EBUSY);
	assert_string_equal(err.why, "disk vda is mounted on /x");
	assert_string_equal(err.host, "root@new");
	plan_done(&p);
	json_decref(s);
	json_decref(t);
}

#define COPY(name, path)                                                       \
	"{\"name\":\"" name "\",\"kind\":\"disk\",\"size\":2073741824,"        \
	"\"id\":\"uuid:U\",\"content\":{\"type\":\"ext4\",\"uuid\":\"U\"},"    \
	"\"driver_path\":[\"" path "\"]}"

/* Two disks with copies of one filesystem: the id says not which. */
static void overwrite_a_copy(void **state)
{
	json_t *s = machine("old",
		"[" DISK("vda", "A", "2") "," DISK("vdb", "B", "2") "]", "{}");
	json_t *t = machine("new",
		"[" COPY("vda", "0000:00:04.0") "," COPY(
			"vdb", "0000:00:05.0") "]",
		"{}");
	json_t *swapped = machine("new",
		"[" COPY("vda", "0000:00:05.0") "," COPY(
			"vdb", "0000:00:04.0") "]",
		"{}");
	struct options o = wish();
	struct error err;
	struct plan p, q;
	char *text;

	/* Not by the id alone, neither in making nor in checking. */
	(void)snprintf(o.overwrite, sizeof(o.overwrite), "uuid:U");
	assert_int_equal(plan_make(&o, false, s, t, &p, &err), 0);
	assert_string_equal(mapping(&p), "vda=vda vdb=vdb ");
	assert_null(p.disks[0].overwrite);
	assert_null(p.disks[1].overwrite);
	assert_non_null(strstr(p.disks[0].comment, "vda/uuid:U"));
	p.disks[0].overwrite = strdup("uuid:U");
	p.disks[1].overwrite = strdup("vdb/uuid:U");
	assert_int_equal(plan_check(&p, s, t, &err), -EEXIST);
	assert_non_null(strstr(err.todo, "\"vda/uuid:U\""));
	free(p.disks[0].overwrite);
	p.disks[0].overwrite = strdup("vda/uuid:U");
	text = written(&p);
	q = parsed(text);
	assert_int_equal(plan_check(&q, s, t, &err), 0);
	/* The same two after a boot that named them the other way round. */
	assert_int_equal(plan_check(&q, s, swapped, &err), -ESTALE);
	assert_non_null(strstr(err.why, "0000:00:0"));
	free(text);
	plan_done(&p);
	plan_done(&q);
	(void)snprintf(o.overwrite, sizeof(o.overwrite), "vdb/uuid:U");
	assert_int_equal(plan_make(&o, false, s, t, &p, &err), 0);
	assert_null(p.disks[0].overwrite);
	assert_string_equal(p.disks[1].overwrite, "vdb/uuid:U");
	plan_done(&p);
	json_decref(s);
	json_decref(t);
	json_decref(swapped);
}

/* ---- network ---- */

/* "MAC>MAC:mode;" of each. */
static void expect_network(
	const char *source, const char *target, bool clone, const char *want)
{
	json_t *s = machine("old", "[]", source);
	json_t *t = machine("new", "[]", target);
	struct options o = wish();
	struct error err;
	struct plan p, q;
	char got[512] = "", *text;

	assert_int_equal(plan_make(&o, clone, s, t, &p, &err), 0);
	assert_int_equal(p.new_identity, clone);
	text = written(&p);
	q = parsed(text);
	for (uint32_t i = 0; i < q.n_nics; i++) {
		const struct plan_nic *n = &q.nics[i];
		size_t at = strlen(got);

		(void)snprintf(got + at, sizeof(got) - at, "%s>%s:%s%s%s%s%s;",
			n->mac + 16, n->target ? n->target + 16 : "~",
			n->exclude ? "no" : plan_mode_names[n->mode],
			n->addresses.n ? " " : "",
			n->addresses.n ? n->addresses.v[0] : "",
			n->gateways.n ? " " : "",
			n->gateways.n ? n->gateways.v[0] : "");
	}
	assert_string_equal(got, want);
	free(text);
	plan_done(&p);
	plan_done(&q);
	json_decref(s);
	json_decref(t);
}

#define NETWORK(nics) "{\"interfaces\":[" nics "]}"
#define STATIC_A NIC("eth0", MAC_A, "true", "\"192.0.2.5/24\"")

static void modes(void **state)
{
	/* The same subnet. */
	expect_network(NETWORK(STATIC_A),
		NETWORK(NIC("e", MAC_C, "true", "\"192.0.2.77/24\"")), false,
		"a>c:keep;");
	/* Nothing there that says otherwise; a link-local one does not. */
	expect_network(NETWORK(STATIC_A),
		NETWORK(NIC("e", MAC_C, "true", "\"fe80::1/64\"")), false,
		"a>c:keep;");
	/* Another subnet. */
	expect_network(NETWORK(STATIC_A),
		"{\"interfaces\":[" NIC("e", MAC_C, "true",
			"\"198.51.100.7/24\"") "],\"routes\":[{\"to\":"
					       "\"default\",\"via\":\"198.51."
					       "100.1\",\"interface\":\"e\"}]}",
		false, "a>c:map 198.51.100.7/24 198.51.100.1;");
	/* The source by DHCP: as configured, whatever the kernel has. */
	expect_network("{\"interfaces\":[" STATIC_A "],\"configured_by\":[{"
		       "\"kind\":\"ifupdown\",\"active\":true,\"interfaces\":"
		       "{\"eth0\":\"dhcp\"}}]}",
		NETWORK(NIC("e", MAC_C, "true", "\"198.51.100.7/24\"")), false,
		"a>c:dhcp;");
	/* A clone beside its source. */
	expect_network(NETWORK(STATIC_A),
		NETWORK(NIC("e", MAC_C, "true", "\"192.0.2.77/24\"")), true,
		"a>c:map 192.0.2.77/24;");
	expect_network(NETWORK(STATIC_A), NETWORK(NIC("e", MAC_C, "true", "")),
		true, "a>c:dhcp;");
	/* What it has not yet it would keep as well. */
	expect_network("{\"interfaces\":[" NIC("eth0", MAC_A, "true",
			       "") "],"
				   "\"configured_by\":[{\"kind\":\"ifupdown\","
				   "\"active\":true,"
				   "\"interfaces\":{\"eth0\":\"static\"}}]}",
		NETWORK(NIC("e", MAC_C, "true", "")), true, "a>c:dhcp;");
	expect_network(NETWORK(NIC("eth0", MAC_A, "true", "")),
		NETWORK(NIC("e", MAC_C, "true", "")), true, "a>~:no;");
	expect_network(NETWORK(NIC("eth0", MAC_A, "true", "")),
		NETWORK(NIC("e", MAC_C, "true", "")), false, "a>c:keep;");
}

static void pairs(void **state)
{
	/* The subnet first, then those with a carrier. */
	expect_network(
		NETWORK(NIC("eth0", MAC_A, "true", "\"10.0.0.1/8\"") "," NIC(
			"eth1", MAC_B, "true", "\"192.0.2.5/24\"")),
		NETWORK(NIC("a", MAC_C, "true", "\"192.0.2.6/24\"") "," NIC(
			"b", MAC_D, "false", "")),
		false, "a>d:keep;b>c:keep;");
	expect_network(NETWORK(STATIC_A),
		NETWORK(NIC("a", MAC_C, "false", "") "," NIC(
			"b", MAC_D, "true", "")),
		false, "a>d:keep;");
	/* Too few. */
	expect_network(
		NETWORK(STATIC_A "," NIC("eth1", MAC_B, "true",
			"\"10.0.0.1/8\"") "," NIC("eth2", MAC_D, "false", "")),
		NETWORK(NIC("a", MAC_C, "true", "")), false,
		"a>c:keep;b>~:keep;d>~:no;");
	/* Two that nothing could tell apart, and no MAC at all. */
	expect_network(NETWORK(STATIC_A "," NIC("eth1", MAC_A, "true",
			       "") "," NIC("eth2", "x", "true", "")),
		NETWORK(NIC("a", MAC_C, "true", "")), false, "a>c:keep;");
}

/* A machine with n addresses on its interface. */
static json_t *with_addresses(unsigned n)
{
	json_t *j = machine("new", "[]", NETWORK(NIC("e", MAC_C, "true", "")));
	json_t *nics =
		json_object_get(json_object_get(j, "network"), "interfaces");
	json_t *list = json_object_get(json_array_get(nics, 0), "addresses");

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(json_array_append_new(
					 list, json_sprintf("198.51.%u.%u/16",
						       i / 250, i % 250 + 1)),
			0);
	return j;
}

static void many_addresses(void **state)
{
	json_t *s = machine("old", "[]", NETWORK(STATIC_A));
	json_t *t = with_addresses(256);
	struct options o = wish();
	struct error err;
	struct plan p = make(s, t), q;
	char *text = written(&p);

	q = parsed(text);
	assert_int_equal(q.nics[0].addresses.n, 256);
	assert_string_equal(q.nics[0].addresses.v[255], "198.51.1.6/16");
	free(text);
	plan_done(&p);
	plan_done(&q);
	json_decref(t);
	t = with_addresses(257);
	assert_int_equal(plan_make(&o, false, s, t, &p, &err), -EOVERFLOW);
	assert_string_equal(err.host, "root@new");
	assert_string_equal(
		err.why, "its interface e has more than 256 addresses");
	json_decref(s);
	json_decref(t);
}

/* ---- fingerprints ---- */

static const char real[] =
	"[{\"name\":\"vda\",\"kind\":\"disk\",\"size\":10737418240,"
	"\"serial\":\"A\",\"id\":\"serial:A\",\"table\":{\"kind\":\"gpt\","
	"\"id\":\"T\",\"partitions\":[{\"number\":1,\"start\":1048576,"
	"\"size\":1000000000,\"type\":\"L\",\"uuid\":\"P\"}]}},"
	"{\"name\":\"vda1\",\"kind\":\"part\",\"parents\":[\"vda\"],"
	"\"part\":{\"number\":1},\"content\":{\"type\":\"ext4\",\"uuid\":"
	"\"F\"}},"
	"{\"name\":\"vdb\",\"kind\":\"disk\",\"size\":10737418240,"
	"\"id\":\"size:10737418240\"}]";

static void fingerprint(const json_t *facts, char ret[65])
{
	struct plan_list l;

	assert_int_equal(plan_facts(facts, &l), 0);
	assert_int_equal(plan_fingerprint(&l, ret), 0);
	plan_list_done(&l);
}

static json_t *disk_of(json_t *facts, size_t i)
{
	return json_array_get(json_object_get(facts, "disks"), i);
}

static void set(json_t *o, const char *key, json_t *v)
{
	assert_int_equal(json_object_set_new(o, key, v), 0);
}

static void volatile_changes(void **state)
{
	json_t *a = machine("old", real, "{}"), *b = json_deep_copy(a);
	char x[65], y[65];

	fingerprint(a, x);
	set(b, "load", json("{\"cpu\":{\"load1\":3.5}}"));
	set(b, "filesystems", json("[{\"mount\":\"/\",\"used\":5}]"));
	set(b, "memory", json("{\"available\":5}"));
	set(json_object_get(b, "system"), "boot_id", json_string("other"));
	set(json_object_get(b, "system"), "hostname", json_string("other"));
	set(json_object_get(b, "network"), "interfaces", json("[]"));
	/* Another order and name of a disk with a serial. */
	set(disk_of(b, 0), "name", json_string("vdc"));
	set(disk_of(b, 1), "name", json_string("vdc1"));
	set(disk_of(b, 1), "parents", json("[\"vdc\"]"));
	assert_int_equal(
		json_array_append(json_object_get(b, "disks"), disk_of(b, 0)),
		0);
	assert_int_equal(json_array_remove(json_object_get(b, "disks"), 0), 0);
	/* A stick that somebody plugged in, and a loop device. */
	assert_int_equal(json_array_append_new(json_object_get(b, "disks"),
				 json("{\"name\":\"sda\",\"kind\":\"disk\","
				      "\"removable\":true,\"id\":\"size:1\","
				      "\"size\":1}")),
		0);
	assert_int_equal(json_array_append_new(json_object_get(b, "disks"),
				 json("{\"name\":\"loop0\",\"kind\":\"loop\","
				      "\"id\":\"size:1\",\"size\":1}")),
		0);
	fingerprint(b, y);
	assert_string_equal(x, y);
	json_decref(a);
	json_decref(b);
}

static json_t *table_part(json_t *facts)
{
	return json_array_get(
		json_object_get(json_object_get(disk_of(facts, 0), "table"),
			"partitions"),
		0);
}

/* Each change is found, and named. */
static void change(json_t *j, int which)
{
	switch (which) {
	case 0:
		set(disk_of(j, 2), "size", json_integer(21474836480));
		set(disk_of(j, 2), "id", json_string("size:21474836480"));
		break;
	case 1:
		set(json_object_get(json_object_get(j, "system"), "firmware"),
			"mode", json_string("uefi"));
		break;
	case 2:
		set(json_object_get(disk_of(j, 0), "table"), "id",
			json_string("U"));
		break;
	case 3:
		set(table_part(j), "start", json_integer(2097152));
		break;
	case 4:
		set(json_object_get(disk_of(j, 1), "content"), "uuid",
			json_string("G"));
		break;
	case 5:
		assert_int_equal(
			json_array_remove(json_object_get(j, "disks"), 2), 0);
		break;
	case 6:
		assert_int_equal(
			json_array_append_new(json_object_get(j, "disks"),
				json(DISK("vdx", "N\\n\\u001b[1m", "1"))),
			0);
		break;
	case 7:
		set(disk_of(j, 0), "serial", json_string("B"));
		set(disk_of(j, 0), "id", json_string("serial:B"));
		break;
	default:
		assert_int_equal(
			json_array_clear(json_object_get(
				json_object_get(disk_of(j, 0), "table"),
				"partitions")),
			0);
	}
}

static void real_changes(void **state)
{
	static const char *const said[] = {
		"disk vdb has 21474836480 bytes, the plan was made for "
		"10737418240",
		"the firmware has the mode uefi, the plan was made for bios",
		"disk vda has the table gpt:U, the plan was made for gpt:T",
		"partition 1 of vda has the start 2097152, the plan was made "
		"for 1048576",
		"partition 1 of vda has the content ext4:G, the plan was made "
		"for ext4:F",
		"disk vdb is gone", "disk vdx is new",
		"disk vda is gone; partition 1 of vda is gone; disk vda is "
		"new; and 1 more",
		"partition 1 of vda is gone"};
	json_t *a = machine("old", real, "{}");
	json_t *t = machine("new", "[]", "{}");
	char seen[ARRAY_LEN(said) + 1][65];
	struct plan p;
	struct error err;

	p = make(a, t);
	for (uint32_t i = 0; i < p.n_disks; i++)
		p.disks[i].exclude = true;
	assert_int_equal(plan_check(&p, a, t, &err), 0);
	fingerprint(a, seen[ARRAY_LEN(said)]);
	for (unsigned i = 0; i < ARRAY_LEN(said); i++) {
		json_t *b = json_deep_copy(a);

		change(b, (int)i);
		fingerprint(b, seen[i]);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(seen[i], seen[j]);
		assert_string_not_equal(seen[i], seen[ARRAY_LEN(said)]);
		assert_int_equal(plan_check(&p, b, t, &err), -ESTALE);
		assert_string_equal(err.why, said[i]);
		assert_string_equal(err.host, "root@old");
		json_decref(b);
	}
	plan_done(&p);
	json_decref(a);
	json_decref(t);
}

static void check_choices(void **state)
{
	json_t *s = machine(
		"old", "[" DISK("vda", "A", "3") "]", NETWORK(STATIC_A));
	json_t *t = machine("new", "[" DISK("vda", "X", "2") "]", "{}");
	struct plan p = make(s, t);
	struct error err;

	assert_int_equal(plan_check(&p, s, t, &err), -EINVAL);
	assert_string_equal(err.why, "disk vda has no target yet");
	p.disks[0].target_name = strdup("vda");
	p.disks[0].target_id = strdup("serial:X");
	p.disks[0].target_size = 2073741824;
	assert_int_equal(plan_check(&p, s, t, &err), -ENOSPC);
	p.disks[0].target_size = 5;
	assert_int_equal(plan_check(&p, s, t, &err), -ESTALE);
	assert_string_equal(
		err.why, "there is no disk vda (serial:X) with 5 bytes");
	assert_string_equal(err.host, "root@new");
	p.disks[0].exclude = true;
	assert_int_equal(plan_check(&p, s, t, &err), -EINVAL);
	assert_string_equal(err.why, "interface eth0 has no target yet");
	p.nics[0].exclude = true;
	assert_int_equal(plan_check(&p, s, t, &err), 0);
	plan_done(&p);
	json_decref(s);
	json_decref(t);
}

static void without_root(void **state)
{
	json_t *s = machine("old", "[]", "{}");
	struct options o = wish();
	struct error err;
	struct plan p;

	set(s, "root", json_false());
	assert_int_equal(plan_make(&o, false, s, s, &p, &err), -EPERM);
	assert_string_equal(err.host, "root@old");
	json_decref(s);
}

/* Values of other types, and facts that are no object. */
static void hostile_facts(void **state)
{
	static const char *const disks[] = {"5", "{}", "[5,null,[]]",
		"[{\"name\":5,\"kind\":[],\"size\":\"x\"}]",
		"[{\"name\":\"a\",\"kind\":\"disk\",\"id\":\"x\",\"table\":5,"
		"\"parents\":5,\"content\":[]}]",
		"[{\"name\":\"a\",\"kind\":\"disk\",\"id\":\"x\",\"parents\":"
		"[\"a\",5],\"table\":{\"partitions\":[5,{\"number\":\"x\"}]}}"
		",{\"name\":\"b\",\"parents\":[\"a\",\"c\"]},"
		"{\"name\":\"c\",\"parents\":[\"b\"]}]"};
	static const char *const networks[] = {"5", "[]",
		"{\"interfaces\":5,\"routes\":5}",
		"{\"interfaces\":[5,{\"name\":5,\"mac\":5}],\"configured_by\":"
		"[5],\"routes\":[5]}",
		"{\"interfaces\":[{\"name\":\"a\",\"mac\":\"" MAC_A "\","
		"\"kind\":\"ethernet\",\"master\":\"a\",\"addresses\":[5,"
		"\"x/y\",\"1.2.3.4/99\",\"/\"]}]}"};

	for (unsigned i = 0; i < ARRAY_LEN(disks); i++)
		for (unsigned j = 0; j < ARRAY_LEN(networks); j++) {
			json_t *s = machine("old", disks[i], networks[j]);
			struct plan p = make(s, s), q;
			char *text = written(&p);

			q = parsed(text);
			free(text);
			plan_done(&p);
			plan_done(&q);
			json_decref(s);
		}
}

/* More than a machine has is refused, before anything looks at all of it. */
static void endless_facts(void **state)
{
	json_t *s = machine("old", "[]", "{}"), *d = json(DISK("a", "A", "1"));
	struct options o = wish();
	struct error err;
	struct plan p;

	for (int i = 0; i < 300; i++)
		assert_int_equal(
			json_array_append_new(json_object_get(s, "disks"),
				json_pack("{s:s s:s s:s s:i}", "name", "x",
					"kind", "disk", "id", "size:1", "size",
					1)),
			0);
	assert_int_equal(plan_make(&o, false, s, s, &p, &err), -E2BIG);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(
			json_array_append(json_object_get(s, "disks"), d), 0);
	assert_int_equal(plan_make(&o, false, s, s, &p, &err), -E2BIG);
	assert_string_equal(err.host, "root@old");
	json_decref(d);
	json_decref(s);
}

/* ---- files ---- */

static const char *const hostile[] = {"a\nplan: 2\n", "\"", "'", "\\", "\\x41",
	"\t", "a: b", "a #b", "# a", "- a", "~", "null", "true", "No", "0x10",
	"12", "52:54:00", "1e5", ".5", "*a", "&a", "!a", "%a", "@a", "`a", "|",
	">", "{a", "[a", "?", ":", "a:", " a ", "\r\n", "\x1b[31m", "\x7f",
	"\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xae",
	"\xef\xbb\xbf", "\xef\xbf\xbe", "\xf0\x9f\x98\x80", "\xc3\xa4", "---",
	"...", "--- a", "\x01\x02", "=", "<<"};

static void hostile_strings(void **state)
{
	for (unsigned i = 0; i < ARRAY_LEN(hostile); i++) {
		json_t *s = machine("old", "[]", "{}");
		struct plan p = make(s, s), q;
		struct plan_disk *d = plan_add_disk(&p);
		char *text, *again;

		assert_int_equal(options_add_hook(&p.quiesce, hostile[i]), 0);
		d->name = strdup(hostile[i]);
		d->id = strdup(hostile[i]);
		d->size = GIB;
		d->target_name = strdup(hostile[i]);
		d->target_id = strdup(hostile[i]);
		d->target_size = GIB;
		d->overwrite = strdup(hostile[i]);
		d->comment = strdup(hostile[i]);
		free(p.source.hostname);
		p.source.hostname = strdup(hostile[i]);
		text = written(&p);
		q = parsed(text);
		assert_string_equal(q.disks[0].name, hostile[i]);
		assert_string_equal(q.disks[0].target_id, hostile[i]);
		assert_string_equal(q.disks[0].overwrite, hostile[i]);
		assert_string_equal(q.quiesce.v[0], hostile[i]);
		assert_string_equal(q.source.hostname, hostile[i]);
		/* Without the comments it is the same again. */
		free(p.disks[0].comment);
		p.disks[0].comment = NULL;
		free(p.comment);
		p.comment = NULL;
		free(text);
		text = written(&p);
		again = written(&q);
		assert_string_equal(text, again);
		free(text);
		free(again);
		plan_done(&p);
		plan_done(&q);
		json_decref(s);
	}
}

static void not_utf8(void **state)
{
	static const char *const bytes[] = {"a\xff", "\xc0\xaf", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xe2\x82", "\xf8\x88\x80\x80\x80"};

	for (unsigned i = 0; i < ARRAY_LEN(bytes); i++) {
		json_t *s = machine("old", "[]", "{}");
		struct plan p = make(s, s), q;
		struct error err;
		char *text;

		free(p.source.hostname);
		p.source.hostname = strdup(bytes[i]);
		free(p.comment);
		p.comment = strdup(bytes[i]);
		text = written(&p);
		q = parsed(text);
		/* Made visible. */
		assert_non_null(strstr(q.source.hostname, "\\x"));
		assert_true(plan_text_is_utf8(text));
		free(text);
		plan_done(&q);
		/* But no command becomes another one. */
		assert_int_equal(options_add_hook(&p.quiesce, bytes[i]), 0);
		assert_int_equal(plan_write(&p, &text, &err), -EILSEQ);
		plan_done(&p);
		json_decref(s);
	}
}

/* A plan without comments and empty lines, so that lines have fixed numbers. */
static char *bare(void)
{
	json_t *s = machine("old",
		"[" DISK("vda", "A", "1") "," DISK("vdb", "B", "2") "]",
		NETWORK(STATIC_A));
	json_t *t = machine("new",
		"[" DISK("vda", "X", "1") "," FULL("vdb", "Y", "2") "]",
		NETWORK(NIC("e", MAC_C, "true", "\"198.51.100.7/24\"")));
	struct plan p = make(s, t);
	CLEANUP_FREE char *text = NULL;
	char *out, *to;

	assert_int_equal(options_add_hook(&p.quiesce, "sync"), 0);
	assert_int_equal(plan_list_add(&p.probes, "tcp:22", 1), 0);
	text = written(&p);
	to = out = malloc(strlen(text) + 1);
	for (char *line = text, *end; (end = strchr(line, '\n'));
		line = end + 1) {
		const char *first = line + strspn(line, " ");

		if (*first == '#' || *first == '\n')
			continue;
		memcpy(to, line, (size_t)(end + 1 - line));
		to += end + 1 - line;
	}
	*to = '\0';
	plan_done(&p);
	json_decref(s);
	json_decref(t);
	return out;
}

/* text with the first occurrence of one string replaced. */
static char *replaced(const char *text, const char *what, const char *with)
{
	const char *at = strstr(text, what);
	char *out = NULL;

	if (!at)
		fail_msg("no '%s' in\n%s", what, text);
	assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, with,
			    at + strlen(what)) >= 0);
	return out;
}

static const struct {
	const char *what, *with, *why;
} refused[] = {
	/* keys */
	{"    overwrite: ~", "    overwrit: ~",
		"f:19:5: 'overwrit' is no key of a disk (did you mean "
		"overwrite?)"},
	{"plan: 1", "plan: 1\nnothing_like_it: 1",
		"f:2:1: 'nothing_like_it' is no key of a plan"},
	{"  hostname: old", "  hostname: old\n  hostname: old",
		"f:6:3: 'hostname' is given twice, first in line 5"},
	{"  place: root@old\n", "", "f:4:3: a machine needs place"},
	{"plan: 1\n", "", "f:1:1: a plan needs plan"},
	{"    id: serial:A\n", "", "f:12:5: a disk needs id"},
	{"plan: 1", "[1]: 1\nplan: 1", "f:1:1: a key must be a word"},
	/* types */
	{"    grow: ~", "    grow: srv",
		"f:20:11: 'srv' is no good value of grow; write a mount point "
		"like /srv"},
	{"    grow: ~", "    grow: /a b",
		"f:20:11: '/a b' is no good value of grow; write a mount "
		"point like /srv"},
	{"\nhostname: ~", "\nhostname: a_b",
		"f:40:11: 'a_b' is no good value of hostname; write a host "
		"name of letters, digits, '.' and '-'"},
	{"plan: 1", "plan: 2", "f:1:7: '2' is no good value of plan; write 1"},
	{"name: ~", "name: Web",
		"f:2:7: 'Web' is no good value of name; write "
		"a name of a-z, 0-9, '.', '_' and '-', at "
		"most 63 long"},
	{"size: 1073741824", "size: 10 GB",
		"f:14:11: '10 GB' is no good value of size; write a size like "
		"10737418240 or 50M"},
	{"size: 1073741824", "size: [1]",
		"f:14:11: size is a list; write a size like 10737418240 or "
		"50M"},
	{"size: 1073741824", "size: -1",
		"f:14:11: '-1' is no good value of size; write a size like "
		"10737418240 or 50M"},
	{"size: 1073741824", "size: 99999999999999999999",
		"f:14:11: '99999999999999999999' is no good value of size; "
		"write a size like 10737418240 or 50M"},
	{"disks:\n", "disks: 5\nx:\n",
		"f:11:8: '5' is no good value of disks; write a list, or [] "
		"for "
		"none"},
	{"  - name: vda\n", "  - 5\n  - name: vda\n",
		"f:12:5: a disk is written as keys with values, like name: …"},
	{"fstab: true", "fstab: yes",
		"f:42:10: 'yes' is no good value of fstab; write true or "
		"false"},
	{"fstab: true", "fstab: \"true\"",
		"f:42:10: 'true' is no good value of fstab; write true or "
		"false"},
	{"identity: keep", "identity: clone",
		"f:39:11: 'clone' is no good value of identity; write keep or "
		"new"},
	{"cutover: auto", "cutover: {a: b}",
		"f:56:10: cutover is a map; write auto or wait"},
	{"downtime: 2s", "downtime: 2 s",
		"f:54:13: '2 s' is no good value of downtime; write a time "
		"like 500ms, 2s or 5m"},
	{"timeout: 60s", "timeout: 25h",
		"f:60:12: '25h' is no good value of timeout; write a time from "
		"1ms to 24h"},
	{"mode: map", "mode: static",
		"f:34:11: 'static' is no good value of mode; write keep or map "
		"or dhcp"},
	{"mac: \"52:54:00:00:00:0a\"", "mac: \"52:54:00\"",
		"f:32:10: '52:54:00' is no good value of mac; write a MAC "
		"address like \"52:54:00:12:34:56\""},
	{"198.51.100.7/24", "198.51.100.7/33",
		"f:36:9: '198.51.100.7/33' is no good value of addresses; "
		"write an address like 192.0.2.5/24"},
	{"tcp:22", "tcp:0",
		"f:58:5: 'tcp:0' is no good value of probes; write a probe "
		"like tcp:22 or http://:80/"},
	{"tcp:22", "\"http://a\\nb/\"",
		"f:58:5: 'http://a\nb/' is no good value of probes; write a "
		"probe like tcp:22 or http://:80/"},
	{"- sync", "- ~",
		"f:62:7: '~' is no good value of quiesce; write a text"},
	{"- sync", "[1,2,3,4,5,6,7,8,9]",
		"f:62:22: quiesce has more than 8 commands; let one call a "
		"script"},
	/* between keys */
	{"    target:\n", "    exclude: true\n    target:\n",
		"f:17:7: a target, but exclude is true; take one away"},
	{"    overwrite: ~", "    overwrite: \"serial:Y\"",
		"f:19:16: overwrite names serial:Y, but the target is "
		"serial:X"},
	{"mode: map", "mode: keep", "f:36:7: addresses are only for mode: map"},
	{"  - name: vdb\n", "  - name: vda\n",
		"f:21:11: this disk is here twice, first in line 12"},
	{"      name: vdb\n", "      name: vda\n",
		"f:25:7: this target disk is here twice, first in line 16"},
	{"name=vda size=1", "name=vda size=2",
		"f:66:5: these facts or their fingerprint were changed; make "
		"a new plan instead"},
	/* what YAML can do, and plans do not need */
	{"hostname: old", "hostname: &a old",
		"f:5:13: anchors are not used in plans; leave it out"},
	{"hostname: old", "hostname: *a",
		"f:5:13: aliases are not used in plans; write it out"},
	{"hostname: old", "hostname: !!str old",
		"f:5:13: tags are not used in plans; leave it out"},
	{"hostname: old", "hostname: \"a\\0b\"",
		"f:5:13: no text may contain \\0"},
	{"plan: 1", "---\n--- {}",
		"f:2:1: a plan is one document, and ends "
		"here"},
	{"hostname: old", "hostname: [[[[[[[[[[]]]]]]]]]]",
		"f:5:19: a plan has nothing so deep within"},
	{"hostname: old", "hostname: \"old", "f:"},
	{"hostname: old", "hostname: \xc3\xa4\xff", "f:5:"},
};

static void what_it_becomes(void **state)
{
	CLEANUP_FREE char *base = bare();
	CLEANUP_FREE char *grown = replaced(base, "grow: ~", "grow: /srv");
	CLEANUP_FREE char *named =
		replaced(grown, "\nhostname: ~", "\nhostname: web2.example");
	CLEANUP_FREE char *again = NULL;
	struct plan p = parsed(base), q = parsed(named), r;

	assert_null(p.hostname);
	assert_null(p.disks[0].grow);
	assert_string_equal(q.hostname, "web2.example");
	assert_string_equal(q.disks[0].grow, "/srv");
	again = written(&q);
	r = parsed(again);
	assert_string_equal(r.hostname, q.hostname);
	assert_string_equal(r.disks[0].grow, "/srv");
	assert_null(r.disks[1].grow);
	plan_done(&p);
	plan_done(&q);
	plan_done(&r);
}

static void refusals(void **state)
{
	CLEANUP_FREE char *base = bare();
	struct plan p = parsed(base);
	unsigned failed = 0;

	assert_string_equal(mapping(&p), "vda=vda vdb=vdb ");
	plan_done(&p);
	for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
		CLEANUP_FREE char *text =
			replaced(base, refused[i].what, refused[i].with);
		struct error err;
		size_t n = strlen(refused[i].why);

		if (plan_parse("f", text, strlen(text), &p, &err) != -EINVAL)
			fail_msg("taken: %s", text);
		/* An open end stands for words of the YAML library. */
		if (refused[i].why[n - 1] == ':'
				? strncmp(err.why, refused[i].why, n) == 0
				: strcmp(err.why, refused[i].why) == 0)
			continue;
		print_error("%s\nand not\n%s\n", err.why, refused[i].why);
		failed++;
	}
	assert_int_equal(failed, 0);
}

/* Every shortened plan is refused, none is believed in part. */
static void truncated(void **state)
{
	CLEANUP_FREE char *base = bare();
	size_t all = strlen(base);
	struct error err;
	struct plan p;

	for (size_t n = 0; n + 1 < all; n += 7) {
		CLEANUP_FREE char *part = malloc(n ? n : 1);

		assert_non_null(part);
		memcpy(part, base, n);
		assert_int_equal(plan_parse("f", part, n, &p, &err), -EINVAL);
	}
}

static void bounds(void **state)
{
	size_t n = PLAN_FILE_MAX + 1;
	CLEANUP_FREE char *text = malloc(n);
	struct error err;
	struct plan p;

	assert_non_null(text);
	memset(text, ' ', n);
	assert_int_equal(plan_parse("f", text, n, &p, &err), -EFBIG);
	memset(text, '[', n);
	assert_int_equal(plan_parse("f", text, n - 1, &p, &err), -EINVAL);
	for (size_t i = 0; i + 1 < n; i += 2)
		memcpy(text + i, i ? "a," : "[a", 2);
	assert_int_equal(plan_parse("f", text, n - 1, &p, &err), -EINVAL);
	assert_non_null(strstr(err.why, "so many entries"));
}

static void files(void **state)
{
	char folder[] = "/tmp/rehost-plan-XXXXXX", path[64];
	json_t *s = machine("old", "[]", "{}");
	struct plan p = make(s, s), q;
	struct error err;
	struct stat st;

	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/web1.yaml", folder);
	assert_int_equal(plan_read(path, &q, &err), -ENOENT);
	assert_int_equal(plan_save(&p, path, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(plan_save(&p, path, &err), -EEXIST);
	assert_int_equal(plan_read(path, &q, &err), 0);
	plan_done(&q);
	assert_int_equal(truncate(path, PLAN_FILE_MAX + 5), 0);
	assert_int_equal(plan_read(path, &q, &err), -EFBIG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(plan_read(path, &q, &err), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(plan_read(folder, &q, &err), -EINVAL);
	assert_int_equal(rmdir(folder), 0);
	plan_done(&p);
	json_decref(s);
}

static void options(void **state)
{
	json_t *s = machine("old", "[]", "{}");
	struct options o = wish();
	struct error err;
	struct plan p, q;
	char *text;

	(void)snprintf(o.name, sizeof(o.name), "web1");
	o.wait = true;
	o.downtime_ms = 1500;
	o.bwlimit = 50 << 20;
	o.hook_timeout_ms = 90000;
	assert_int_equal(options_add_hook(&o.quiesce, "a b"), 0);
	assert_int_equal(options_add_hook(&o.rollback, "c"), 0);
	set(s, "ports",
		json("[{\"protocol\":\"tcp\",\"port\":22,\"address\":"
		     "\"::\"},{\"protocol\":\"tcp\",\"port\":80,"
		     "\"address\":\"127.0.0.1\"}]"));
	set(s, "databases",
		json("[{\"kind\":\"redis\",\"running\":true,"
		     "\"service\":\"r\\n- x.service\"}]"));
	assert_int_equal(plan_make(&o, false, s, s, &p, &err), 0);
	text = written(&p);
	assert_non_null(strstr(text, "systemctl stop r\\x0a- x.service\n"));
	q = parsed(text);
	assert_string_equal(q.name, "web1");
	assert_string_equal(q.source.place, "root@old");
	assert_true(q.wait);
	assert_int_equal(q.downtime_ms, 1500);
	assert_int_equal(q.bwlimit, 50 << 20);
	assert_int_equal(q.hook_timeout_ms, 90000);
	assert_string_equal(q.quiesce.v[0], "a b");
	assert_string_equal(q.rollback.v[0], "c");
	assert_int_equal(q.probes.n, 1);
	assert_string_equal(q.probes.v[0], "tcp:22");
	free(text);
	plan_done(&p);
	plan_done(&q);
	options_done(&o);
	json_decref(s);
}

/* The example in the manual is a plan, and rehost would write it so. */
static void manual(void **state)
{
	CLEANUP_FREE char *page = NULL, *again = NULL, *bare_page = NULL;
	char *at, *to, *end;
	struct plan p;
	size_t n;
	int fd = open(REHOST_PLAN_MANUAL, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	page = calloc(1, 65537);
	assert_non_null(page);
	assert_true(io_pread_all(fd, page, 65536, 0) > 0);
	(void)close(fd);
	at = strstr(page, ".Sh EXAMPLES");
	assert_non_null(at);
	at = strstr(at, ".Bd -literal");
	assert_non_null(at);
	at = strchr(at, '\n') + 1;
	end = strstr(at, "\n.Ed");
	assert_non_null(end);
	end[1] = '\0';
	/* "\-" is a hyphen, and "\&" nothing. */
	for (to = bare_page = strdup(at); *at; at++) {
		if (at[0] == '\\' && at[1] == '&')
			at++;
		else if (at[0] == '\\' && at[1] == '-')
			continue;
		else
			*to++ = *at;
	}
	*to = '\0';
	p = parsed(bare_page);
	assert_int_equal(p.n_disks, 2);
	assert_int_equal(p.n_nics, 1);
	again = written(&p);
	/* What the writer says of every plan is the same, to the letter; only
	 * what was said of these machines is lost in reading. */
	n = strlen(again);
	assert_true(n > 1000);
	for (char *line = again, *stop; (stop = strchr(line, '\n'));
		line = stop + 1) {
		*stop = '\0';
		if (!strstr(bare_page, line))
			fail_msg("not in the manual: %s", line);
	}
	plan_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smallest_that_fits),
		cmocka_unit_test(equal_disks),
		cmocka_unit_test(unfit_disks),
		cmocka_unit_test(disks_in_use),
		cmocka_unit_test(paths_of_one_disk),
		cmocka_unit_test(overwrite),
		cmocka_unit_test(overwrite_a_copy),
		cmocka_unit_test(modes),
		cmocka_unit_test(pairs),
		cmocka_unit_test(many_addresses),
		cmocka_unit_test(volatile_changes),
		cmocka_unit_test(real_changes),
		cmocka_unit_test(check_choices),
		cmocka_unit_test(without_root),
		cmocka_unit_test(hostile_facts),
		cmocka_unit_test(endless_facts),
		cmocka_unit_test(hostile_strings),
		cmocka_unit_test(not_utf8),
		cmocka_unit_test(what_it_becomes),
		cmocka_unit_test(refusals),
		cmocka_unit_test(truncated),
		cmocka_unit_test(bounds),
		cmocka_unit_test(files),
		cmocka_unit_test(options),
		cmocka_unit_test(manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
