/* SPDX-License-Identifier: Apache-2.0 */
/* The list of disks that LVM looks at (lvmdevices(8), RHEL 9): it knows them by
 * serial or WWN, and would find no volume group on the new ones. Without the
 * list it looks at all. */
#include "fixup/unit.h"

int unit_lvm(struct unit *u)
{
	static const char path[] = "/etc/lvm/devices/system.devices";
	int r;

	if (!tree_is_file(u->tree, path))
		return 0;
	r = unit_keep_old(u, path);
	return r < 0 ? r
		     : unit_remove(u, path,
			       "LVM looks at all disks, not only at those of "
			       "the old machine");
}
