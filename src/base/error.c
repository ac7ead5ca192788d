/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *what, ...)
{
	int saved = errno;
	va_list ap;

	if (!err)
		return code;
	memset(err, 0, sizeof(*err));
	err->code = code;
	va_start(ap, what);
	(void)vsnprintf(err->what, sizeof(err->what), what, ap);
	va_end(ap);
	(void)snprintf(err->why, sizeof(err->why), "%s", strerror(-code));
	errno = saved;
	return code;
}

int error_why(struct error *err, const char *why, ...)
{
	va_list ap;

	if (!err)
		return -EINVAL;
	va_start(ap, why);
	(void)vsnprintf(err->why, sizeof(err->why), why, ap);
	va_end(ap);
	return err->code;
}

int error_todo(struct error *err, const char *todo, ...)
{
	va_list ap;

	if (!err)
		return -EINVAL;
	va_start(ap, todo);
	(void)vsnprintf(err->todo, sizeof(err->todo), todo, ap);
	va_end(ap);
	return err->code;
}

int error_host(struct error *err, const char *host)
{
	if (!err)
		return -EINVAL;
	(void)snprintf(err->host, sizeof(err->host), "%s", host);
	return err->code;
}

const char *error_text(const struct error *err, char *buf, unsigned long size)
{
	(void)snprintf(buf, size, "%s%scannot %s: %s%s%s", err->host,
		err->host[0] ? ": " : "", err->what, err->why,
		err->todo[0] ? "; " : "", err->todo);
	/* Text may come from another machine: no control characters. */
	for (char *p = buf; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	return buf;
}
