/* SPDX-License-Identifier: Apache-2.0 */
#include "link/place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"

#define SCHEME "ssh://"

/* A piece of the text; the pieces are copied only when they are known good. */
struct span {
	const char *p;
	size_t n;
};

static struct span span(const char *p, const char *end)
{
	return (struct span){p, (size_t)(end - p)};
}

static int bad(
	const char *text, struct error *err, const char *why, const char *todo)
{
	(void)error_set(err, -EINVAL, "use '%s' as a place", text);
	(void)error_why(err, "%s", why);
	if (todo)
		(void)error_todo(err, "%s", todo);
	return -EINVAL;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

static bool only(struct span s, const char *others)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) &&
			!memchr(others, s.p[i], strlen(others)))
			return false;
	return true;
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

/* "http://…" and the like, which would otherwise read as host "http". */
static bool has_scheme(const char *text)
{
	const char *colon = strstr(text, "://");

	return colon && colon > text && only(span(text, colon), "+.-");
}

static bool is_v6(struct span s)
{
	const char *zone = memchr(s.p, '%', s.n);
	size_t n = zone ? (size_t)(zone - s.p) : s.n;
	char address[INET6_ADDRSTRLEN];
	struct in6_addr ignored;

	if (n >= sizeof(address))
		return false;
	memcpy(address, s.p, n);
	address[n] = '\0';
	if (zone && (n + 1 == s.n || !only(span(zone + 1, s.p + s.n), "._-")))
		return false;
	return inet_pton(AF_INET6, address, &ignored) == 1;
}

static int take_user(
	const char *text, struct span s, struct place *p, struct error *err)
{
	if (s.n == 0)
		return bad(text, err, "nothing is before the '@'",
			"name a user, or leave the '@' out");
	if (s.p[0] == '-')
		return bad(text, err, "a user cannot begin with '-'", NULL);
	if (!only(s, "._-+"))
		return bad(text, err,
			"a user has letters, digits and . _ - + only", NULL);
	if (s.n >= sizeof(p->user))
		return bad(text, err, "the user is too long", NULL);
	memcpy(p->user, s.p, s.n);
	return 0;
}

static int take_host(
	const char *text, struct span s, struct place *p, struct error *err)
{
	bool bracket = s.n > 0 && s.p[0] == '[';

	if (bracket) {
		if (s.n < 2 || s.p[s.n - 1] != ']')
			return bad(text, err, "the ']' is missing",
				"write [2001:db8::1]:/path");
		s = span(s.p + 1, s.p + s.n - 1);
		if (!is_v6(s))
			return bad(text, err,
				"what is in brackets is not an IPv6 address",
				"write [2001:db8::1]:/path");
	}
	if (s.n == 0)
		return bad(text, err, "the host is empty",
			"write host:/path, or a local path with a '/'");
	if (s.p[0] == '-')
		return bad(text, err, "a host cannot begin with '-'", NULL);
	if (!bracket && !only(s, "._-"))
		return bad(text, err,
			"a host has letters, digits and . _ - only",
			"a local path needs a '/': ./name");
	if (s.n >= sizeof(p->host))
		return bad(text, err, "the host is too long", NULL);
	memcpy(p->host, s.p, s.n);
	return 0;
}

static int take_login(
	const char *text, struct span s, struct place *p, struct error *err)
{
	const char *at = memchr(s.p, '@', s.n);
	int r;

	if (at) {
		r = take_user(text, span(s.p, at), p, err);
		if (r < 0)
			return r;
		s = span(at + 1, s.p + s.n);
	}
	return take_host(text, s, p, err);
}

static int take_port(
	const char *text, struct span s, struct place *p, struct error *err)
{
	char digits[8];
	uint64_t port = 0;

	if (s.n > 0 && s.n < sizeof(digits)) {
		memcpy(digits, s.p, s.n);
		digits[s.n] = '\0';
		if (parse_u64(digits, &port) < 0)
			port = 0;
	}
	if (port < 1 || port > 65535)
		return bad(text, err, "the port is not a number of 1 to 65535",
			"write ssh://host:22/path");
	p->port = (unsigned)port;
	return 0;
}

static int take_path(
	const char *text, const char *path, struct place *p, struct error *err)
{
	size_t n = strlen(path);

	if (n >= sizeof(p->path))
		return bad(text, err, "the path is too long", NULL);
	memcpy(p->path, path, n + 1);
	return 0;
}

