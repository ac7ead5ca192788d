/* SPDX-License-Identifier: Apache-2.0 */
/* Pages as the kernel writes them, and pages that it never would. */
#include "unit.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "track/ringpage.h"

static const char header_text[] =
	"\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
	"\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
	"\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
	"\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n";

static const char format_text[] =
	"name: block_rq_complete\nID: 2107\nformat:\n"
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
	"\tfield:dev_t dev;\toffset:8;\tsize:4;\tsigned:0;\n"
	"\tfield:sector_t sector;\toffset:16;\tsize:8;\tsigned:0;\n"
	"\tfield:unsigned int nr_sector;\toffset:24;\tsize:4;\tsigned:0;\n"
	"\tfield:char rwbs[10];\toffset:34;\tsize:10;\tsigned:0;\n"
	"\tfield:__data_loc char[] cmd;\toffset:44;\tsize:4;\tsigned:0;\n\n"
	"print fmt: \"%d,%d %s\", ((unsigned int) ((REC->dev) >> 20))\n";

#define ID 2107
#define DATA 16
#define PAGE 4096

static struct ringpage_format make_format(void)
{
	struct ringpage_format f = {0};

	assert_int_equal(ringpage_header(header_text, &f), 0);
	assert_int_equal(ringpage_format(format_text, &f), 0);
	return f;
}

/* Writes pages event by event. */
struct page {
	uint8_t bytes[PAGE];
	size_t n; /* of data */
};

static void put32(struct page *p, uint32_t v)
{
	memcpy(p->bytes + DATA + p->n, &v, 4);
	p->n += 4;
}

static uint32_t first_word(uint32_t type_len, uint32_t delta)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return type_len << 27 | delta;
#else
	return type_len | delta << 5;
#endif
}

static void commit(struct page *p, uint64_t flags)
{
	uint64_t v = p->n + flags;

	memcpy(p->bytes + 8, &v, 8);
}

/* A block event; with long_form the length stands in its own word. */
static void put_event(struct page *p, int long_form, uint16_t id,
	uint64_t sector, uint32_t sectors, const char *rwbs)
{
	uint32_t dev = 7 << 20 | 3;
	uint8_t *e;

	put32(p, first_word(long_form ? 0 : 13, 100));
	if (long_form)
		put32(p, 52 + 4);
	e = p->bytes + DATA + p->n;
	memset(e, 0, 52);
	memcpy(e, &id, 2);
	memcpy(e + 8, &dev, 4);
	memcpy(e + 16, &sector, 8);
	memcpy(e + 24, &sectors, 4);
	memcpy(e + 34, rwbs, strlen(rwbs));
	p->n += 52;
}

struct seen {
	unsigned n;
	struct ringpage_event v[200];
};

static void collect(void *arg, const struct ringpage_event *e)
{
	struct seen *s = arg;

	if (s->n < 200)
		s->v[s->n] = *e;
	s->n++;
}

static void formats(void **state)
{
	struct ringpage_format f = make_format(), g = f;

	assert_int_equal(f.page_size, 4096);
	assert_int_equal(f.commit.at, 8);
	assert_int_equal(f.id, ID);
	assert_int_equal(f.sectors.at, 24);
	assert_int_equal(f.sector.at, 16);
	assert_int_equal(f.rwbs.at, 34);
	assert_int_equal(f.rwbs.size, 10);
	assert_int_equal(f.event_size, 44);

	assert_int_equal(ringpage_header("", &g), -EBADMSG);
	assert_int_equal(ringpage_format("ID: 3\n", &g), -EBADMSG);
	assert_int_equal(
		ringpage_header("field: local_t commit; offset:8; size:8;\n"
				"field: char data; offset:12; size:4080;\n",
			&g),
		-EBADMSG);
	assert_int_equal(
		ringpage_header("field: local_t commit; offset:8; size:8;\n"
				"field: char data; offset:16; size:99999999;\n",
			&g),
		-EBADMSG);
	assert_memory_equal(&f, &g, sizeof(f));
}

/* Every text that is cut short is refused or taken, never overread. */
static void cut_formats(void **state)
{
	for (size_t n = 0; n < sizeof(format_text); n++) {
		char *text = calloc(1, n + 1);
		struct ringpage_format f = {0};

		memcpy(text, format_text, n);
		(void)!ringpage_format(text, &f);
		if (n < strlen(header_text)) {
			memcpy(text, header_text, n);
			(void)!ringpage_header(text, &f);
		}
		free(text);
	}
}

