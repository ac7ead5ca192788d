/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "agent/agent.h"
#include "facts/facts.h"

#define SAMPLE_MAX_MS 60000U

static int gather(
	struct agent *a, const struct msg_inspect *m, struct error *err)
{
	const char *modaliases[MODALIASES_MAX + 1] = {NULL};
	json_t *facts = NULL;
	int r;

	for (uint32_t i = 0; i < m->n_modaliases; i++)
		modaliases[i] = m->modaliases[i].text;
	r = facts_gather(
		"/", MIN(m->sample_ms, SAMPLE_MAX_MS), modaliases, &facts, err);
	if (r < 0)
		return r;
	free(a->inspected);
	a->inspected = json_dumps(facts, JSON_COMPACT);
	json_decref(facts);
	if (!a->inspected)
		return error_set(err, -ENOMEM, "write the facts down");
	a->inspected_n = strlen(a->inspected);
	if (a->inspected_n > FACTS_MAX) {
		error_set(err, -E2BIG, "write the facts down");
		return error_why(err, "they have %zu bytes, more than %u",
			a->inspected_n, FACTS_MAX);
	}
	return 0;
}

int inspect_machine(struct agent *a, const struct frame *f, struct error *err)
{
	static struct msg_facts answer;
	static struct msg_inspect m;
	int r;

	if (frame_decode(f, &m) < 0)
		return error_set(err, -EPROTO, "understand a request");
	if (m.offset == 0) {
		r = gather(a, &m, err);
		if (r < 0)
			return r;
	}
	if (!a->inspected || m.offset > a->inspected_n)
		return error_set(err, -EPROTO, "go on telling the facts");
	answer.total = a->inspected_n;
	answer.n = (uint32_t)MIN(
		a->inspected_n - m.offset, (uint64_t)sizeof(answer.data));
	memcpy(answer.data, a->inspected + m.offset, answer.n);
	agent_answer(a, MSG_FACTS, f->id, &answer);
	return 0;
}
