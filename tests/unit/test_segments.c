/* SPDX-License-Identifier: Apache-2.0 */
/* Device-mapper tables as text, and how pieces of volumes are mapped. */
#include "unit.h"

#include <errno.h>
#include <linux/dm-ioctl.h>

#include "base/io.h"
#include "base/parse.h"
#include "track/dmtable.h"

static int parse(const char *type, const char *params, struct dmtable_target *t)
{
	memset(t, 0, sizeof(*t));
	t->start = 1024;
	t->sectors = 4096;
	(void)snprintf(t->type, sizeof(t->type), "%s", type);
	return dmtable_parse(params, t);
}

static void good_tables(void **state)
{
	struct dmtable_target t;

	assert_int_equal(parse("linear", "8:16 2048", &t), 0);
	assert_int_equal(t.stripes, 1);
	assert_int_equal(t.chunk_sectors, 0);
	assert_int_equal(t.below[0].major, 8);
	assert_int_equal(t.below[0].minor, 16);
	assert_int_equal(t.below[0].start, 2048);
	assert_int_equal(
		parse("striped", "2 128 8:16 2048 259:70000 384", &t), 0);
	assert_int_equal(t.stripes, 2);
	assert_int_equal(t.chunk_sectors, 128);
	assert_int_equal(t.below[1].major, 259);
	assert_int_equal(t.below[1].minor, 70000);
	assert_int_equal(t.below[1].start, 384);
	assert_int_equal(parse("striped", "1 128 8:16 5", &t), 0);
	assert_int_equal(t.stripes, 1);
	assert_int_equal(t.chunk_sectors, 0);
}

static void bad_tables(void **state)
{
	static const struct {
		const char *type, *params;
		int r;
	} v[] = {
		{"linear", "", -EBADMSG},
		{"linear", "8:16", -EBADMSG},
		{"linear", "8 16", -EBADMSG},
		{"linear", "/dev/sda 0", -EBADMSG},
		{"linear", "8:16 0 0", -EBADMSG},
		{"linear", "8:16 -1", -EBADMSG},
		{"linear", "8:16 18446744073709551615", -EBADMSG},
		{"linear", "8:16 99999999999999999999999999", -EBADMSG},
		{"linear", "4294967296:16 0", -EBADMSG},
		{"linear", "8:16:1 0", -EBADMSG},
		{"linear", ":16 0", -EBADMSG},
		{"linear", "8:16 000000000000000000000000000000000000000000000",
			-EBADMSG},
		{"striped", "0 128", -EBADMSG},
		{"striped", "2 0 8:16 0 8:32 0", -EBADMSG},
		{"striped", "2 128 8:16 0", -EBADMSG},
		{"striped", "2 128 8:16 0 8:32 0 8:48 0", -EBADMSG},
		{"striped", "4294967295 128 8:16 0", -EOPNOTSUPP},
		{"striped", "4294967296 128 8:16 0", -EBADMSG},
		{"striped", "2 4294967296 8:16 0 8:32 0", -EBADMSG},
		{"thin", "8:16 0", -EOPNOTSUPP},
		{"crypt", "aes-xts-plain64 :64 0 8:16 32768", -EOPNOTSUPP},
		{"", "", -EOPNOTSUPP},
	};
	struct dmtable_target t;

	for (unsigned i = 0; i < ARRAY_LEN(v); i++)
		assert_int_equal(parse(v[i].type, v[i].params, &t), v[i].r);
	memset(&t, 0, sizeof(t));
	memcpy(t.type, "linear", 7);
	assert_int_equal(dmtable_parse("8:16 0", &t), -EBADMSG);
	t.start = UINT64_MAX;
	t.sectors = 2;
	assert_int_equal(dmtable_parse("8:16 0", &t), -EBADMSG);
}

/* Appends a target to what the kernel would return. */
static size_t spec(char *buf, size_t at, uint64_t start, uint64_t n,
	const char *type, const char *params)
{
	struct dm_target_spec s = {.sector_start = start, .length = n};
	size_t end = at + sizeof(s) + strlen(params) + 1;

	memcpy(s.target_type, type, strlen(type));
	s.next = (uint32_t)((end + 7) & ~7UL);
	memcpy(buf + at, &s, sizeof(s));
	memcpy(buf + at + sizeof(s), params, strlen(params) + 1);
	return end;
}