/* The colon that ends the host: the first one that is not inside brackets. */
static const char *host_end(const char *login, const char *end)
{
	const char *at = strpbrk(login, "@:/");
	const char *host = at && *at == '@' ? at + 1 : login;
	const char *close = NULL;

	if (host < end && *host == '[')
		close = memchr(host, ']', (size_t)(end - host));
	if (close)
		host = close + 1;
	return memchr(host, ':', (size_t)(end - host));
}

static int parse_url(const char *text, struct place *p, struct error *err)
{
	const char *login = text + strlen(SCHEME);
	const char *end = strchrnul(login, '/');
	const char *colon = host_end(login, end);
	int r = take_login(text, span(login, colon ? colon : end), p, err);

	if (r == 0 && colon)
		r = take_port(text, span(colon + 1, end), p, err);
	if (r == 0)
		r = take_path(text, end, p, err);
	return r;
}

static int parse_remote(
	const char *text, const char *colon, struct place *p, struct error *err)
{
	const char *path = colon + 1;
	int r;

	if (*path != '/') {
		const char *slash = strchrnul(path, '/');
		uint64_t port;

		if (*path == '\0')
			return bad(text, err, "nothing is after the ':'",
				"write host:/path, or host for the machine");
		if (memchr(path, ':', (size_t)(slash - path)))
			return bad(text, err,
				"an IPv6 address must be in brackets",
				"write [2001:db8::1]:/path");
		if (parse_u64(path, &port) == 0)
			return bad(text, err, "what is after the ':' is a path",
				"write a port as ssh://host:port/path");
		return bad(text, err,
			"the path on the other machine does not begin with '/'",
			"write host:/path");
	}
	r = take_login(text, span(text, colon), p, err);
	if (r == 0)
		r = take_path(text, path, p, err);
	return r;
}

static int parse_word(const char *text, struct place *p, struct error *err)
{
	if (faccessat(AT_FDCWD, text, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		(void)error_set(err, -EINVAL, "use '%s' as a place", text);
		(void)error_why(err,
			"it can be a machine, and a file here has that name");
		(void)error_todo(err,
			"write ./%s for the file, or " SCHEME
			"%s for the machine",
			text, text);
		return -EINVAL;
	}
	return take_login(text, span(text, text + strlen(text)), p, err);
}

int place_parse(const char *text, struct place *ret, struct error *err)
{
	struct place p = {0};
	const char *slash = strchr(text, '/');
	const char *colon;
	int r;

	if (text[0] == '\0')
		return bad(text, err, "it is empty",
			"write host:/path, a local path with a '/', or host");
	if (has_control(text))
		return bad(text, err, "it has control characters", NULL);
	colon = host_end(text, text + strlen(text));
	if (strncmp(text, SCHEME, strlen(SCHEME)) == 0)
		r = parse_url(text, &p, err);
	else if (has_scheme(text))
		r = bad(text, err, "only " SCHEME " is known",
			"write host:/path or " SCHEME "host/path");
	else if (slash && (!strchr(text, ':') || slash < strchr(text, ':')))
		r = take_path(text, text, &p, err);
	else if (colon)
		r = parse_remote(text, colon, &p, err);
	else
		r = parse_word(text, &p, err);
	if (r == 0)
		*ret = p;
	return r;
}

bool place_is_local(const struct place *p)
{
	return p->host[0] == '\0';
}

const char *place_text(const struct place *p, char *buf, unsigned long size)
{
	bool v6 = strchr(p->host, ':') != NULL;
	/* "host://path" would be read as an URL of another kind. */
	bool url = p->port || strncmp(p->path, "//", 2) == 0;
	char port[16] = "";

	if (place_is_local(p)) {
		(void)snprintf(buf, size, "%s", p->path);
		return buf;
	}
	if (p->port)
		(void)snprintf(port, sizeof(port), ":%u", p->port);
	(void)snprintf(buf, size, "%s%s%s%s%s%s%s%s%s", url ? SCHEME : "",
		p->user, p->user[0] ? "@" : "", v6 ? "[" : "", p->host,
		v6 ? "]" : "", port, !url && p->path[0] ? ":" : "", p->path);
	return buf;
}
