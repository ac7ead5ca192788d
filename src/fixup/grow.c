/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in a partition that has grown grows at the first boot, by the moved
 * system's own programs: the physical volume of LVM, the logical volume, the
 * filesystem. The end of the first boot runs the script (marker.c). */
#include "fixup/unit.h"

#include <errno.h>
#include <string.h>

/* All that is in it was checked to be words (wish.c). Free extents that a group
 * had before stay free; how many is written down first, so that it can all be
 * done again. */
static const char head[] =
	"#!/bin/sh\n"
	"# " UNIT_MADE_BY "\n"
	"# Grows what lies on disks that are larger than those of the source.\n"
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
	"export PATH\n"
	"state=/var/lib/rehost\n"
	"mkdir -p $state\n"
	"\n"
	"free() {\n"
	"\tvgs --noheadings -o vg_free_count \"$1\" | tr -d ' '\n"
	"}\n"
	"\n"
	"# UUID GROUP VOLUME\n"
	"grow_volume() {\n"
	"\tdevice=$(blkid -U \"$1\") && [ -n \"$device\" ] || return\n"
	"\t[ -s \"$state/free-$2\" ] || free \"$2\" >\"$state/free-$2\"\n"
	"\tbefore=$(cat \"$state/free-$2\")\n"
	"\t[ -n \"$before\" ] && pvresize \"$device\" || return\n"
	"\tmore=$(($(free \"$2\") - before))\n"
	"\t[ $more -le 0 ] || lvextend -l \"+$more\" \"$3\"\n"
	"}\n"
	"\n"
	"# TYPE MOUNT DEVICE\n"
	"grow_filesystem() {\n"
	"\t[ -n \"$3\" ] || return\n"
	"\tcase $1 in\n"
	"\text?) resize2fs \"$3\" ;;\n"
	"\txfs) xfs_growfs \"$2\" ;;\n"
	"\tbtrfs) btrfs filesystem resize max \"$2\" ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"say() {\n"
	"\tif [ \"$2\" = 0 ]; then\n"
	"\t\techo \"rehost: $1 has grown\"\n"
	"\telse\n"
	"\t\techo \"rehost: $1 could not grow ($2)\"\n"
	"\tfi\n"
	"}\n"
	"\n";

static void write_one(struct edit *out, const json_t *o)
{
	const char *mount = unit_text(o, "mount");
	const char *type = unit_text(o, "type");

	edit_put(out, "r=0\n");
	if (unit_text(o, "physical")[0])
		edit_put(out,
			"grow_volume %s %s %s || r=$?\n"
			"[ $r != 0 ] || grow_filesystem %s %s %s || r=$?\n",
			unit_text(o, "physical"), unit_text(o, "group"),
			unit_text(o, "logical"), type, mount,
			unit_text(o, "logical"));
	else
		edit_put(out,
			"grow_filesystem %s %s \"$(blkid -U %s)\" || r=$?\n",
			type, mount, unit_text(o, "uuid"));
	edit_put(out, "say %s $r\n", mount);
}

int unit_grow(struct unit *u)
{
	CLEANUP(edit_done) struct edit out = {0};
	const json_t *list = json_object_get(u->wish, "grow"), *o;
	size_t i;

	if (json_array_size(list) == 0)
		return 0;
	edit_text(&out, head);
	edit_put(&out, "{\n");
	json_array_foreach(list, i, o) write_one(&out, o);
	edit_put(&out, "} >$state/grown 2>&1\ncat $state/grown\n"
		       "rm -f $state/free-* " UNIT_GROW "\n");
	if (out.oom)
		return unit_failed(u, -ENOMEM, UNIT_GROW);
	return unit_put(u, UNIT_GROW, edit_string(&out), 0755,
		"filesystems grow at the first boot");
}