static void whole_tables(void **state)
{
	char buf[1024] = {0};
	struct dmtable_target t;
	size_t n, at = 0;

	n = spec(buf, 0, 0, 1000, "linear", "8:16 0");
	n = spec(buf, (n + 7) & ~7UL, 1000, 512, "striped",
		"2 8 8:16 5000 8:32 0");
	assert_int_equal(dmtable_next(buf, n, &at, &t), 0);
	assert_int_equal(t.sectors, 1000);
	assert_int_equal(dmtable_next(buf, n, &at, &t), 0);
	assert_int_equal(t.start, 1000);
	assert_int_equal(t.stripes, 2);
	assert_string_equal(t.type, "striped");
	assert_int_equal(dmtable_next(buf, n, &at, &t), -EBADMSG);

	/* Cut anywhere, it is refused, and never read beyond its end. */
	for (size_t cut = 0; cut < n; cut++) {
		char *copy = malloc(cut ? cut : 1);
		int r = 0;

		memcpy(copy, buf, cut);
		at = 0;
		for (int i = 0; i < 2 && r == 0; i++)
			r = dmtable_next(copy, cut, &at, &t);
		assert_int_equal(r, -EBADMSG);
		free(copy);
	}
	srandom(1);
	for (int i = 0; i < 100000; i++) {
		char *copy = malloc(n);
		int r = 0;

		memcpy(copy, buf, n);
		for (int k = 0; k < 3; k++)
			copy[(size_t)random() % n] = (char)random();
		at = 0;
		for (int k = 0; k < 3 && r == 0; k++)
			r = dmtable_next(copy, n, &at, &t);
		assert_true(r == -EBADMSG || r == -EOPNOTSUPP);
		free(copy);
	}
}

struct one {
	uint64_t sector, n;
	unsigned calls;
};

static void take_one(void *arg, uint64_t sector, uint64_t n)
{
	struct one *o = arg;

	if (o->calls++ == 0)
		o->sector = sector;
	o->n += n;
}

static void linear_map(void **state)
{
	struct segments s = {.n = 2};
	struct one o = {0};

	s.v[0] = (struct segment){.major = 8,
		.minor = 0,
		.disk_start = 2048,
		.sectors = 1000,
		.stripes = 1};
	s.v[1] = (struct segment){.major = 8,
		.minor = 16,
		.disk_start = 10,
		.sectors = 500,
		.volume_start = 1000,
		.stripes = 1};
	segments_map(&s, 8, 0, 0, 2048, take_one, &o);
	segments_map(&s, 8, 0, 3048, 1 << 20, take_one, &o);
	segments_map(&s, 8, 32, 10, 10, take_one, &o);
	assert_int_equal(o.calls, 0);
	segments_map(&s, 8, 0, 2000, 100, take_one, &o);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.sector, 0);
	assert_int_equal(o.n, 52);
	memset(&o, 0, sizeof(o));
	segments_map(&s, 8, 16, 500, UINT64_MAX, take_one, &o);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.sector, 1490);
	assert_int_equal(o.n, 10);
}

/* A model of a table: where one sector of a mapped device lies. */
static void place(const struct dmtable_target *v, unsigned n, uint64_t sector,
	uint32_t *ret_minor, uint64_t *ret_sector)
{
	for (unsigned i = 0; i < n; i++) {
		const struct dmtable_target *t = &v[i];
		uint64_t in = sector - t->start, chunk;

		if (sector < t->start || in >= t->sectors)
			continue;
		if (t->stripes == 1) {
			*ret_minor = t->below[0].minor;
			*ret_sector = t->below[0].start + in;
			return;
		}
		chunk = in / t->chunk_sectors;
		*ret_minor = t->below[chunk % t->stripes].minor;
		*ret_sector = t->below[chunk % t->stripes].start +
			      chunk / t->stripes * t->chunk_sectors +
			      in % t->chunk_sectors;
		return;
	}
	fail();
}

static struct dmtable_target target(
	uint64_t start, uint64_t sectors, const char *type, const char *params)
{
	struct dmtable_target t;

	memset(&t, 0, sizeof(t));
	t.start = start;
	t.sectors = sectors;
	(void)snprintf(t.type, sizeof(t.type), "%s", type);
	assert_int_equal(dmtable_parse(params, &t), 0);
	return t;
}

static struct segments lower_all(
	const struct segments *in, const struct dmtable_target *v, unsigned n)
{
	struct segments out = {0};

	for (uint32_t i = 0; i < in->n; i++) {
		uint64_t sum = 0, sectors;

		for (unsigned k = 0; k < n; k++) {
			assert_int_equal(
				dmtable_lower(&v[k], &in->v[i], &out, &sectors),
				0);
			sum += sectors;
		}
		assert_int_equal(sum, in->v[i].sectors);
	}
	return out;
}

struct lowered {
	uint32_t minor;
	uint64_t sector, n;
};

static void take_lowered(void *arg, uint32_t major, uint32_t minor,
	uint64_t sector, uint64_t sectors)
{
	struct lowered *l = arg;

	assert_int_equal(major, 8);
	l->minor = minor;
	l->sector = sector;
	l->n += sectors;
}

/* Each sector lies where the model put it, and ranges have all of theirs. */
static void check_lower(const struct segments *s, uint64_t sectors, uint64_t i,
	uint32_t minor, uint64_t at)
{
	struct lowered l = {0};

	segments_lower(s, i, 1, take_lowered, &l);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.minor, minor);
	assert_int_equal(l.sector, at);
	for (uint64_t n = 1; n < 2 * sectors; n += n / 2 + 1) {
		l.n = 0;
		segments_lower(s, i, n, take_lowered, &l);
		assert_int_equal(l.n, MIN(n, sectors - i));
	}
}

/* Every sector of the volume comes back from where the model put it, and
 * whole ranges of the disks come back as those sectors and no others. */