static void kinds(void **state)
{
	static const struct {
		const char *rwbs;
		enum ringpage_kind kind;
	} v[] = {
		{"W", RINGPAGE_WRITE},
		{"WS", RINGPAGE_WRITE},
		{"WFS", RINGPAGE_WRITE},
		{"FWFS", RINGPAGE_WRITE},
		{"FWS", RINGPAGE_WRITE},
		{"WZS", RINGPAGE_WRITE},
		{"N", RINGPAGE_WRITE},
		{"NS", RINGPAGE_WRITE},
		{"DE", RINGPAGE_WRITE},
		{"DES", RINGPAGE_WRITE},
		{"D", RINGPAGE_DISCARD},
		{"DS", RINGPAGE_DISCARD},
		{"R", RINGPAGE_IGNORE},
		{"RAM", RINGPAGE_IGNORE},
		{"FR", RINGPAGE_IGNORE},
		{"ZA", RINGPAGE_WRITE},
		{"", RINGPAGE_WRITE},
	};

	for (unsigned i = 0; i < ARRAY_LEN(v); i++) {
		size_t n = strlen(v[i].rwbs);

		assert_int_equal(ringpage_kind(v[i].rwbs, n, 8, 8), v[i].kind);
		assert_int_equal(
			ringpage_kind(v[i].rwbs, n + 1, 8, 8), v[i].kind);
		assert_int_equal(
			ringpage_kind(v[i].rwbs, n, 8, 0), RINGPAGE_IGNORE);
	}
	assert_int_equal(
		ringpage_kind("FF", 3, UINT64_MAX, 0), RINGPAGE_IGNORE);
	/* A passthrough command has no place. */
	assert_int_equal(ringpage_kind("N", 2, UINT64_MAX, 8), RINGPAGE_IGNORE);
}

static void good_page(void **state)
{
	struct ringpage_format f = make_format();
	struct page p = {.n = 0};
	struct seen s = {0};

	put_event(&p, 0, ID, 1000, 8, "WS");
	put32(&p, first_word(30, 5)); /* time extend */
	put32(&p, 77);
	put_event(&p, 1, ID, 2000, 16, "D");
	put_event(&p, 0, ID + 1, 3000, 8, "W"); /* another event */
	put32(&p, first_word(29, 1)); /* a discarded event of 20 bytes */
	put32(&p, 16);
	p.n += 12;
	put32(&p, first_word(31, 5)); /* time stamp */
	put32(&p, 78);
	put_event(&p, 0, ID, 1ULL << 40, 1, "FWFS");
	put_event(&p, 0, ID, 5, 8, "R");
	put_event(&p, 0, ID, UINT64_MAX, 0, "FF");
	commit(&p, 0);
	assert_int_equal(ringpage_parse(&f, p.bytes, PAGE, collect, &s), 0);
	assert_int_equal(s.n, 5);
	assert_int_equal(s.v[0].kind, RINGPAGE_WRITE);
	assert_int_equal(s.v[0].major, 7);
	assert_int_equal(s.v[0].minor, 3);
	assert_int_equal(s.v[0].sector, 1000);
	assert_int_equal(s.v[0].sectors, 8);
	assert_int_equal(s.v[1].kind, RINGPAGE_DISCARD);
	assert_int_equal(s.v[1].sector, 2000);
	assert_int_equal(s.v[2].kind, RINGPAGE_WRITE);
	assert_int_equal(s.v[2].sector, 1ULL << 40);
	assert_int_equal(s.v[3].kind, RINGPAGE_IGNORE);
	assert_int_equal(s.v[4].kind, RINGPAGE_IGNORE);

	/* An event of no length ends the page. */
	put32(&p, first_word(29, 0));
	put_event(&p, 0, ID, 9, 8, "W");
	commit(&p, 0);
	s.n = 0;
	assert_int_equal(ringpage_parse(&f, p.bytes, PAGE, collect, &s), 0);
	assert_int_equal(s.n, 5);
}

