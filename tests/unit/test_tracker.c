/* SPDX-License-Identifier: Apache-2.0 */
/* The tracker on loop devices of its own: what it reports is what was written,
 * and what it cannot know it does not hide. Needs root. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "track/tracefs.h"
#include "track/tracker.h"

#define SECTORS 65536U /* 32 MiB */
#define BLOCK 8U       /* sectors in 4 KiB */
#define PART_START 16384U
#define PART_SECTORS 8192U

/* A loop device that goes away by itself when fd is closed. */
struct disk {
	int fd;
	char path[64];
	uint32_t major, minor;
};

static int make_file(void)
{
	const char *dir = getenv("TMPDIR");
	char path[512];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/rehost-test-XXXXXX",
		dir ? dir : "/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, SECTORS * 512), 0);
	return fd;
}

static int count_io(const struct disk *d, const char *yes)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/iostats",
		d->major, d->minor);
	return io_write_file(-1, path, yes);
}

static void disk_open(struct disk *d)
{
	CLEANUP_CLOSE int control =
		open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	CLEANUP_CLOSE int file = make_file();
	struct loop_config config = {.fd = (uint32_t)file};
	struct stat st;

	assert_true(control >= 0);
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN;
	for (int i = 0; i < 100; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		assert_true(n >= 0);
		(void)snprintf(d->path, sizeof(d->path), "/dev/loop%d", n);
		d->fd = open(d->path, O_RDWR | O_DIRECT | O_CLOEXEC);
		if (d->fd >= 0 && ioctl(d->fd, LOOP_CONFIGURE, &config) == 0)
			break;
		/* Somebody else was faster. */
		if (d->fd >= 0)
			(void)close(d->fd);
		d->fd = -1;
		clock_sleep_ms(20);
	}
	assert_true(d->fd >= 0);
	assert_int_equal(fstat(d->fd, &st), 0);
	d->major = major(st.st_rdev);
	d->minor = minor(st.st_rdev);
	/* An earlier user of the device may have switched it off. */
	assert_int_equal(count_io(d, "1"), 0);
}

static void disk_close(struct disk *d)
{
	(void)close(d->fd);
}

/* What a tracker reported, a byte for each sector of the volume. */
struct seen {
	uint8_t written[SECTORS], discarded[SECTORS];
	unsigned calls;
	uint64_t sectors; /* of the volume */
};

static void take(void *arg, enum track_kind kind, uint64_t offset, uint64_t n)
{
	struct seen *s = arg;

	assert_int_equal((offset | n) % 512, 0);
	assert_true(offset + n <= s->sectors * 512);
	memset((kind == TRACK_WRITE ? s->written : s->discarded) + offset / 512,
		1, n / 512);
	s->calls++;
}

struct fixture {
	struct disk disk;
	struct segments segments;
	struct seen *seen;
	struct tracker *tracker;
	uint8_t *model; /* as seen->written should be */
};

static char name[64]; /* of the instances that are made here */

