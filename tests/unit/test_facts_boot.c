/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "facts/grubcfg.h"

static struct grubcfg c;

static const struct grubcfg_item *read_cfg(const char *text, const char *preset)
{
	static char copy[65536];

	(void)snprintf(copy, sizeof(copy), "%s", text);
	grubcfg_read(copy, &c);
	return grubcfg_default(&c, preset ? preset : c.preset);
}

static const char debian[] =
	"if [ -s $prefix/grubenv ]; then\n  load_env\nfi\n"
	"if [ \"${next_entry}\" ] ; then\n"
	"   set default=\"${next_entry}\"\n   set next_entry=\n"
	"else\n   set default=\"0\"\nfi\n"
	"function load_video {\n  if [ x$x = xy ]; then\n    insmod a\n  "
	"fi\n}\n"
	"menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option "
	"'gnulinux-simple-1' {\n"
	"\tload_video\n\tset root='hd0,gpt1'\n"
	"\tif [ x$feature = xy ]; then\n"
	"\t  search --hint='hd0' 1\n\tfi\n"
	"\techo\t'Loading Linux 6.1 ...'\n"
	"\tlinux\t/boot/vmlinuz-6.1 root=UUID=1 ro  quiet a=\"b c\"\n"
	"\techo 'x'\n\tinitrd\t/boot/initrd.img-6.1\n}\n"
	"submenu 'Advanced options' $menuentry_id_option 'advanced-1' {\n"
	"\tmenuentry 'Linux 6.1' --id linux-6.1-1 {\n"
	"\t\tlinux /boot/vmlinuz-6.1 root=UUID=1\n\t}\n"
	"\tmenuentry 'Linux 5.10' --id linux-5.10-1 {\n"
	"\t\tlinux /boot/vmlinuz-5.10 root=UUID=1 \\\n\t\t single\n"
	"\t\tinitrd /boot/ucode.img /boot/initrd.img-5.10 $more\n\t}\n}\n"
	"menuentry \"it's {\" { linux /last ; initrd /i; }\n"
	"menuentry 'UEFI Firmware Settings' { fwsetup\n}\n";

static void grub(void **state)
{
	const struct grubcfg_item *i = read_cfg(debian, NULL);

	assert_string_equal(c.preset, "0");
	assert_int_equal(c.n, 6);
	assert_false(c.saved || c.bls || c.cut);
	assert_string_equal(i->title, "Debian GNU/Linux");
	assert_string_equal(i->id, "gnulinux-simple-1");
	assert_string_equal(i->kernel, "/boot/vmlinuz-6.1");
	assert_string_equal(i->initrd, "/boot/initrd.img-6.1");
	assert_string_equal(i->args, "root=UUID=1 ro quiet a=b c");
	assert_true(c.items[1].menu);
	assert_int_equal(c.items[3].parent, 1);
	assert_int_equal(c.items[3].index, 1);
	assert_string_equal(c.items[3].initrd, "/boot/initrd.img-5.10");
	assert_string_equal(c.items[3].args, "root=UUID=1 single");
	assert_string_equal(c.items[4].title, "it's {");
	assert_string_equal(c.items[4].kernel, "/last");
	assert_string_equal(c.items[4].initrd, "/i");
	assert_int_equal(c.items[4].parent, -1);
	assert_int_equal(c.items[4].index, 2);
	assert_string_equal(c.items[5].kernel, "");
}

