/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress: one live block on a terminal, a line now and then elsewhere, one
 * JSON object a line for programs.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"

#define BLOCK_LINES 3
#define LINE_MS 5000

static struct {
	bool json, quiet, verbose, terminal, drawn;
	uint64_t next;
	char phase[16];
} view;

const char *human_bytes(uint64_t n, char buf[32])
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)n;
	unsigned u = 0;

	while (v >= 1000 && u < 5) {
		v /= 1024;
		u++;
	}
	(void)snprintf(buf, 32, u == 0 || v >= 100 ? "%.0f %s" : "%.1f %s", v,
		units[u]);
	return buf;
}

const char *human_ms(uint64_t ms, char buf[32])
{
	unsigned long long s = ms / 1000;

	if (ms < 10000)
		(void)snprintf(buf, 32, "%.2f s", (double)ms / 1000);
	else if (s < 120)
		(void)snprintf(buf, 32, "%llu s", s);
	else if (s < 7200)
		(void)snprintf(buf, 32, "%llu min %llu s", s / 60, s % 60);
	else
		(void)snprintf(
			buf, 32, "%llu h %llu min", s / 3600, s / 60 % 60);
	return buf;
}

const char *human_boot(bool boots, uint64_t ms, char buf[64])
{
	char took[32];

	if (!boots)
		return "";
	if (ms == 0)
		return " and a boot";
	(void)snprintf(
		buf, 64, " and a boot (its last took %s)", human_ms(ms, took));
	return buf;
}

static void erase(void)
{
	if (view.drawn)
		(void)printf("\033[%dA\033[J", BLOCK_LINES);
	view.drawn = false;
}

static void draw(const struct progress *p)
{
	char done[32], total[32], rate[32], back[32], dirty[32], cut[32],
		left[32], boot[64];
	unsigned percent = p->total ? (unsigned)(p->done * 100 / p->total) : 0;

	erase();
	(void)printf("%-9s %3u%%  %s of %s, %s/s%s%s\n", p->phase, percent,
		human_bytes(p->done, done), human_bytes(p->total, total),
		human_bytes(p->rate, rate), p->left_ms ? ", left " : "",
		p->left_ms ? human_ms(p->left_ms, left) : "");
	if (p->backlog.known)
		(void)printf("round %-4u backlog %s, unproved %s, source "
			     "writes %s/s\n"
			     "          cut over now: offline for about %s%s\n",
			p->round, human_bytes(p->backlog.bytes, back),
			human_bytes(p->backlog.unproved, total),
			human_bytes(p->backlog.dirty_rate, dirty),
			human_ms(p->backlog.forecast_ms, cut),
			human_boot(p->boots, p->boot_ms, boot));
	else
		(void)printf("\n\n");
	view.drawn = true;
	(void)fflush(stdout);
}

static void print_line(const struct progress *p)
{
	char done[32], total[32], rate[32], back[32], cut[32], boot[64];

	(void)printf("%s: %s of %s, %s/s", p->phase, human_bytes(p->done, done),
		human_bytes(p->total, total), human_bytes(p->rate, rate));
	if (p->backlog.known)
		(void)printf(", backlog %s, offline if cut now about %s%s",
			human_bytes(p->backlog.bytes, back),
			human_ms(p->backlog.forecast_ms, cut),
			human_boot(p->boots, p->boot_ms, boot));
	(void)printf("\n");
	(void)fflush(stdout);
}

static void on_progress(void *arg, const struct progress *p)
{
	uint64_t now = clock_ms();
	bool phase_changed = strcmp(view.phase, p->phase) != 0;

	if (view.quiet)
		return;
	(void)snprintf(view.phase, sizeof(view.phase), "%s", p->phase);
	if (view.terminal) {
		draw(p);
		return;
	}
	if (now < view.next && !phase_changed)
		return;
	view.next = now + (view.json ? 1000 : LINE_MS);
	if (!view.json) {
		print_line(p);
		return;
	}
	print_json(json_pack(
		"{s:s s:s s:I s:I s:I s:i s:I s:I s:I s:I s:I s:I}", "event",
		"progress", "phase", p->phase, "done", (json_int_t)p->done,
		"total", (json_int_t)p->total, "rate", (json_int_t)p->rate,
		"round", (int)p->round, "backlog", (json_int_t)p->backlog.bytes,
		"unproved", (json_int_t)p->backlog.unproved, "dirty_rate",
		(json_int_t)p->backlog.dirty_rate, "forecast_ms",
		(json_int_t)p->backlog.forecast_ms, "left_ms",
		(json_int_t)p->left_ms, "boot_ms", (json_int_t)p->boot_ms));
}

/* What the user has to see to, also with --quiet. */
static bool is_trouble(const char *event)
{
	static const char *const events[] = {"activate-failed", "fenced",
		"rollback", "rollback-failed", "left-behind", "wipe", "settle",
		"stuck", "target-wrote", "weak-fence"};

	for (unsigned i = 0; i < ARRAY_LEN(events); i++)
		if (strcmp(events[i], event) == 0)
			return true;
	return false;
}

static void on_note(void *arg, const char *event, const char *text)
{
	if (view.quiet && !is_trouble(event))
		return;
	if (view.quiet && !view.json) {
		(void)fprintf(stderr, "rehost: %s\n", text);
		return;
	}
	if (view.json) {
		print_json(
			json_pack("{s:s s:s}", "event", event, "text", text));
		return;
	}
	if (view.terminal)
		erase();
	(void)printf("%s\n", text);
	(void)fflush(stdout);
}

struct observer progress_observer(const struct flags *f)
{
	memset(&view, 0, sizeof(view));
	view.json = f->json;
	view.quiet = f->quiet;
	view.verbose = f->verbose;
	view.terminal = !f->json && !f->quiet && isatty(1);
	return (struct observer){
		.progress = on_progress, .note = on_note, .arg = NULL};
}

void progress_end(void)
{
	if (view.terminal)
		erase();
}