static void begin(struct fixture *f, uint64_t buffer_kb)
{
	struct error err = {0};

	assert_int_equal(tracker_start(name, &f->segments, buffer_kb, take,
				 f->seen, &f->tracker, &err),
		0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err;

	f->disk.fd = -1;
	*state = f;
	if (geteuid() != 0)
		return 0;
	f->seen = calloc(1, sizeof(*f->seen));
	f->seen->sectors = SECTORS;
	f->model = calloc(1, SECTORS);
	disk_open(&f->disk);
	return segments_find(f->disk.major, f->disk.minor, &f->segments, &err);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	tracker_stop(f->tracker);
	if (f->disk.fd >= 0)
		disk_close(&f->disk);
	free(f->seen);
	free(f->model);
	free(f);
	return 0;
}

static struct fixture *need_root(void **state)
{
	if (geteuid() != 0)
		skip();
	return *state;
}

/* Writes n sectors at sector of a disk, past the page cache. */
static void write_at(int fd, uint64_t sector, unsigned n)
{
	void *buf = aligned_alloc(4096, (n * 512 + 4095) / 4096 * 4096);

	assert_non_null(buf);
	memset(buf, (int)random() | 1, n * 512);
	assert_int_equal(io_pwrite_all(fd, buf, n * 512, sector * 512), 0);
	free(buf);
}

static void write_and_note(struct fixture *f, uint64_t sector, unsigned n)
{
	write_at(f->disk.fd, sector, n);
	memset(f->model + sector, 1, n);
}

struct writer {
	struct fixture *f;
	unsigned seed, writes;
	int fd;
	_Atomic bool *done;
};

static void *write_randomly(void *arg)
{
	struct writer *w = arg;
	void *buf;

	if (posix_memalign(&buf, 4096, 16 * BLOCK * 512) != 0)
		abort();
	memset(buf, 0x5a, 16 * BLOCK * 512);
	for (unsigned i = 0; i < w->writes; i++) {
		unsigned n = 1 + (unsigned)rand_r(&w->seed) % 16;
		unsigned at = (unsigned)rand_r(&w->seed) % (SECTORS / BLOCK);

		n = MIN(n, SECTORS / BLOCK - at);
		/* Threads note the same value: no harm when they overlap. */
		for (unsigned k = 0; k < n * BLOCK; k++)
			__atomic_store_n(&w->f->model[at * BLOCK + k], 1,
				__ATOMIC_RELAXED);
		if (io_pwrite_all(w->fd, buf, n * BLOCK * 512,
			    (uint64_t)at * BLOCK * 512) < 0)
			abort();
	}
	free(buf);
	return NULL;
}

/* Starts writers of which the last writes through to the disk. */
static void run_writers(
	struct fixture *f, pthread_t *threads, struct writer *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		w[i] = (struct writer){.f = f, .seed = i, .writes = 800};
		w[i].fd =
			open(f->disk.path, O_RDWR | O_DIRECT | O_CLOEXEC |
						   (i == n - 1 ? O_DSYNC : 0));
		assert_true(w[i].fd >= 0);
		assert_int_equal(pthread_create(&threads[i], NULL,
					 write_randomly, &w[i]),
			0);
	}
}

static void join_writers(pthread_t *threads, struct writer *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		(void)pthread_join(threads[i], NULL);
		(void)close(w[i].fd);
	}
}

static void check_marks(const struct fixture *f)
{
	assert_memory_equal(f->seen->written, f->model, SECTORS);
}

static void settle(struct fixture *f, bool live)
{
	struct error err = {0};
	int r = tracker_settle(f->tracker, live, 5000, &err);

	if (r < 0)
		print_error("%s: %s\n", err.what, err.why);
	assert_int_equal(r, 0);
}

/* Writers began before the tracker, so that its baseline is taken under
 * load; what they write is not checked here, only that all adds up. */
static void busy_baseline(void **state)
{
	struct fixture *f = need_root(state);
	struct writer w[3];
	pthread_t threads[3];
	struct tracker_stats s;

	run_writers(f, threads, w, 3);
	begin(f, 0);
	settle(f, true);
	join_writers(threads, w, 3);
	settle(f, false);
	tracker_stats(f->tracker, &s);
	assert_int_equal(s.write_sectors, s.disk_sectors);
}

static void all_writes(void **state)
{
	struct fixture *f = need_root(state);
	struct writer w[4];
	pthread_t threads[4];
	struct tracker_stats s;

	begin(f, 0);
	run_writers(f, threads, w, 4);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(tracker_collect(f->tracker, NULL), 0);
		settle(f, true);
	}
	join_writers(threads, w, 4);
	settle(f, false);
	check_marks(f);
	tracker_stats(f->tracker, &s);
	assert_true(s.volume_writes >= 4 * 800);
	assert_true(s.events >= s.volume_writes);
	assert_int_equal(s.write_sectors, s.disk_sectors);
	print_message("%llu events, %llu writes, %llu of %llu sectors\n",
		(unsigned long long)s.events,
		(unsigned long long)s.volume_writes,
		(unsigned long long)s.write_sectors,
		(unsigned long long)s.disk_sectors);
	for (unsigned i = 0; i < SECTORS; i++)
		assert_int_equal(f->seen->discarded[i], 0);
}

