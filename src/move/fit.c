/* SPDX-License-Identifier: Apache-2.0 */
#include "move/fit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "move/steps.h"

#define FIT_MS 1800000 /* an initramfs may have to be made anew */

int fit_load(struct move *m, struct msg_fit *ret, struct error *err)
{
	CLEANUP_FREE void *stored = NULL;
	uint32_t n = 0;
	int r = store_get_blob(m->store, m->row.name, "fit", &stored, &n, err);

	if (r < 0)
		return r;
	if (n != sizeof(*ret))
		return error_set(err, -EINVAL, "read what was stored");
	memcpy(ret, stored, n);
	return 0;
}

static json_t *take_report(const struct msg_fitted *f)
{
	json_t *report = json_loadb((const char *)f->report, f->n_report,
		JSON_REJECT_DUPLICATES, NULL);

	if (json_is_array(json_object_get(report, "changes")))
		return report;
	json_decref(report);
	return json_object();
}

int fit_system(struct move *m, enum side side, struct msg_fit *fit,
	struct fit_result *ret, struct error *err)
{
	bool firmware = m->options.boot == BOOT_BY_FIRMWARE;
	static struct msg_fitted fitted;
	uint64_t until = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (firmware)
		fit->kernel[0] = '\0';
	do
		r = session_call(
			&m->session, side, MSG_FIT, fit, &fitted, FIT_MS, err);
	while (move_waits_for_disks(m, m->resumed, &until, &r, err));
	if (r < 0)
		return r;
	ret->ms = fitted.ms;
	(void)snprintf(
		ret->skipped, sizeof(ret->skipped), "%s", fitted.skipped);
	ret->how.how = fitted.loaded ? BOOT_KEXEC : BOOT_FIRMWARE;
	if (!fitted.loaded && !firmware)
		(void)snprintf(ret->why, sizeof(ret->why), "%s", fitted.why);
	if (!fitted.loaded && m->options.boot == BOOT_BY_KEXEC) {
		error_set(err, -ENOEXEC, "start the new machine by kexec");
		return error_why(err, "%s", fitted.why);
	}
	ret->fixups = take_report(&fitted);
	return 0;
}

void fit_result_done(struct fit_result *r)
{
	json_decref(r->fixups);
	r->fixups = NULL;
}
