/* SPDX-License-Identifier: Apache-2.0 */
/* The volume part: what hooks of both sides have in common. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "parts/volume.h"

void volume_copy_hooks(
	const struct hook_list *l, struct msg_hook *v, uint32_t *n)
{
	*n = l->n;
	for (uint32_t i = 0; i < l->n; i++)
		(void)snprintf(
			v[i].command, sizeof(v[i].command), "%s", l->v[i]);
}

void volume_kill_hook(struct msg_hook *v, const char *command, enum phase p)
{
	if (!command)
		return;
	if (phase_kills(p, POINT_BEFORE, "hook"))
		(void)snprintf(v->command, sizeof(v->command),
			"kill -s KILL $$\n%s", command);
	else if (phase_kills(p, POINT_AFTER, "hook"))
		(void)snprintf(v->command, sizeof(v->command),
			"%s\nkill -s KILL $$", command);
}

int volume_hook_error(struct part *p, enum side side, const char *phase,
	const struct msg_hooks_result *h, struct error *err)
{
	const char *last = h->output;

	/* The last line that it printed tells most. */
	for (const char *c = h->output; *c; c++)
		if (*c == '\n' && c[1])
			last = c + 1;
	error_set(err, -ECANCELED, "run %s hook %u", phase, h->failed);
	error_host(err, p->move->session.host[side].peer.name);
	return error_why(err, "%s%s%.400s", h->why, last[0] ? ": " : "", last);
}
