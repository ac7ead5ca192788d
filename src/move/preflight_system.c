/* SPDX-License-Identifier: Apache-2.0 */
/* The machines as a whole: who may do what, memory, clocks, databases. */
#include "move/preflight_checks.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "move/plan_disk.h"

#define MIB (1ULL << 20)
/* What the rescue system lives in, and what it takes to load it beside a system
 * that runs. */
#define RESCUE_BYTES (256 * MIB)
#define TAKEOVER_BYTES (512 * MIB)
#define CLOCK_MS 5000

#define each_host(p, h)                                                        \
	for ((h) = (p)->source ? SOURCE : TARGET;                              \
		(h) <= ((p)->target ? TARGET : SOURCE); (h)++)

void preflight_no_root(struct preflight *p)
{
	int h;

	each_host(p, h)
	{
		if (!preflight_false(preflight_facts(p, h), "root"))
			continue;
		preflight_find(p, BLOCKS, h, "the user there is not root");
		preflight_remedy(p, "log in as root, or let this user use "
				    "sudo without a password");
	}
}

void preflight_not_known(struct preflight *p)
{
	/* What a move hangs on. */
	static const struct {
		const char *path, *text;
		bool source, target;
	} needed[] = {
		{"system.architecture", "the architecture", true, true},
		{"system.firmware.mode", "BIOS or UEFI", true, true},
		{"disks", "the disks", true, true},
		{"memory.total", "the memory", false, true},
		{"boot.default.kernel", "which kernel boots", true, false},
		{"filesystems", "the filesystems", true, false},
		{"network.interfaces", "the network", true, true},
	};
	int h;

	each_host(p, h)
	{
		for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
			if (!(h == SOURCE ? needed[i].source
					  : needed[i].target) ||
				facts_at(preflight_facts(p, h), needed[i].path))
				continue;
			preflight_find(
				p, NOTES, h, "%s: not known", needed[i].text);
			preflight_remedy(p,
				"see \"missing\" in the facts; "
				"what depends on it was not checked");
		}
	}
}

void preflight_same_machine(struct preflight *p)
{
	const char *boot = preflight_text(p->source, "system.boot_id");
	const char *id = preflight_text(p->source, "system.machine_id");

	if (boot[0] && preflight_is(p->target, "system.boot_id", boot)) {
		preflight_find(p, BLOCKS, TARGET,
			"it is the source: both have the boot id %s", boot);
		preflight_remedy(p, "name another machine");
	} else if (id[0] && preflight_is(p->target, "system.machine_id", id)) {
		preflight_find(p, NOTES, TARGET,
			"it has the machine id of the source, %s: one is a "
			"clone of the other",
			id);
		preflight_remedy(p, "make sure that it is the right machine");
	}
}

void preflight_architecture(struct preflight *p)
{
	const char *from = preflight_text(p->source, "system.architecture");
	const char *to = preflight_text(p->target, "system.architecture");

	if (!from[0] || !to[0] || strcmp(from, to) == 0 ||
		(strcmp(from, "i686") == 0 && strcmp(to, "x86_64") == 0))
		return;
	preflight_find(p, BLOCKS, TARGET,
		"it is %s and the source is %s: nothing of it could run", to,
		from);
	preflight_remedy(p, "take a machine that is %s", from);
}

void preflight_container(struct preflight *p)
{
	int h;

	each_host(p, h)
	{
		const char *kind = preflight_text(preflight_facts(p, h),
			"system.virtualization.container");

		if (!kind[0])
			continue;
		preflight_find(p, BLOCKS, h,
			"it is a container (%s), with neither a kernel nor "
			"disks of its own",
			kind);
		preflight_remedy(
			p, h == SOURCE
				   ? "move the machine that it runs on, or its "
				     "volumes one by one"
				   : "take a virtual machine or a real one");
	}
}

