/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers of the new machine in the initramfs. It is built anew only when some
 * are missing, by the moved system's own program, and what is missing is told
 * by that system's own lister: so a second run sees what the first did. */
#include "fixup/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/modalias.h"
#include "fixup/chroot.h"

#define LIST_MS 120000
#define BUILD_MS (15U * 60 * 1000)
#define LIST_MAX (16U * 1024 * 1024)
#define OUTPUT_MAX 65536
#define DRIVERS_MAX 64
#define NEW ".rehost-new"

struct drivers {
	const char *v[DRIVERS_MAX];
	size_t n;
};

struct job {
	const char *release, *image;
	struct drivers missing;
};

/* ---- what is missing ---- */

static bool is_same(const char *a, size_t n, const char *b)
{
	if (strlen(b) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		char x = a[i] == '-' ? '_' : a[i], y = b[i] == '-' ? '_' : b[i];

		if (x != y)
			return false;
	}
	return true;
}

/* Whether one of the paths at the ends of lines (of "modules.builtin", of a
 * list, before the colon of "modules.dep") is of this module. */
static bool has_module(const char *text, const char *name)
{
	struct edit_line l;

	while (edit_next(&text, &l)) {
		const char *last;
		size_t n;

		l.text[strcspn(l.text, ":")] = '\0';
		last = strrchr(l.text, '/');
		last = last ? last + 1 : l.text;
		n = modalias_plain_path(last);
		if (n > 0 && is_same(last, n - strlen(".ko"), name))
			return true;
	}
	return false;
}

static char *read_modules(struct unit *u, const char *release, const char *name)
{
	static const char *const folders[] = {
		"/lib/modules", "/usr/lib/modules"};
	char path[TREE_PATH_MAX], *text = NULL;

	for (size_t i = 0; i < ARRAY_LEN(folders) && !text; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s", folders[i],
			release, name);
		text = unit_read(u, path);
	}
	return text;
}

/* What is in the initramfs, as names of files; NULL when nobody can tell. */
static char *list_image(struct unit *u, const char *image)
{
	static const char *const programs[] = {"/usr/bin/lsinitramfs",
		"/usr/sbin/lsinitramfs", "/usr/bin/lsinitrd", "/sbin/lsinitrd",
		"/usr/sbin/lsinitrd", "/usr/bin/lsinitcpio", NULL};
	const char *program = unit_program(u, programs);
	const char *const argv[] = {program, image, NULL};
	const struct chroot_job job = {.root = u->tree->path,
		.argv = argv,
		.timeout_ms = LIST_MS,
		.max = LIST_MAX};
	char *text = NULL;

	if (!program || !tree_is_file(u->tree, image) ||
		chroot_run(&job, &text, NULL, NULL) < 0)
		return NULL;
	return text;
}

static void add(struct drivers *d, const char *name)
{
	if (d->n < DRIVERS_MAX)
		d->v[d->n++] = name;
}

/* The drivers of a list that are neither in the kernel nor in this text. */
static void find_missing(struct unit *u, const char *release,
	const json_t *wanted, const char *text, struct drivers *ret)
{
	CLEANUP_FREE char *builtin =
		read_modules(u, release, "modules.builtin");
	const json_t *name;
	size_t i;

	*ret = (struct drivers){0};
	json_array_foreach(wanted, i, name)
	{
		const char *s = json_string_value(name);

		if ((!builtin || !has_module(builtin, s)) &&
			(!text || !has_module(text, s)))
			add(ret, s);
	}
}

/* ---- settings ---- */

/* One name a line. */
static int add_names(
	struct unit *u, const char *text, struct edit *out, void *arg)
{
	const struct drivers *d = arg;
	bool said = false;

	edit_text(out, text);
	for (size_t i = 0; i < d->n; i++) {
		const char *at = text;
		struct edit_line l;
		bool there = false;

		while (edit_next(&at, &l)) {
			size_t word = 0, from,
			       n = edit_word(l.text, &word, &from);

			there |= is_same(l.text + from, n, d->v[i]);
		}
		if (there)
			continue;
		if (!said && out->n > 0 && out->text[out->n - 1] != '\n')
			edit_text(out, "\n");
		if (!said)
			edit_text(out, "# " UNIT_MADE_BY "\n");
		said = true;
		edit_put(out, "%s\n", d->v[i]);
		edit_say(out, "%s is put into the initramfs", d->v[i]);
	}
	return 0;
}

/* "dep" takes what this machine seems to need, seen from a chroot in a system
 * that is not the one that will boot. */
static int take_most(struct unit *u)
{
	CLEANUP_FREE char *text =
		unit_read(u, "/etc/initramfs-tools/initramfs.conf");
	const char *at = text;
	struct edit_line l;

	while (at && edit_next(&at, &l))
		if (strncmp(l.text, "MODULES=dep", 11) == 0)
			return unit_put(u,
				"/etc/initramfs-tools/conf.d/zz-rehost",
				"# " UNIT_MADE_BY "\nMODULES=most\n", 0644,
				"the initramfs has drivers of all machines");
	return 0;
}