static void missed(void **state)
{
	struct ringpage_format f = make_format();
	/* As the kernel adds them: 1 << 31 is a negative int. */
	static const int64_t flags[] = {INT32_MIN, INT32_MIN + (1 << 30)};

	for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
		struct page p = {.n = 0};
		struct seen s = {0};

		put_event(&p, 0, ID, 1000, 8, "W");
		commit(&p, (uint64_t)flags[i]);
		assert_int_equal(ringpage_parse(&f, p.bytes, PAGE, collect, &s),
			-ENODATA);
		assert_int_equal(s.n, 1);
	}
}

static void bad_pages(void **state)
{
	struct ringpage_format f = make_format();
	struct seen s = {0};
	struct page p = {.n = 0};

	/* More data than the page holds. */
	put_event(&p, 0, ID, 1000, 8, "W");
	commit(&p, 1U << 29);
	assert_int_equal(
		ringpage_parse(&f, p.bytes, PAGE, collect, &s), -EBADMSG);
	commit(&p, 1ULL << 40);
	assert_int_equal(
		ringpage_parse(&f, p.bytes, PAGE, collect, &s), -EBADMSG);
	commit(&p, 1ULL << 31);
	assert_int_equal(
		ringpage_parse(&f, p.bytes, PAGE, collect, &s), -EBADMSG);
	/* An event that ends behind what is committed. */
	p.n -= 4;
	commit(&p, 0);
	assert_int_equal(
		ringpage_parse(&f, p.bytes, PAGE, collect, &s), -EBADMSG);
	/* Less than the page's header. */
	assert_int_equal(
		ringpage_parse(&f, p.bytes, DATA - 1, collect, &s), -EBADMSG);
	/* A block event too short for its fields. */
	memset(&p, 0, sizeof(p));
	put32(&p, first_word(2, 0));
	put32(&p, ID);
	put32(&p, 0);
	commit(&p, 0);
	assert_int_equal(
		ringpage_parse(&f, p.bytes, PAGE, collect, &s), -EBADMSG);
	/* Impossible lengths. */
	static const uint32_t lengths[] = {
		0, 3, 4, 5, 4085, UINT32_MAX, UINT32_MAX - 3};
	for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
		memset(&p, 0, sizeof(p));
		put32(&p, first_word(0, 0));
		put32(&p, lengths[i]);
		commit(&p, 0);
		assert_int_equal(ringpage_parse(&f, p.bytes, PAGE, collect, &s),
			-EBADMSG);
	}
	assert_int_equal(s.n, 0);
}

/* Random and damaged pages that end where no memory follows. */
static void hostile_pages(void **state)
{
	struct ringpage_format f = make_format();
	long size = sysconf(_SC_PAGESIZE);
	uint8_t *mem = mmap(NULL, 3 * (size_t)size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned bad = 0, good = 0;
	struct seen s = {0};

	assert_true(mem != MAP_FAILED && size >= PAGE);
	assert_int_equal(mprotect(mem + size, (size_t)size, PROT_NONE), 0);
	srandom(1);
	for (int i = 0; i < 100000; i++) {
		struct page p = {.n = 0};
		size_t n = i % 3 ? PAGE : (size_t)random() % PAGE;
		uint8_t *at = mem + size - n;
		int r;

		if (i % 2)
			for (int k = 0; k < 20; k++)
				put_event(&p, k % 2, ID, 8, 8, "W");
		commit(&p, 0);
		for (int k = 0; k < (i % 2 ? 3 : 200); k++)
			p.bytes[8 + random() % 400] = (uint8_t)random();
		if (i % 5) { /* mostly a size that is possible */
			p.bytes[9] &= 0xf;
			memset(p.bytes + 10, 0, 6);
		}
		memcpy(at, p.bytes, n);
		r = ringpage_parse(&f, at, n, collect, &s);
		assert_true(r == 0 || r == -EBADMSG || r == -ENODATA);
		bad += r < 0;
		good += r == 0;
	}
	assert_true(bad > 1000 && good > 1000);
	(void)munmap(mem, 3 * (size_t)size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats),
		cmocka_unit_test(cut_formats),
		cmocka_unit_test(kinds),
		cmocka_unit_test(good_page),
		cmocka_unit_test(missed),
		cmocka_unit_test(bad_pages),
		cmocka_unit_test(hostile_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
