/* SPDX-License-Identifier: Apache-2.0 */
#include "fixup/fixup.h"

#include <errno.h>

#include "fixup/unit.h"
#include "fixup/wish.h"

/* In the order in which they are done: what the initramfs takes in stands
 * before it, and the marker, which knows what all others changed, at the end.
 */
static const struct {
	const char *name;
	int (*run)(struct unit *u);
	bool always; /* no plan leaves it out */
} units[] = {
	{"fstab", unit_fstab},
	/* What they are called, once more. */
	{"fstab", unit_lvm},
	{"crypttab", unit_crypttab},
	{"bootloader", unit_bootloader},
	{"console", unit_console},
	{"network", unit_network},
	{"resolver", unit_resolver},
	{"hostname", unit_hostname},
	{"machine-id", unit_machine_id},
	{"ssh-keys", unit_ssh_keys},
	{"cloud", unit_cloud},
	{"initramfs", unit_initramfs},
	{"grow", unit_grow, true},
	{"marker", unit_marker, true},
};

static int run_units(struct unit *u)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(units) && r == 0; i++) {
		u->name = units[i].name;
		if (units[i].always || unit_wants(u, u->name))
			r = units[i].run(u);
	}
	return r;
}

static json_t *make_report(struct unit *u)
{
	/* The report takes the lists over, also when it cannot be made. */
	json_t *report = json_pack("{s:o, s:o, s:o}", "changes", u->changes,
		"warnings", u->warnings, "host_keys", u->host_keys);

	u->changes = u->warnings = u->host_keys = NULL;
	if (report && u->oom) {
		json_decref(report);
		return NULL;
	}
	return report;
}

int fixup_run(const char *root, const json_t *wish, json_t **ret_report,
	struct error *err)
{
	CLEANUP(tree_close) struct tree tree = {.fd = -1};
	struct unit u = {.tree = &tree, .wish = wish, .err = err};
	json_t *report = NULL;
	int r = wish_check(wish, err);

	if (r < 0)
		return r;
	r = tree_open(root, &tree);
	if (r < 0)
		return error_set(err, r, "open %s", root);
	u.changes = json_array();
	u.warnings = json_array();
	u.host_keys = json_array();
	r = u.changes && u.warnings && u.host_keys
		    ? run_units(&u)
		    : error_set(err, -ENOMEM, "fix %s", root);
	if (r == 0) {
		report = make_report(&u);
		if (!report)
			r = error_set(err, -ENOMEM, "report what was fixed");
	}
	json_decref(u.changes);
	json_decref(u.warnings);
	json_decref(u.host_keys);
	if (r == 0)
		*ret_report = report;
	return r;
}