static void check_places(const struct segments *s, uint64_t sectors,
	const struct dmtable_target *upper, unsigned n_upper,
	const struct dmtable_target *lower, unsigned n_lower)
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < sectors; i++) {
		struct one o = {0};
		uint32_t minor;
		uint64_t at;

		place(upper, n_upper, i, &minor, &at);
		if (lower)
			place(lower, n_lower, at, &minor, &at);
		segments_map(s, 8, minor, at, 1, take_one, &o);
		assert_int_equal(o.calls, 1);
		assert_int_equal(o.sector, i);
		assert_int_equal(o.n, 1);
		check_lower(s, sectors, i, minor, at);
	}
	for (uint32_t minor = 0; minor < 64; minor += 16) {
		struct one o = {0};

		segments_map(s, 8, minor, 0, UINT64_MAX, take_one, &o);
		total += o.n;
	}
	assert_int_equal(total, sectors);
}

static struct segments volume(uint64_t sectors)
{
	struct segments s = {.n = 1};

	s.v[0] = (struct segment){
		.major = 253, .sectors = sectors, .stripes = 1};
	return s;
}

static void mapped(void **state)
{
	struct dmtable_target upper[3], lower[3];
	struct segments in, out;

	/* Linear, striped over three disks, linear again. */
	upper[0] = target(0, 100, "linear", "8:0 50");
	upper[1] = target(100, 240, "striped", "3 8 8:0 1000 8:16 7 8:32 0");
	upper[2] = target(340, 61, "linear", "8:48 0");
	in = volume(401);
	out = lower_all(&in, upper, 3);
	assert_int_equal(out.n, 5);
	check_places(&out, 401, upper, 3, NULL, 0);

	/* A volume of pieces that begin and end inside the chunks of a
	 * striped device below. */
	upper[0] = target(0, 50, "linear", "253:1 33");
	upper[1] = target(50, 7, "linear", "253:1 3");
	upper[2] = target(57, 90, "linear", "253:1 149");
	lower[0] = target(0, 240, "striped", "3 8 8:0 1000 8:16 7 8:32 0");
	in = volume(147);
	in = lower_all(&in, upper, 3);
	out = lower_all(&in, lower, 1);
	check_places(&out, 147, upper, 3, lower, 1);

	/* Stripes over one linear device that lies in three pieces. */
	upper[0] = target(0, 160, "striped", "2 16 253:1 5 253:1 100");
	lower[0] = target(0, 33, "linear", "8:0 9");
	lower[1] = target(33, 100, "linear", "8:16 0");
	lower[2] = target(133, 67, "linear", "8:32 70");
	in = volume(160);
	in = lower_all(&in, upper, 1);
	out = lower_all(&in, lower, 3);
	assert_int_equal(out.n, 4);
	check_places(&out, 160, upper, 1, lower, 3);
}

static void refused(void **state)
{
	struct dmtable_target upper, lower, linear;
	struct segments in, out = {0}, full = {.n = SEGMENTS_MAX};
	uint64_t sectors;

	upper = target(0, 160, "striped", "2 16 253:1 5 253:1 100");
	lower = target(0, 240, "striped", "3 8 8:0 1000 8:16 7 8:32 0");
	in = volume(160);
	assert_int_equal(
		dmtable_lower(&upper, &in.v[0], &full, &sectors), -E2BIG);
	in = lower_all(&in, &upper, 1);
	assert_int_equal(
		dmtable_lower(&lower, &in.v[0], &out, &sectors), -EOPNOTSUPP);
	/* Nothing of it lies there. */
	linear = target(500, 10, "linear", "8:0 0");
	assert_int_equal(dmtable_lower(&linear, &in.v[0], &out, &sectors), 0);
	assert_int_equal(sectors, 0);
	assert_int_equal(out.n, 0);
}

static void not_found(void **state)
{
	struct segments s;
	struct error err;

	assert_int_equal(segments_find(4000, 1, &s, &err), -ENODEV);
	assert_int_equal(err.code, -ENODEV);
}

/* zram is in many kernels, needs no other device, and has no queue. */
static void bio_based(void **state)
{
	char text[32], *colon;
	uint64_t major, minor;
	struct segments s;
	struct error err;

	if (io_read_file(-1, "/sys/block/zram0/dev", text, sizeof(text)) < 0)
		skip();
	colon = strchr(text, ':');
	assert_non_null(colon);
	*colon = '\0';
	assert_int_equal(parse_u64(text, &major), 0);
	assert_int_equal(parse_u64(colon + 1, &minor), 0);
	assert_int_equal(
		segments_find((uint32_t)major, (uint32_t)minor, &s, &err),
		-EOPNOTSUPP);
	assert_non_null(strstr(err.what, "zram0"));
	assert_non_null(strstr(err.why, "bio-based"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_tables),
		cmocka_unit_test(bad_tables),
		cmocka_unit_test(whole_tables),
		cmocka_unit_test(linear_map),
		cmocka_unit_test(mapped),
		cmocka_unit_test(refused),
		cmocka_unit_test(not_found),
		cmocka_unit_test(bio_based),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