static void discards_and_zeroes(void **state)
{
	struct fixture *f = need_root(state);
	uint64_t discard[2] = {8192 * 512, 1024 * 512};
	uint64_t zero[2] = {20000 * 512, 512 * 512};

	begin(f, 0);
	write_and_note(f, 8, 16);
	assert_int_equal(ioctl(f->disk.fd, BLKDISCARD, discard), 0);
	assert_int_equal(ioctl(f->disk.fd, BLKZEROOUT, zero), 0);
	memset(f->model + 20000, 1, 512);
	/* Punching a hole into a device writes zeroes. */
	assert_int_equal(fallocate(f->disk.fd,
				 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 30000 * 512, 256 * 512),
		0);
	memset(f->model + 30000, 1, 256);
	/* A flush, and reads, change nothing. */
	assert_int_equal(fsync(f->disk.fd), 0);
	settle(f, false);
	check_marks(f);
	for (unsigned i = 0; i < SECTORS; i++)
		assert_int_equal(
			f->seen->discarded[i], i >= 8192 && i < 8192 + 1024);
}

static void overflow(void **state)
{
	struct fixture *f = need_root(state);
	struct error err = {0};

	begin(f, 4);
	for (unsigned i = 0; i < 2000; i++)
		write_at(f->disk.fd, i * BLOCK, BLOCK);
	assert_int_equal(
		tracker_settle(f->tracker, false, 1000, &err), -ENODATA);
	assert_non_null(strstr(err.why, "overflow"));
	/* For good. */
	memset(&err, 0, sizeof(err));
	assert_int_equal(tracker_collect(f->tracker, &err), -ENODATA);
	assert_int_equal(err.code, -ENODATA);
	assert_int_equal(tracker_settle(f->tracker, true, 0, NULL), -ENODATA);
}

static void dropped(void **state)
{
	struct fixture *f = need_root(state);
	struct error err = {0};

	for (int live = 0; live < 2; live++) {
		begin(f, 0);
		tracker_drop_every(f->tracker, 50);
		for (unsigned i = 0; i < 49; i++)
			write_at(f->disk.fd, i * BLOCK, BLOCK);
		settle(f, live);
		for (unsigned i = 0; i < 3; i++)
			write_at(f->disk.fd, i * BLOCK, BLOCK);
		assert_int_equal(tracker_collect(f->tracker, NULL), 0);
		assert_int_equal(
			tracker_settle(f->tracker, live, 200, &err), -ENODATA);
		assert_non_null(strstr(err.why, "do not add up"));
		assert_int_equal(tracker_collect(f->tracker, NULL), -ENODATA);
		tracker_stop(f->tracker);
		f->tracker = NULL;
	}
}

/* While the disk is written without end, only a live settle ends well. */
static void *write_until(void *arg)
{
	struct writer *w = arg;
	void *buf;

	if (posix_memalign(&buf, 4096, 4096) != 0)
		abort();
	memset(buf, 1, 4096);
	while (!atomic_load(w->done))
		if (io_pwrite_all(w->fd, buf, 4096, 4096) < 0)
			abort();
	free(buf);
	return NULL;
}

static void never_quiet(void **state)
{
	struct fixture *f = need_root(state);
	_Atomic bool done = false;
	struct writer w[2];
	pthread_t threads[2];
	int r = 0;

	/* Large enough for a reader that gets no processor for a while. */
	begin(f, 65536);
	for (int i = 0; i < 2; i++) {
		w[i] = (struct writer){.fd = f->disk.fd, .done = &done};
		assert_int_equal(
			pthread_create(&threads[i], NULL, write_until, &w[i]),
			0);
	}
	for (int i = 0; i < 5 && r == 0; i++)
		r = tracker_settle(f->tracker, true, 2000, NULL);
	/* By chance it may find the sums equal twice. */
	if (r == 0)
		r = tracker_settle(f->tracker, false, 0, NULL);
	atomic_store(&done, true);
	for (int i = 0; i < 2; i++)
		(void)pthread_join(threads[i], NULL);
	assert_true(r == 0 || r == -EAGAIN);
	settle(f, false);
}

static void partition_ioctl(const struct disk *d, int op, int number)
{
	struct blkpg_partition p = {.start = PART_START * 512LL,
		.length = PART_SECTORS * 512LL,
		.pno = number};
	struct blkpg_ioctl_arg arg = {
		.op = op, .datalen = sizeof(p), .data = &p};

	assert_int_equal(ioctl(d->fd, BLKPG, &arg), 0);
}