static int configure_tools(struct unit *u, const struct drivers *d)
{
	static const char path[] = "/etc/initramfs-tools/modules";
	int r = d->n == 0 || tree_is_there(u->tree, path)
			? 0
			: unit_put(u, path, "# " UNIT_MADE_BY "\n", 0644,
				  "made");

	if (r == 0)
		r = unit_rewrite_if(u, path, add_names, (void *)d);
	return r < 0 ? r : take_most(u);
}

/* What an earlier run put there stays. */
static int configure_file(struct unit *u, const struct drivers *d,
	const char *path, const char *before, const char *after)
{
	CLEANUP(edit_done) struct edit out = {0};
	CLEANUP_FREE char *old =
		tree_is_there(u->tree, path) ? unit_read(u, path) : NULL;

	if (d->n == 0)
		return 0;
	edit_text(&out, old ? old : "# " UNIT_MADE_BY "\n");
	edit_text(&out, before);
	for (size_t i = 0; i < d->n; i++)
		edit_put(&out, "%s%s", i > 0 ? " " : "", d->v[i]);
	edit_text(&out, after);
	if (out.oom)
		return unit_failed(u, -ENOMEM, path);
	/* It was not enough, or it would not be missing. */
	if (old && strstr(old, edit_string(&out) + strlen(old)))
		return 0;
	return unit_put(u, path, edit_string(&out), 0644,
		"drivers are put into the initramfs");
}

/* ---- building ---- */

static int run(struct unit *u, const char *const *argv)
{
	const struct chroot_job job = {.root = u->tree->path,
		.argv = argv,
		.timeout_ms = BUILD_MS,
		.max = OUTPUT_MAX,
		.devices = true};
	int r = chroot_run(&job, NULL, NULL, u->err);

	if (r < 0)
		(void)error_todo(u->err,
			"put the drivers into the initramfs of the source, "
			"then plan again");
	return r;
}

/* Runs what builds a new one beside the old, which is replaced when the new is
 * complete. */
static int run_beside(
	struct unit *u, const struct job *job, const char *const *argv)
{
	char made[TREE_PATH_MAX];
	int r = run(u, argv);

	(void)snprintf(made, sizeof(made), "%.4000s" NEW, job->image);
	if (r == 0) {
		r = tree_replace(u->tree, made, job->image);
		if (r < 0)
			r = unit_failed(u, r, job->image);
	}
	/* It may not have come that far. */
	if (r < 0 && tree_is_there(u->tree, made) &&
		tree_remove(u->tree, made) < 0)
		unit_warn(u, "%s is left over", made);
	return r;
}

static int build_tools(struct unit *u, const struct job *job, const char *path)
{
	/* It writes beside the old one, too. */
	const char *const argv[] = {path,
		tree_is_file(u->tree, job->image) ? "-u" : "-c", "-k",
		job->release, NULL};
	int r = configure_tools(u, &job->missing);

	return r < 0 ? r : run(u, argv);
}

static int build_dracut(struct unit *u, const struct job *job, const char *path)
{
	CLEANUP(edit_done) struct edit names = {0};
	char made[TREE_PATH_MAX];
	const char *argv[] = {path, "-f", "--no-hostonly", "--add-drivers",
		NULL, made, job->release, NULL};
	int r = configure_file(u, &job->missing,
		"/etc/dracut.conf.d/rehost.conf", "add_drivers+=\" ", " \"\n");

	if (r < 0)
		return r;
	(void)snprintf(made, sizeof(made), "%.4000s" NEW, job->image);
	for (size_t i = 0; i < job->missing.n; i++)
		edit_put(&names, "%s%s", i > 0 ? " " : "", job->missing.v[i]);
	argv[4] = edit_string(&names);
	return run_beside(u, job, argv);
}

static int build_cpio(struct unit *u, const struct job *job, const char *path)
{
	char made[TREE_PATH_MAX];
	const char *const argv[] = {
		path, "-k", job->release, "-S", "autodetect", "-g", made, NULL};
	int r = configure_file(u, &job->missing,
		"/etc/mkinitcpio.conf.d/rehost.conf", "MODULES+=(", ")\n");

	(void)snprintf(made, sizeof(made), "%.4000s" NEW, job->image);
	return r < 0 ? r : run_beside(u, job, argv);
}

static int build_mkinitrd(
	struct unit *u, const struct job *job, const char *path)
{
	char made[TREE_PATH_MAX], with[DRIVERS_MAX][80];
	const char *argv[DRIVERS_MAX + 5];
	size_t n = 0;

