/* SPDX-License-Identifier: Apache-2.0 */
/* What the console of a system that did not boot tells. It is the system's own
 * word: it may say anything. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"
#include "move/rehearse.h"

#define CONSOLE_MAX (1024U * 1024)

static const struct {
	const char *words, *reason;
} signs[] = {
	{"Gave up waiting for root",
		"the initramfs waits for the root filesystem and does not find "
		"it: the driver of the disk's controller is missing there, or "
		"root= names another one"},
	{"Unable to mount root fs",
		"the kernel does not find its root filesystem: it has no "
		"initramfs with the driver of the disk's controller"},
	{"dracut-initqueue timeout",
		"the initramfs waits for devices that do not appear: a driver "
		"is missing there, or root= names another one"},
	{"dracut Warning: Could not boot",
		"the initramfs does not find what it is to boot"},
	{"ALERT!", "the initramfs waits for a device that does not appear: the "
		   "driver of the disk's controller is missing there, or it is "
		   "called by another name"},
	{"You are in emergency mode",
		"the system has gone into emergency mode: a filesystem of "
		"/etc/fstab is missing or broken"},
	{"Cannot open access to console, the root account is locked",
		"the system has gone into emergency mode: a filesystem of "
		"/etc/fstab is missing or broken"},
	{"Kernel panic", "the kernel panicked"},
	{"grub rescue>", "GRUB does not find its files"},
	{"No bootable device", "the firmware finds nothing to boot"},
	{"BdsDxe: No bootable option", "the firmware finds nothing to boot"},
};

const char *rehearsal_reason(const char *console)
{
	for (size_t i = 0; i < ARRAY_LEN(signs); i++)
		if (strstr(console, signs[i].words))
			return signs[i].reason;
	return NULL;
}

bool rehearsal_kernel_spoke(const char *console)
{
	return strstr(console, "Linux version ");
}

/* Takes away how terminals are told to colour and to move: ESC [ ... letter. */
static void strip(char *text)
{
	char *to = text;

	for (const char *p = text; *p;) {
		if (p[0] == '\033' && p[1] == '[') {
			p += 2;
			p += strspn(p, "0123456789;?=");
			p += *p != '\0';
		} else if (*p == '\033' || *p == '\r') {
			p++;
		} else {
			*to++ = *p++;
		}
	}
	*to = '\0';
	text_clean(text);
}

json_t *rehearsal_tail(const char *console, unsigned n)
{
	json_t *list = json_array();
	char *copy = strdup(console), *next = copy, *line;

	if (copy)
		strip(copy);
	while (copy && (line = strsep(&next, "\n"))) {
		json_t *j;

		if (line[strspn(line, " \t")] == '\0')
			continue;
		if (strlen(line) > 300)
			line[300] = '\0';
		text_clean(line);
		j = json_string(line);
		if (j)
			(void)json_array_append_new(list, j);
		if (json_array_size(list) > n)
			(void)json_array_remove(list, 0);
	}
	free(copy);
	return list;
}

off_t rehearsal_console_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : 0;
}

char *rehearsal_console(const char *path, off_t from)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = rehearsal_console_size(path);
	char *text = malloc((size_t)CONSOLE_MAX + 1);
	ssize_t n = 0;

	if (!text)
		return NULL;
	from = MAX(from, size - (off_t)CONSOLE_MAX);
	if (fd >= 0)
		n = io_pread_all(fd, text, CONSOLE_MAX, (uint64_t)from);
	n = MAX(n, (ssize_t)0);
	for (ssize_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	text[n] = '\0';
	return text;
}

/* Takes a word out of a kernel's command line. */
static void drop_word(char *line, const char *word)
{
	size_t n = strlen(word);

	for (char *at = line; (at = strstr(at, word)); at++) {
		if ((at == line || at[-1] == ' ') &&
			(at[n] == ' ' || at[n] == '\0')) {
			memmove(at, at + n, strlen(at + n) + 1);
			return;
		}
	}
}

/* Its console is read by us, and not from a screen; all else is as wished. */
int rehearsal_wish_console(
	struct msg_fit *f, bool *ret_added, struct error *err)
{
	size_t n;
	json_t *wish = json_loadb(
		(const char *)f->wish, f->n_wish, JSON_REJECT_DUPLICATES, NULL);
	char *text;

	drop_word(f->cmdline, "quiet");
	n = strlen(f->cmdline);
	if (!strstr(f->cmdline, "console=ttyS0"))
		(void)snprintf(f->cmdline + n, sizeof(f->cmdline) - n,
			"%sconsole=tty0 console=ttyS0,115200", n ? " " : "");
	if (json_is_object(wish) && !json_object_get(wish, "console")) {
		(void)json_object_set_new(
			wish, "console", json_pack("[s,s]", "tty0", "ttyS0"));
		*ret_added = true;
	}
	text = json_dumps(wish, JSON_COMPACT);
	json_decref(wish);
	if (!text || strlen(text) > sizeof(f->wish)) {
		free(text);
		return error_set(err, -E2BIG, "say what the system is to be");
	}
	f->n_wish = (uint32_t)strlen(text);
	memcpy(f->wish, text, f->n_wish);
	free(text);
	return 0;
}