static void partition(void **state)
{
	struct fixture *f = need_root(state);
	struct tracker_stats s;
	unsigned major, minor;
	struct error err;
	char path[96], text[32];

	partition_ioctl(&f->disk, BLKPG_ADD_PARTITION, 1);
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%sp1/dev",
		f->disk.major, f->disk.minor, f->disk.path + strlen("/dev/"));
	assert_true(io_read_file(-1, path, text, sizeof(text)) > 0);
	assert_int_equal(sscanf(text, "%u:%u", &major, &minor), 2);
	assert_int_equal(segments_find(major, minor, &f->segments, &err), 0);
	assert_int_equal(f->segments.n, 1);
	assert_int_equal(f->segments.v[0].major, f->disk.major);
	assert_int_equal(f->segments.v[0].minor, f->disk.minor);
	assert_int_equal(f->segments.v[0].disk_start, PART_START);
	assert_int_equal(f->segments.v[0].sectors, PART_SECTORS);

	f->seen->sectors = PART_SECTORS;
	begin(f, 0);
	write_at(f->disk.fd, 0, BLOCK);
	write_at(f->disk.fd, PART_START - 2 * BLOCK, BLOCK);
	write_at(f->disk.fd, PART_START + PART_SECTORS, 4 * BLOCK);
	settle(f, false);
	assert_int_equal(f->seen->calls, 0);
	/* Across its beginning, inside, across its end. */
	write_at(f->disk.fd, PART_START - BLOCK, 3 * BLOCK);
	memset(f->model, 1, 2 * BLOCK);
	write_at(f->disk.fd, PART_START + 100 * BLOCK, BLOCK);
	memset(f->model + 100 * BLOCK, 1, BLOCK);
	write_at(f->disk.fd, PART_START + PART_SECTORS - BLOCK, 2 * BLOCK);
	memset(f->model + PART_SECTORS - BLOCK, 1, BLOCK);
	settle(f, false);
	check_marks(f);
	tracker_stats(f->tracker, &s);
	assert_int_equal(s.volume_writes, 3);
	assert_int_equal(s.write_sectors, 12 * BLOCK);
	assert_int_equal(s.disk_sectors, 12 * BLOCK);
	partition_ioctl(&f->disk, BLKPG_DEL_PARTITION, 1);
}

static int start_again(struct fixture *f, struct tracker **ret)
{
	return tracker_start(
		name, &f->segments, 1024, take, f->seen, ret, NULL);
}

