/* SPDX-License-Identifier: Apache-2.0 */
#include "link/bootstrap.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* Single quotes may stand only around the whole. The trial file has no first
 * line that names an interpreter: a shell runs it all the same, but not from
 * where the kernel refuses to run programs. dd(1) then tries whether there is
 * room. With sudo the shell stays, to tidy up when sudo refuses after all; an
 * agent that ran has unlinked itself, and is not started again. */
static const char script[] =
	"exec sh -c '"
	"m=%s n=%zu k=%zu u=%d d= z=;"
	"PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; cd /;"
	"e() { echo; echo \"REHOST-ERROR $m $*\"; exit 9; };"
	"c() { test -z \"$d\" || rm -rf \"$d\"; };"
	"trap c 0; trap \"exit 9\" 1 2 13 15;"
	"a=$(uname -sm); test \"$a\" = \"Linux x86_64\" || e arch \"$a\";"
	"s=; test \"$(id -u)\" = 0 || { s=1; sudo -n true </dev/null || { "
	"s=; test $u = 1 || e root; }; };"
	"for p in /dev/shm /run /tmp /var/tmp \"$HOME\"; do "
	"f=$p/.rehost-$m; mkdir -m 700 \"$f\" 2>/dev/null || continue;"
	"d=$f; f=$d/rehost-agent;"
	"echo : >\"$f\" && chmod 700 \"$f\" && \"$f\" </dev/null && "
	"dd if=/dev/zero of=\"$f\" bs=$n count=1 && break;"
	"rm -rf \"$d\"; d=; "
	"done >/dev/null 2>&1;"
	"test -n \"$d\" || e noexec;"
	"test \"$(echo z | gzip -c 2>/dev/null | gzip -dc 2>/dev/null)\" = z "
	"&& "
	"z=gzip || k=$n;"
	"r=\"head -c $k\";"
	"head -c 1 </dev/null >/dev/null 2>&1 || r=\"dd bs=1 count=$k\";"
	"echo; echo \"REHOST-READY $m $z\";"
	"if test -n \"$z\"; then $r | gzip -dc; else $r; fi >\"$f\" "
	"2>/dev/null;"
	"g=$(wc -c <\"$f\"); test \"$g\" -eq $n || e short $g;"
	"test -z \"$s\" || { sudo -n \"$f\" serve $m \"$SSH_CONNECTION\"; "
	"s=$?; test $u = 1 && test -e \"$f\" || exit $s; };"
	"exec \"$f\" serve $m \"$SSH_CONNECTION\""
	"'";

void bootstrap_command(const char marker[BOOTSTRAP_MARKER_SIZE], size_t size,
	size_t packed, bool any_user, char ret[BOOTSTRAP_COMMAND_SIZE])
{
	int n = snprintf(ret, BOOTSTRAP_COMMAND_SIZE, script, marker, size,
		packed, any_user);

	assert(n > 0 && n < BOOTSTRAP_COMMAND_SIZE);
}

/* Whether line is "word marker" and then nothing or a space and more. */
static bool is_answer(const char *line, const char *word, const char *marker,
	const char **rest)
{
	size_t n = strlen(word), m = strlen(marker);

	if (strncmp(line, word, n) != 0 || line[n] != ' ' ||
		strncmp(line + n + 1, marker, m) != 0)
		return false;
	line += n + 1 + m;
	if (*line != '\0' && *line != ' ')
		return false;
	*rest = *line ? line + 1 : line;
	return true;
}

enum bootstrap_answer bootstrap_answer(const char *line,
	const char marker[BOOTSTRAP_MARKER_SIZE], const char **ret_rest)
{
	static const struct {
		const char *word;
		enum bootstrap_answer answer;
	} errors[] = {
		{"arch", BOOTSTRAP_ARCH},
		{"root", BOOTSTRAP_ROOT},
		{"noexec", BOOTSTRAP_NOEXEC},
		{"short", BOOTSTRAP_SHORT},
	};
	const char *rest;

	if (is_answer(line, "REHOST-READY", marker, &rest) && !*rest)
		return BOOTSTRAP_READY;
	if (is_answer(line, "REHOST-READY", marker, &rest) &&
		strcmp(rest, "gzip") == 0)
		return BOOTSTRAP_READY_PACKED;
	if (is_answer(line, "REHOST-AGENT", marker, &rest) && !*rest)
		return BOOTSTRAP_AGENT;
	if (!is_answer(line, "REHOST-ERROR", marker, &rest))
		return BOOTSTRAP_NOISE;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		size_t n = strlen(errors[i].word);

		if (strncmp(rest, errors[i].word, n) == 0 &&
			(rest[n] == '\0' || rest[n] == ' ')) {
			*ret_rest = rest[n] ? rest + n + 1 : rest + n;
			return errors[i].answer;
		}
	}
	return BOOTSTRAP_NOISE;
}