void preflight_memory(struct preflight *p)
{
	bool takeover = p->wish->takeover;
	uint64_t need = takeover ? TAKEOVER_BYTES : RESCUE_BYTES, total;
	char have[24], least[24];

	/* A kernel keeps up to a quarter of a small machine's memory for
	 * itself before it counts. */
	if (!preflight_number(p->target, "memory.total", &total) ||
		total >= need / 4 * 3)
		return;
	preflight_find(p, BLOCKS, TARGET, "it has %s of memory; %s takes %s",
		preflight_size_text(total, have),
		takeover ? "a takeover" : "the rescue system",
		preflight_size_text(need, least));
	preflight_remedy(p, "%s",
		takeover ? "give it more memory, or boot the rescue system "
			   "there, which takes less"
			 : "give it more memory, for the time of the move");
}

static const char *kexec_forbidden(const json_t *t)
{
	const char *lockdown = preflight_text(t, "system.kernel.lockdown");

	if (preflight_false(t, "system.kexec.supported"))
		return "its kernel has no kexec";
	if (preflight_true(t, "system.kexec.disabled"))
		return "kexec is off until its next boot "
		       "(kernel.kexec_load_disabled)";
	if (strcmp(lockdown, "integrity") == 0 ||
		strcmp(lockdown, "confidentiality") == 0)
		return "its kernel is locked down and takes signed kernels "
		       "only";
	if (preflight_is(t, "system.virtualization.machine", "xen-pv"))
		return "it is a paravirtual guest of Xen, where kexec does "
		       "not work";
	return NULL;
}

void preflight_kexec(struct preflight *p)
{
	const char *why = kexec_forbidden(p->target);

	if (!p->wish->takeover || !why)
		return;
	preflight_find(p, BLOCKS, TARGET, "%s", why);
	preflight_remedy(p, "boot the rescue system there (PXE, ISO or disk "
			    "image)");
}

/* The first two numbers of "6.1.0-28-amd64". */
static bool read_release(
	const char *release, unsigned *ret_major, unsigned *ret_minor)
{
	uint64_t v[2];

	for (size_t i = 0; i < 2; i++) {
		size_t n = strspn(release, "0123456789");
		char text[8];

		if (n == 0 || n >= sizeof(text))
			return false;
		memcpy(text, release, n);
		text[n] = '\0';
		if (parse_u64(text, &v[i]) < 0 || (i == 0 && release[n] != '.'))
			return false;
		release += n + 1;
	}
	*ret_major = (unsigned)v[0];
	*ret_minor = (unsigned)v[1];
	return true;
}

void preflight_takeover_disk(struct preflight *p)
{
	const json_t *list = facts_at(p->target, "disks"), *d;
	size_t i;

	if (!p->wish->takeover)
		return;
	preflight_each(list, i, d)
	{
		const char *where = plan_disk_elsewhere(p->target, d);

		if (!where)
			continue;
		preflight_find(p, WARNS, TARGET,
			"%s comes over the network (%s), and is not there in "
			"the rescue system",
			preflight_text(d, "name"), where);
		preflight_remedy(p, "move to another disk of it, or do without "
				    "a takeover");
	}
}

/* At the cut the network goes, and with it such a disk, which is then to be
 * read. */
void preflight_network_disk(struct preflight *p)
{
	const json_t *list = facts_at(p->source, "disks"), *d;
	size_t i;

	preflight_each(list, i, d)
	{
		const char *where = plan_disk_elsewhere(p->source, d);
		const char *name = preflight_text(d, "name");

		if (!where || preflight_disk_size(d) == 0)
			continue;
		if (preflight_moves(p, d) && !p->wish->stays) {
			preflight_find(p, BLOCKS, SOURCE,
				"its disk %s comes over the network (%s), "
				"which is cut for the cutover",
				name, where);
			preflight_remedy(p,
				"leave it out of the move, and attach it to "
				"the target; or copy it as a volume");
		} else if (!preflight_moves(p, d)) {
			preflight_find(p, WARNS, SOURCE,
				"its disk %s comes over the network (%s) and "
				"stays where it is: the moved system attaches "
				"it as the source did",
				name, where);
			preflight_remedy(p, "see that the target may reach it, "
					    "with its address and its name");
		}
	}
}