	(void)snprintf(made, sizeof(made), "%.4000s" NEW, job->image);
	argv[n++] = path;
	argv[n++] = "-f";
	for (size_t i = 0; i < job->missing.n; i++) {
		(void)snprintf(with[i], sizeof(with[i]), "--with=%.64s",
			job->missing.v[i]);
		argv[n++] = with[i];
	}
	argv[n++] = made;
	argv[n++] = job->release;
	argv[n] = NULL;
	return run_beside(u, job, argv);
}

static int build(struct unit *u, const struct job *job)
{
	static const struct {
		const char *paths[4];
		const char *needs; /* a folder */
		int (*run)(struct unit *u, const struct job *job,
			const char *path);
	} builders[] = {
		{{"/usr/sbin/update-initramfs", "/sbin/update-initramfs"},
			"/etc/initramfs-tools", build_tools},
		{{"/usr/bin/dracut", "/usr/sbin/dracut", "/sbin/dracut"}, "/",
			build_dracut},
		{{"/usr/bin/mkinitcpio"}, "/", build_cpio},
		{{"/sbin/mkinitrd", "/usr/sbin/mkinitrd"}, "/",
			build_mkinitrd}};

	for (size_t i = 0; i < ARRAY_LEN(builders); i++) {
		const char *path = unit_program(u, builders[i].paths);
		int r;

		if (!path || !tree_is_folder(u->tree, builders[i].needs))
			continue;
		r = builders[i].run(u, job, path);
		if (r == 0)
			unit_changed(u, job->image, "built anew by %s", path);
		return r;
	}
	(void)error_set(u->err, -ENOENT,
		"build the initramfs of the moved system anew");
	(void)error_why(u->err,
		"it lacks %s, and has no update-initramfs, dracut, mkinitcpio "
		"or mkinitrd",
		job->missing.n > 0 ? job->missing.v[0]
				   : "the new name of the encrypted root");
	return error_todo(u->err,
		"put the driver into the initramfs of the source, then plan "
		"again");
}

static int lacks(
	struct unit *u, const struct job *job, const char *driver, bool built)
{
	(void)error_set(u->err, -ENODEV,
		"make the moved system start on the new machine");
	(void)error_why(u->err, "%s of its kernel %s have no driver %s%s",
		built ? "the files in the initramfs" : "the modules",
		job->release, driver,
		built ? ", although it was built anew"
		      : ", which the new machine needs");
	return error_todo(u->err,
		"install a kernel on the source that has the driver, then "
		"plan again");
}

/* Those that the kernel does not even have cannot be put into it. */
static int check_exist(struct unit *u, const struct job *job)
{
	CLEANUP_FREE char *dep = read_modules(u, job->release, "modules.dep");

	for (size_t i = 0; dep && i < job->missing.n; i++)
		if (!has_module(dep, job->missing.v[i]))
			return lacks(u, job, job->missing.v[i], false);
	return 0;
}

static int rebuild(struct unit *u, struct job *job, const json_t *wanted)
{
	CLEANUP_FREE char *text = NULL;
	int r = check_exist(u, job);

	if (r == 0)
		r = build(u, job);
	if (r < 0)
		return r;
	text = list_image(u, job->image);
	if (!text) {
		unit_warn(u, "nobody can tell whether %s now has all drivers",
			job->image);
		return 0;
	}
	find_missing(u, job->release, wanted, text, &job->missing);
	return job->missing.n > 0 ? lacks(u, job, job->missing.v[0], true) : 0;
}

int unit_initramfs(struct unit *u)
{
	const json_t *kernel = json_object_get(u->wish, "kernel");
	const json_t *missing = json_object_get(kernel, "modules_missing");
	const json_t *wanted = json_object_get(u->wish, "drivers");
	struct job job = {.release = unit_text(kernel, "release"),
		.image = unit_text(kernel, "initramfs")};
	bool stale = tree_is_there(u->tree, UNIT_STALE);
	CLEANUP_FREE char *text = NULL;
	int r;

	/* Known to be complete: looking would take seconds. */
	if (json_is_array(missing) && json_array_size(missing) == 0 && !stale)
		return 0;
	if (json_is_array(missing))
		wanted = missing;
	if (json_array_size(wanted) == 0 && !stale)
		return 0;
	if (!job.release[0] || !job.image[0]) {
		unit_warn(u, "nobody told which initramfs is booted; it may "
			     "lack drivers, or have old names of devices");
		return 0;
	}
	text = list_image(u, job.image);
	find_missing(u, job.release, wanted, text, &job.missing);
	if (job.missing.n == 0 && !stale)
		return 0;
	r = rebuild(u, &job, wanted);
	if (r == 0 && stale) {
		r = tree_remove(u->tree, UNIT_STALE);
		if (r < 0)
			r = unit_failed(u, r, UNIT_STALE);
	}
	return r;
}