static void defaults(void **state)
{
	static const struct {
		const char *preset, *kernel;
	} known[] = {{"1>1", "/boot/vmlinuz-5.10"},
		{"advanced-1>linux-5.10-1", "/boot/vmlinuz-5.10"},
		{"Advanced options>Linux 5.10", "/boot/vmlinuz-5.10"},
		{"1", "/boot/vmlinuz-6.1"}, {"2", "/last"},
		/* Leads nowhere: the first. */
		{"gone", "/boot/vmlinuz-6.1"}, {"9", "/boot/vmlinuz-6.1"},
		{"1>9", "/boot/vmlinuz-6.1"}, {">>>", "/boot/vmlinuz-6.1"},
		{"", "/boot/vmlinuz-6.1"}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		assert_string_equal(read_cfg(debian, known[i].preset)->kernel,
			known[i].kernel);
	(void)read_cfg("set default=\"${saved_entry}\"\nblscfg\n", NULL);
	assert_true(c.saved && c.bls);
	assert_null(read_cfg("", NULL));
	assert_null(read_cfg("submenu a {\n}\n", "0"));
	/* Xen: the hypervisor, the kernel, its initramfs. */
	assert_string_equal(read_cfg("menuentry x { multiboot2 /xen.gz\n"
				     "module2 /vmlinuz root=/dev/a\n"
				     "module2 --nounzip /initrd\n}",
				    "0")
				    ->initrd,
		"/initrd");
}

static void hostile(void **state)
{
	char *text = malloc(1 << 20);
	size_t n = 0;

	(void)read_cfg("menuentry 'open", NULL);
	(void)read_cfg("menuentry \"a\\", NULL);
	(void)read_cfg("}}}}}} { { } menuentry", NULL);
	assert_int_equal(c.n, 0);
	/* Menus in menus, more than are taken. */
	assert_non_null(text);
	for (int i = 0; i < 1000; i++)
		n += (size_t)sprintf(text + n, "submenu m%d {\n", i);
	grubcfg_read(text, &c);
	assert_int_equal(c.n, GRUBCFG_ITEMS_MAX);
	assert_true(c.cut);
	assert_null(grubcfg_default(&c, "0>0>0>0"));
	/* More words than are taken. */
	n = (size_t)sprintf(text, "menuentry x {\nlinux /k ");
	for (int i = 0; i < 100000; i++)
		n += (size_t)sprintf(text + n, "w ");
	(void)sprintf(text + n, "\n}\n");
	grubcfg_read(text, &c);
	assert_int_equal(c.n, 1);
	assert_string_equal(c.items[0].kernel, "/k");
	free(text);
}

static void others(void **state)
{
	char legacy[] = "default=1\ntimeout 5\n#x\ntitle A b\n root (hd0,0)\n"
			" kernel --no-mem-option /vmlinuz-1 root=/dev/sda3 ro\n"
			"title Two\nkernel (hd0,0)/vmlinuz-2 root=LABEL=/\n"
			"initrd /initrd-2.img  \n";
	char extlinux[] = "DEFAULT l0\nLABEL l0\n MENU LABEL x\n"
			  " KERNEL /vmlinuz\n APPEND root=/dev/vda1 ro "
			  "initrd=/initrd.img\nLABEL l1\nlinux ../k\n"
			  "initrd a.img,b.img\n";
	char bls[] = "title Red Hat (5.14) 9\nversion 5.14\n"
		     "linux /vmlinuz-5.14\ninitrd /initramfs-5.14.img "
		     "$tuned_initrd\noptions root=/dev/mapper/r-r ro "
		     "$tuned_params\nid x\n";
	const struct grubcfg_item *i;
	struct grubcfg_item item;

	grubcfg_read_legacy(legacy, &c);
	i = grubcfg_default(&c, c.preset);
	assert_int_equal(c.n, 2);
	assert_string_equal(c.items[0].kernel, "/vmlinuz-1");
	assert_string_equal(c.items[0].title, "A b");
	assert_string_equal(i->kernel, "(hd0,0)/vmlinuz-2");
	assert_string_equal(i->initrd, "/initrd-2.img");
	assert_string_equal(i->args, "root=LABEL=/");
	grubcfg_read_extlinux(extlinux, &c);
	i = grubcfg_default(&c, c.preset);
	assert_string_equal(i->kernel, "/vmlinuz");
	assert_string_equal(i->initrd, "/initrd.img");
	assert_string_equal(c.items[1].initrd, "b.img");
	grubcfg_read_bls(bls, &item);
	assert_string_equal(item.title, "Red Hat (5.14) 9");
	assert_string_equal(item.kernel, "/vmlinuz-5.14");
	assert_string_equal(item.initrd, "/initramfs-5.14.img");
	assert_string_equal(item.args, "root=/dev/mapper/r-r ro $tuned_params");
}

static void environment(void **state)
{
	static const char text[] = "# GRUB Environment Block\nsaved_entry=a b\n"
				   "kernelopts=root=x ro\nempty=\n####";
	char buf[8];

	assert_string_equal(
		grubcfg_env(text, "saved_entry", buf, sizeof(buf)), "a b");
	assert_string_equal(
		grubcfg_env(text, "kernelopts", buf, sizeof(buf)), "root=x ");
	assert_string_equal(grubcfg_env(text, "empty", buf, sizeof(buf)), "");
	assert_string_equal(grubcfg_env(text, "saved", buf, sizeof(buf)), "");
	assert_string_equal(grubcfg_env("", "saved", buf, sizeof(buf)), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grub),
		cmocka_unit_test(defaults),
		cmocka_unit_test(hostile),
		cmocka_unit_test(others),
		cmocka_unit_test(environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