static void instances(void **state)
{
	struct fixture *f = need_root(state);
	struct tracker *t = NULL;
	int status;
	pid_t pid;

	/* A second tracker of that name cannot be, and does no harm. */
	begin(f, 0);
	assert_int_equal(start_again(f, &t), -EEXIST);
	assert_null(t);
	write_and_note(f, 80, 8);
	settle(f, false);
	check_marks(f);
	/* One that is in use is not swept. */
	assert_int_equal(tracker_sweep(name), -EBUSY);
	write_and_note(f, 160, 8);
	settle(f, false);
	check_marks(f);
	tracker_stop(f->tracker);
	f->tracker = NULL;
	/* Gone: it can be made again. */
	assert_int_equal(start_again(f, &t), 0);
	tracker_stop(t);

	/* What a dead process leaves stays until it is swept. */
	pid = fork();
	if (pid == 0)
		_exit(start_again(f, &t) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	t = NULL;
	assert_int_equal(tracker_sweep("rehost-test-none-of-these"), 0);
	assert_int_equal(tracker_sweep("../rehost"), -EINVAL);
	if (start_again(f, &t) != -EEXIST)
		fail_msg("nothing was left behind");
	assert_int_equal(tracker_sweep(name), 0);
	assert_int_equal(tracker_sweep(name), 0);
	assert_int_equal(start_again(f, &t), 0);
	tracker_stop(t);
	tracker_stop(NULL);
}

static void assert_instance(const char *instance, bool there)
{
	CLEANUP_CLOSE int fd = tracefs_instances();

	assert_true(fd >= 0);
	assert_int_equal(faccessat(fd, instance, F_OK, 0), there ? 0 : -1);
}

/* What keepers that died left is swept by the next one, whosever it was. */
static void left(void **state)
{
	static const char dead[] = "rehost-00112233445566ff";
	struct fixture *f = need_root(state);
	struct tracker *t = NULL;
	CLEANUP_CLOSE int fd = tracefs_instances();

	assert_true(fd >= 0);
	assert_int_equal(mkdirat(fd, dead, 0700), 0);
	tracker_sweep_left(3600);
	assert_instance(dead, true);
	tracker_sweep_left(0);
	assert_instance(dead, false);

	/* One that is in use stays. */
	assert_int_equal(tracker_start(dead, &f->segments, 1024, take, f->seen,
				 &t, NULL),
		0);
	tracker_sweep_left(0);
	assert_instance(dead, true);
	tracker_stop(t);
	assert_instance(dead, false);
}

static void no_counts(void **state)
{
	struct fixture *f = need_root(state);
	struct segments s;
	struct error err;
	int r;

	assert_int_equal(count_io(&f->disk, "0"), 0);
	r = segments_find(f->disk.major, f->disk.minor, &s, &err);
	assert_int_equal(count_io(&f->disk, "1"), 0);
	assert_int_equal(r, -EOPNOTSUPP);
	assert_non_null(strstr(err.todo, "iostats"));

	/* Switched off later, it is a loss. */
	begin(f, 0);
	assert_int_equal(count_io(&f->disk, "0"), 0);
	write_at(f->disk.fd, 8, 8);
	assert_int_equal(count_io(&f->disk, "1"), 0);
	write_at(f->disk.fd, 8, 8);
	assert_int_equal(tracker_settle(f->tracker, true, 200, NULL), -ENODATA);
}

static void two_at_once(void **state)
{
	struct fixture *f = need_root(state);
	struct fixture g = {0};
	struct tracker_stats s;
	struct error err;
	char other[96];

	g.seen = calloc(1, sizeof(*g.seen));
	g.seen->sectors = SECTORS;
	disk_open(&g.disk);
	assert_int_equal(
		segments_find(g.disk.major, g.disk.minor, &g.segments, &err),
		0);
	(void)snprintf(other, sizeof(other), "%s-b", name);
	begin(f, 0);
	assert_int_equal(tracker_start(other, &g.segments, 0, take, g.seen,
				 &g.tracker, &err),
		0);
	for (unsigned i = 0; i < 100; i++) {
		write_and_note(f, i * 40, 8);
		write_at(g.disk.fd, 8 + i * 40, 24);
	}
	settle(f, false);
	settle(&g, false);
	check_marks(f);
	tracker_stats(f->tracker, &s);
	assert_int_equal(s.write_sectors, 800);
	tracker_stats(g.tracker, &s);
	assert_int_equal(s.write_sectors, 2400);
	tracker_stop(g.tracker);
	disk_close(&g.disk);
	free(g.seen);
}

/* One volume in stripes over two disks, as a table would give it. */
static void two_disks(void **state)
{
	struct fixture *f = need_root(state);
	struct segments *s = &f->segments;
	struct disk other;
	struct tracker_stats stats;

	disk_open(&other);
	s->n = 2;
	s->v[0] = (struct segment){.major = f->disk.major,
		.minor = f->disk.minor,
		.disk_start = 1024,
		.sectors = 4096,
		.stripes = 2,
		.stripe = 0,
		.chunk_sectors = 16};
	s->v[1] = s->v[0];
	s->v[1].major = other.major;
	s->v[1].minor = other.minor;
	s->v[1].stripe = 1;
	begin(f, 0);
	write_at(f->disk.fd, 1024 + 8, 16); /* chunks 0 and 2 */
	memset(f->model + 8, 1, 8);
	memset(f->model + 32, 1, 8);
	write_at(other.fd, 1024 + 16, 16); /* chunk 3 */
	memset(f->model + 48, 1, 16);
	write_at(other.fd, 0, 8);
	settle(f, false);
	check_marks(f);
	tracker_stats(f->tracker, &stats);
	assert_int_equal(stats.volume_writes, 2);
	assert_int_equal(stats.write_sectors, 40);
	disk_close(&other);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(busy_baseline),
		TEST(all_writes),
		TEST(discards_and_zeroes),
		TEST(overflow),
		TEST(dropped),
		TEST(never_quiet),
		TEST(partition),
		TEST(instances),
		TEST(left),
		TEST(no_counts),
		TEST(two_at_once),
		TEST(two_disks),
	};

	(void)snprintf(name, sizeof(name), "rehost-test-%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
