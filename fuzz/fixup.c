/* SPDX-License-Identifier: Apache-2.0 */
/* Rewriters of files of a moved system, which nobody vouches for: what they
 * make must be what they make of it again. The first byte chooses. */
#include "fuzz.h"

#include "fixup/kernelargs.h"
#include "fixup/nic.h"

static const char wish_text[] =
	"{\"root\": \"UUID=1234-abcd\", \"filesystems\": ["
	"{\"device\": \"/dev/vda2\", \"uuid\": \"1234-abcd\", \"mount\": "
	"\"/\"},"
	"{\"device\": \"/dev/dm-0\", \"logical\": \"/dev/mapper/a-b\"}]}";

static const char nic_text[] =
	"{\"addresses\": [\"192.0.2.5/24\", \"2001:db8::5/64\"], "
	"\"gateways\": [\"192.0.2.1\"], \"nameservers\": [\"192.0.2.53\"]}";

/* Among the rewriters below. */
enum { INTERFACES = 2, NETPLAN = 5 };

static json_t *wish, *lists;

static unit_rewrite_fn *const rewriters[] = {unit_rewrite_fstab,
	unit_rewrite_crypttab, nic_rewrite_interfaces, nic_rewrite_networkd,
	nic_rewrite_keyfile, nic_rewrite_netplan, nic_rewrite_ifcfg,
	nic_rewrite_rules};

static void rewrite(struct unit *u, unsigned which, bool dhcp, const char *text,
	struct edit *out)
{
	struct nic nic = {.name = "eth0",
		.mac = "52:54:00:aa:bb:cc",
		.target_mac = "52:54:00:dd:ee:ff",
		.map = !dhcp,
		.dhcp = dhcp,
		.addresses = json_object_get(lists, "addresses"),
		.gateways = json_object_get(lists, "gateways"),
		.nameservers = json_object_get(lists, "nameservers")};
	struct nic_list nics = {&nic, 1};
	struct kernelargs_fn fn = {.rewrite = unit_rewrite_root};

	if (which >= ARRAY_LEN(rewriters))
		fuzz_check(kernelargs_rewrite(u,
				   (enum kernelargs_kind)(
					   which - ARRAY_LEN(rewriters)),
				   text, out, &fn) == 0);
	else
		fuzz_check(rewriters[which](u, text, out,
				   which == ARRAY_LEN(rewriters) - 1
					   ? (void *)&nics
					   : (void *)&nic) == 0);
	fuzz_check(!out->oom);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct edit first = {0}, second = {0};
	struct unit u = {.name = "fuzz"};
	unsigned which;
	char *text;

	if (!wish) {
		wish = json_loads(wish_text, 0, NULL);
		lists = json_loads(nic_text, 0, NULL);
		fuzz_check(wish && lists);
	}
	if (n == 0)
		return 0;
	which = (data[0] & 0x7f) % (ARRAY_LEN(rewriters) + KERNELARGS_KINDS);
	text = fuzz_text(data + 1, n - 1);
	u.wish = wish;
	u.changes = json_array();
	u.warnings = json_array();
	rewrite(&u, which, data[0] & 0x80, text, &first);
	rewrite(&u, which, data[0] & 0x80, edit_string(&first), &second);
	/* These two have blocks; what belongs to none of them may be taken for
	 * a part of what comes to stand before it. */
	fuzz_check(which == INTERFACES || which == NETPLAN ||
		   strcmp(edit_string(&first), edit_string(&second)) == 0);
	fuzz_check(json_array_size(u.changes) == 0 && !u.oom);
	edit_done(&first);
	edit_done(&second);
	json_decref(u.changes);
	json_decref(u.warnings);
	free(text);
	return 0;
}
