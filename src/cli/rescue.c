/* SPDX-License-Identifier: Apache-2.0 */
/* rehost rescue build. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static void print_result(const struct rescue_options *o,
	const struct rescue_result *r, bool quiet)
{
	const char *to = o->output;
	char a[32], b[32], c[32];

	if (quiet)
		return;
	(void)printf("kernel     %s (%s)\n", r->version,
		human_bytes(r->kernel_bytes, a));
	(void)printf("initramfs  %s; unpacked %s, and %s for %u drivers\n",
		human_bytes(r->initramfs_bytes, a),
		human_bytes(r->other_bytes, b), human_bytes(r->module_bytes, c),
		r->modules);
	(void)printf("host key   %s\n\n", r->fingerprint);
	(void)printf("To boot a machine with it:\n");
	(void)printf("  network      serve the folder by HTTP or TFTP and have "
		     "iPXE boot rescue.ipxe\n");
	if (!o->no_media) {
		(void)printf(
			"  CD, virtual  %s/rescue.iso (BIOS and UEFI)\n", to);
		(void)printf("  disk, cloud  %s/rescue.img (the same, by dd or "
			     "as the disk's image)\n",
			to);
	}
	(void)printf(
		"  QEMU         -kernel %s/kernel -initrd %s/initramfs \\\n"
		"               -append '%s'\n",
		to, to, r->cmdline);
	(void)printf("Then:\n"
		     "  ssh -o UserKnownHostsFile=%s/known_hosts root@ADDRESS\n"
		     "Who can read the initramfs, the ISO or the image has the "
		     "host's private key.\n",
		to);
}

static int print_result_json(
	const struct rescue_options *o, const struct rescue_result *r)
{
	print_json(json_pack("{s:s s:s s:s s:s s:s s:I s:I s:I s:I s:i s:b}",
		"event", "rescue", "folder", o->output, "version", r->version,
		"fingerprint", r->fingerprint, "cmdline", r->cmdline,
		"kernel_bytes", (json_int_t)r->kernel_bytes, "initramfs_bytes",
		(json_int_t)r->initramfs_bytes, "module_bytes",
		(json_int_t)r->module_bytes, "other_bytes",
		(json_int_t)r->other_bytes, "modules", (int)r->modules, "media",
		!o->no_media));
	return EXIT_DONE;
}

int cmd_rescue(const struct command *c, struct flags *f)
{
	struct rescue_result result;
	struct error err;

	f->rescue.output = f->output;
	if (!f->output)
		return usage_error(c, "a folder is wanted: -o DIR");
	if (rescue_build(&f->rescue, &result, &err) < 0) {
		print_error(f, &err);
		return EXIT_REFUSED;
	}
	if (f->json)
		return print_result_json(&f->rescue, &result);
	print_result(&f->rescue, &result, f->quiet);
	return EXIT_DONE;
}
