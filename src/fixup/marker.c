/* SPDX-License-Identifier: Apache-2.0 */
/* A file that says that the machine is being moved, for other programs and for
 * people, and what takes it away at the end of the first boot. On systems with
 * SELinux that gives the files that were changed the labels of the policy:
 * those that were replaced have theirs, but new ones have only their folder's.
 */
#include "fixup/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define MARKER "/etc/rehost-migrating"
#define RELABEL "/etc/rehost-relabel"
#define SCRIPT "/etc/rehost-first-boot"
#define UNIT "/etc/systemd/system/rehost-first-boot.service"
#define WANTED                                                                 \
	"/etc/systemd/system/multi-user.target.wants/"                         \
	"rehost-first-boot.service"
#define INIT "/etc/init.d/rehost-first-boot"
#define LINK "S99rehost-first-boot"
#define LOCAL "/etc/local.d/rehost.start"

/* It removes itself last: a shell has read it by then, as it is one block. */
static const char script[] =
	"#!/bin/sh\n"
	"# " UNIT_MADE_BY "\n"
	"# Ends the first boot after the move, and goes away.\n"
	"{\n"
	"[ ! -f " UNIT_GROW " ] || /bin/sh " UNIT_GROW "\n"
	"if [ -s " RELABEL " ] && command -v restorecon >/dev/null 2>&1; then\n"
	"\twhile IFS= read -r path; do\n"
	"\t\trestorecon -F \"$path\" || true\n"
	"\tdone <" RELABEL "\n"
	"fi\n"
	"rm -f " MARKER " " RELABEL " " WANTED " " UNIT "\n"
	"rm -f /etc/rc?.d/" LINK " /etc/rc.d/rc?.d/" LINK " " INIT " " LOCAL
	"\n"
	"rm -f " SCRIPT "\n"
	"exit 0\n"
	"}\n";

static const char unit[] =
	"# " UNIT_MADE_BY "\n"
	"[Unit]\n"
	"Description=End of the first boot after a move by rehost\n"
	"ConditionPathExists=" MARKER "\n"
	"After=multi-user.target\n"
	"\n"
	"[Service]\n"
	"Type=oneshot\n"
	"ExecStart=/bin/sh " SCRIPT "\n"
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

static const char init[] =
	"#!/bin/sh\n"
	"# " UNIT_MADE_BY "\n"
	"### BEGIN INIT INFO\n"
	"# Provides: rehost-first-boot\n"
	"# Required-Start: $all\n"
	"# Required-Stop:\n"
	"# Default-Start: 2 3 4 5\n"
	"# Default-Stop:\n"
	"# Short-Description: End of the first boot after a move by rehost\n"
	"### END INIT INFO\n"
	"[ \"$1\" != start ] || exec /bin/sh " SCRIPT "\n";

/* ---- labels ---- */

static bool has_selinux(struct unit *u)
{
	CLEANUP_FREE char *text = NULL;
	const char *at;
	struct edit_line l;
	struct edit_pair p;

	if (tree_read(u->tree, "/etc/selinux/config", TREE_TEXT_MAX, &text,
		    NULL) < 0)
		return false;
	at = text;
	while (edit_next(&at, &l))
		if (edit_pair(l.text, &p) && edit_is_key(l.text, &p, "SELINUX"))
			return !edit_is_word(
				l.text, p.value, p.value_n, "disabled");
	return false;
}

static bool has_line(const char *text, const char *line)
{
	struct edit_line l;

	while (edit_next(&text, &l))
		if (strcmp(l.text, line) == 0)
			return true;
	return false;
}

/* Adds what this run changed to what earlier ones did. */
static int write_relabel(struct unit *u)
{
	CLEANUP(edit_done) struct edit out = {0};
	CLEANUP_FREE char *old = NULL;
	const json_t *o;
	size_t i;

	if (tree_is_there(u->tree, RELABEL)) {
		old = unit_read(u, RELABEL);
		if (old)
			edit_text(&out, old);
	}
	json_array_foreach(u->changes, i, o)
	{
		const char *path = unit_text(o, "path");

		if (path[0] && !has_line(edit_string(&out), path))
			edit_put(&out, "%s\n", path);
	}
	if (out.oom)
		return unit_failed(u, -ENOMEM, RELABEL);
	if (out.n == 0)
		return 0;
	return unit_put(u, RELABEL, edit_string(&out), 0600,
		"files that get their labels at the first boot");
}

/* ---- the end of the first boot ---- */

static int link_runlevels(struct unit *u)
{
	bool rhel = tree_is_folder(u->tree, "/etc/rc.d/rc3.d");
	char path[TREE_PATH_MAX];
	int r = 0;

	for (int level = 2; level <= 5 && r == 0; level++) {
		(void)snprintf(path, sizeof(path), "/etc/%src%d.d/" LINK,
			rhel ? "rc.d/" : "", level);
		r = unit_link(u, path,
			rhel ? "../../init.d/rehost-first-boot"
			     : "../init.d/rehost-first-boot",
			"started at the first boot");
	}
	return r;
}

static int start_at_boot(struct unit *u)
{
	int r;

	if (unit_systemd(u)[0]) {
		r = unit_put(u, UNIT, unit, 0644, "ends the first boot");
		return r < 0 ? r
			     : unit_link(u, WANTED,
				       "../rehost-first-boot.service",
				       "started at the first boot");
	}
	if (tree_is_folder(u->tree, "/etc/init.d") &&
		(tree_is_folder(u->tree, "/etc/rc2.d") ||
			tree_is_folder(u->tree, "/etc/rc.d"))) {
		r = unit_put(u, INIT, init, 0755, "ends the first boot");
		return r < 0 ? r : link_runlevels(u);
	}
	if (tree_is_folder(u->tree, "/etc/local.d"))
		return unit_put(u, LOCAL, script, 0755, "ends the first boot");
	unit_warn(u, MARKER " stays until somebody removes it: nothing is "
			    "known that starts programs at boot");
	return 0;
}

static int write_marker(struct unit *u)
{
	CLEANUP_FREE char *old = NULL;
	char text[512], line[128], now[CLOCK_TEXT_SIZE];

	(void)snprintf(
		line, sizeof(line), "name=%s", unit_text(u->wish, "name"));
	if (tree_read(u->tree, MARKER, TREE_TEXT_MAX, &old, NULL) == 0 &&
		has_line(old, line))
		return 0;
	clock_text(now);
	(void)snprintf(text, sizeof(text),
		"# " UNIT_MADE_BY "\n"
		"# It goes away at the end of the first boot.\n"
		"%s\ntime=%s\n",
		line, now);
	return unit_put(u, MARKER, text, 0644, "the machine is being moved");
}

int unit_marker(struct unit *u)
{
	int r = write_marker(u);

	if (r == 0)
		r = unit_put(u, SCRIPT, script, 0755, "ends the first boot");
	if (r == 0)
		r = start_at_boot(u);
	if (r == 0 && has_selinux(u))
		r = write_relabel(u);
	return r;
}
