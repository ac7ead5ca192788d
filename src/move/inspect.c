/* SPDX-License-Identifier: Apache-2.0 */
#include "move/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "facts/facts.h"

#define INSPECT_MS 120000

static int nonsense(const struct session *s, enum side side, const char *why,
	struct error *err)
{
	error_set(err, -EPROTO, "understand what the agent found");
	error_host(err, s->host[side].peer.name);
	return error_why(err, "%s", why);
}

/* Fetches the whole text. */
static int fetch(struct session *s, enum side side, unsigned sample_ms,
	const char *const *modaliases, char **ret, size_t *ret_n,
	struct error *err)
{
	static struct msg_facts part;
	static struct msg_inspect m;
	CLEANUP_FREE char *text = NULL;
	uint64_t total = 0;
	int r;

	memset(&m, 0, sizeof(m));
	m.sample_ms = sample_ms;
	for (; modaliases && *modaliases && m.n_modaliases < MODALIASES_MAX;
		modaliases++) {
		struct msg_modalias *to = &m.modaliases[m.n_modaliases];

		if (strlen(*modaliases) < sizeof(to->text)) {
			(void)snprintf(
				to->text, sizeof(to->text), "%s", *modaliases);
			m.n_modaliases++;
		}
	}
	do {
		r = session_call(s, side, MSG_INSPECT, &m, &part,
			INSPECT_MS + sample_ms, err);
		if (r < 0)
			return r;
		if (m.offset == 0) {
			total = part.total;
			if (total == 0 || total > FACTS_MAX)
				return nonsense(s, side,
					"it is empty or too long", err);
			m.n_modaliases = 0;
			text = malloc(total);
			if (!text)
				return error_set(
					err, -ENOMEM, "keep the facts");
		}
		if (part.n != MIN(total - m.offset, (uint64_t)FACTS_PART))
			return nonsense(s, side, "its parts do not fit", err);
		memcpy(text + m.offset, part.data, part.n);
		m.offset += part.n;
	} while (m.offset < total);
	*ret = STEAL_PTR(text);
	*ret_n = total;
	return 0;
}

int inspect_with(struct session *s, enum side side, unsigned sample_ms,
	const char *const *modaliases, json_t **ret, struct error *err)
{
	CLEANUP_FREE char *text = NULL;
	size_t n = 0;
	json_t *facts;
	int r = fetch(s, side, sample_ms, modaliases, &text, &n, err);

	if (r < 0)
		return r;
	facts = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(facts)) {
		json_decref(facts);
		return nonsense(s, side, "it is no JSON object", err);
	}
	*ret = facts;
	return 0;
}

int inspect(const struct place *place, const struct ssh_options *options,
	unsigned sample_ms, const char *const *modaliases, json_t **ret,
	int64_t *ret_asked_ms, struct error *err)
{
	struct ssh_options o = options ? *options : (struct ssh_options){0};
	struct session s;
	int r;

	o.any_user = true;
	session_init(&s);
	r = session_connect(&s, SOURCE, place, &o, err);
	if (ret_asked_ms)
		*ret_asked_ms = (int64_t)clock_wall_ms();
	if (r == 0)
		r = inspect_with(&s, SOURCE, sample_ms, modaliases, ret, err);
	session_done(&s);
	return r;
}
