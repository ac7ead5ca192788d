/* SPDX-License-Identifier: Apache-2.0 */
#include "move/plan.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/parse.h"

const char *const plan_mode_names[] = {"keep", "map", "dhcp", NULL};
const char *const plan_cutover_names[] = {"auto", "wait", NULL};
const char *const plan_identity_names[] = {"keep", "new", NULL};
const char *const plan_fixup_names[] = {"fstab", "crypttab", "bootloader",
	"initramfs", "network", "resolver", "hostname", "machine-id",
	"ssh-keys", "cloud", "console", NULL};

void plan_init(struct plan *p)
{
	struct options o;

	options_init(&o);
	memset(p, 0, sizeof(*p));
	p->downtime_ms = o.downtime_ms;
	p->hook_timeout_ms = o.hook_timeout_ms;
	for (int i = 0; i < PLAN_FIXUPS; i++)
		p->fixups[i] = true;
	options_done(&o);
}

int plan_list_add(struct plan_list *l, const char *text, uint32_t max)
{
	char **v;

	if (l->n >= max)
		return -E2BIG;
	if (strlen(text) > PLAN_TEXT_MAX)
		return -ENAMETOOLONG;
	v = realloc(l->v, (l->n + 1) * sizeof(*v));
	if (!v)
		return -ENOMEM;
	l->v = v;
	v[l->n] = strdup(text);
	if (!v[l->n])
		return -ENOMEM;
	l->n++;
	return 0;
}

void plan_list_done(struct plan_list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	l->v = NULL;
	l->n = 0;
}

static void *add(void *array, uint32_t *n, size_t size)
{
	char *grown = realloc(*(void **)array, (*n + 1) * size);

	if (!grown)
		return NULL;
	*(void **)array = grown;
	return memset(grown + (*n)++ * size, 0, size);
}

struct plan_disk *plan_add_disk(struct plan *p)
{
	return add(&p->disks, &p->n_disks, sizeof(*p->disks));
}

struct plan_nic *plan_add_nic(struct plan *p)
{
	return add(&p->nics, &p->n_nics, sizeof(*p->nics));
}

static void side_done(struct plan_side *s)
{
	free(s->place);
	free(s->hostname);
	plan_list_done(&s->facts);
}

static void hooks_done(struct hook_list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->v[i]);
}

void plan_done(struct plan *p)
{
	free(p->name);
	free(p->hostname);
	side_done(&p->source);
	side_done(&p->target);
	for (uint32_t i = 0; i < p->n_disks; i++) {
		free(p->disks[i].name);
		free(p->disks[i].id);
		free(p->disks[i].target_name);
		free(p->disks[i].target_id);
		free(p->disks[i].overwrite);
		free(p->disks[i].grow);
		free(p->disks[i].comment);
	}
	for (uint32_t i = 0; i < p->n_nics; i++) {
		free(p->nics[i].name);
		free(p->nics[i].mac);
		free(p->nics[i].target);
		plan_list_done(&p->nics[i].addresses);
		plan_list_done(&p->nics[i].gateways);
		plan_list_done(&p->nics[i].nameservers);
		free(p->nics[i].comment);
	}
	free(p->disks);
	free(p->nics);
	plan_list_done(&p->probes);
	hooks_done(&p->quiesce);
	hooks_done(&p->rollback);
	free(p->comment);
	memset(p, 0, sizeof(*p));
}

bool plan_is_mac(char *text)
{
	size_t n = strlen(text);

	if (n != 6 * 3 - 1 && n != 20 * 3 - 1)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (i % 3 == 2 ? text[i] != ':'
			       : !isxdigit((unsigned char)text[i]))
			return false;
		text[i] = (char)tolower((unsigned char)text[i]);
	}
	return true;
}

bool plan_is_address(const char *text)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, text, bytes) == 1 ||
	       inet_pton(AF_INET6, text, bytes) == 1;
}

bool plan_is_network(const char *text)
{
	const char *slash = strchr(text, '/');
	char address[64];
	uint8_t bytes[16];
	uint64_t bits;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (parse_u64(slash + 1, &bits) < 0 || bits == 0)
		return false;
	return (inet_pton(AF_INET, address, bytes) == 1 && bits <= 32) ||
	       (inet_pton(AF_INET6, address, bytes) == 1 && bits <= 128);
}

static bool is_port(const char *text, size_t n)
{
	char digits[8];
	uint64_t port;

	if (n >= sizeof(digits))
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	return parse_u64(digits, &port) == 0 && port > 0 && port <= 65535;
}

bool plan_is_hostname(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";

	return text[0] && strlen(text) <= 64 && text[0] != '-' &&
	       text[0] != '.' && text[strspn(text, allowed)] == '\0';
}

bool plan_is_probe(const char *text)
{
	static const char host[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
	size_t n;

	if (strncmp(text, "tcp:", 4) == 0)
		return is_port(text + 4, strlen(text + 4));
	if (strncmp(text, "http://", 7) != 0)
		return false;
	text += 7;
	text += strspn(text, host);
	if (*text == ':') {
		n = strcspn(++text, "/");
		if (!is_port(text, n))
			return false;
		text += n;
	}
	if (*text != '/')
		return false;
	/* It becomes a line of a request. */
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}