/* What the fence of the network is held by: track/netfence.h. */
void preflight_old_kernel(struct preflight *p)
{
	const char *release =
		preflight_text(p->source, "system.kernel.release");
	unsigned major = 0, minor = 0;
	/* Whose vendor has brought newer parts into it. */
	bool mended = strstr(release, ".el8") != NULL;

	if (p->wish->stays || !read_release(release, &major, &minor) ||
		major > 5 || (major == 5 && minor >= 9))
		return;
	preflight_find(p, mended ? WARNS : BLOCKS, SOURCE,
		"its kernel %s is older than 5.9: its network cannot be cut%s",
		release, mended ? ", unless its vendor has mended that" : "");
	preflight_remedy(p, "boot a newer kernel on the source, or move its "
			    "disks as volumes");
}

/* Who drives the takeover must come in again, and cannot be asked for anything
 * while it waits. */
void preflight_takeover_login(struct preflight *p)
{
	const struct preflight_login *l = p->wish->login;

	if (!p->wish->takeover || !l || l->kept > 0)
		return;
	if (l->sure && l->offers)
		preflight_find(p, BLOCKS, TARGET,
			"none of the keys that ssh offers without asking for a "
			"password may log in afterwards");
	else
		preflight_find(p, WARNS, TARGET,
			"whether ssh can log in afterwards is not known: no "
			"key that it is seen to offer without asking for a "
			"password is among those that may");
	preflight_remedy(p,
		"use a key of its authorized_keys that has no password or is "
		"in an ssh-agent, or name one: --authorized-keys FILE");
}

/* How far a machine's clock is ahead; false when it is not known. */
static bool ahead(const json_t *facts, int64_t asked_ms, int64_t *ret)
{
	uint64_t now;

	if (asked_ms <= 0 ||
		!preflight_number(facts, "system.clock.now_ms", &now) ||
		now > INT64_MAX)
		return false;
	*ret = (int64_t)now - asked_ms;
	return true;
}

static void say_clock(struct preflight *p, enum preflight_host host, int64_t ms,
	const char *against)
{
	if (ms > -CLOCK_MS && ms < CLOCK_MS)
		return;
	preflight_find(p, WARNS, host, "its clock is %" PRId64 " s %s %s",
		ms < 0 ? -(ms / 1000) : ms / 1000,
		ms < 0 ? "behind" : "ahead of", against);
	preflight_remedy(p, "set it by NTP before the move: times in files, "
			    "certificates and databases would jump");
}

void preflight_clock(struct preflight *p)
{
	int64_t source, target, apart;
	bool know_source = ahead(p->source, p->wish->source_asked_ms, &source);
	bool know_target = p->target &&
			   ahead(p->target, p->wish->target_asked_ms, &target);

	if (know_source)
		say_clock(p, SOURCE, source, "this machine's");
	if (know_target)
		say_clock(p, TARGET, target, "this machine's");
	if (know_source && know_target &&
		!__builtin_sub_overflow(target, source, &apart))
		say_clock(p, TARGET, apart, "the source's");
}

void preflight_databases(struct preflight *p)
{
	const json_t *list = facts_at(p->source, "databases"), *d;
	size_t i;

	preflight_each(list, i, d)
	{
		const char *kind = preflight_text(d, "kind");

		if (!preflight_true(d, "running") || !kind[0] ||
			strcmp(kind, "memcached") == 0)
			continue;
		preflight_find(p, NOTES, SOURCE, "%s runs%s%.200s", kind,
			facts_text(d, "data")[0] ? ", its data in " : "",
			facts_text(d, "data"));
		preflight_remedy(p,
			"without --quiesce it comes up as after a power cut; "
			"stop it with --quiesce to have it come up clean");
	}
}
