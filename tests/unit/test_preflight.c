/* SPDX-License-Identifier: Apache-2.0 */
#include "unit_json.h"

#include <errno.h>

#include "base/io.h"
#include "move/preflight.h"
#include "move/takeover_network.h"
#include "preflight_facts.h"

#define DISK(name, size, more)                                                 \
	"{'name':'" name "','path':'/dev/" name "','kind':'disk',"             \
	"'logical':512,'size':" size more "}"
#define ONE_DISK(more)                                                         \
	"{'disks':[" DISK("vda", "10737418240",                                \
		",'serial':'T1','id':'serial:T1'" more) "]}"
#define DRIVER(in)                                                             \
	"{'drivers':[{'modalias':'" BLK "','module':'virtio_blk',"             \
	"'in':'" in "'},{'modalias':'" BLK_PCI "','module':'virtio_pci',"      \
	"'in':'builtin'},{'modalias':'" NET                                    \
	"','module':'virtio_net','in':'builtin'}]}"
#define FIRMWARE(mode) "{'system':{'firmware':{'mode':'" mode "'"
#define FSTAB(line) "{'fstab':[{'line':3," line "}]}"
#define UNDRIVEN(modalias)                                                     \
	"{'drivers':[{'modalias':'" modalias "','in':'none'}]}"
#define ON_WAY(modalias, more)                                                          \
	"{'disks':[" DISK("vda", "10737418240",                                         \
		",'serial':'T1','driver_path':['0000:00:14.0','2-1:1.0']") "]"          \
									   ","          \
									   "'"          \
									   "d"          \
									   "e"          \
									   "v"          \
									   "i"          \
									   "c"          \
									   "e"          \
									   "s"          \
									   "'"          \
									   ":"          \
									   "["          \
									   "{"          \
									   "'"          \
									   "a"          \
									   "d"          \
									   "d"          \
									   "r"          \
									   "e"          \
									   "s"          \
									   "s"          \
									   "'"          \
									   ":"          \
									   "'"          \
									   "0"          \
									   "0"          \
									   "0"          \
									   "0"          \
									   ":"          \
									   "0"          \
									   "0"          \
									   ":"          \
									   "1"          \
									   "4"          \
									   "."          \
									   "0"          \
									   "'"          \
									   ","          \
									   "'"          \
									   "k"          \
									   "i"          \
									   "n"          \
									   "d"          \
									   "'"          \
									   ":"          \
									   "'"          \
									   "o"          \
									   "t"          \
									   "h"          \
									   "e"          \
									   "r"          \
									   "'"          \
									   ","          \
									   "'"          \
									   "m"          \
									   "o"          \
									   "d"          \
									   "a"          \
									   "l"          \
									   "i"          \
									   "a"          \
									   "s"          \
									   "'"          \
									   ":"          \
									   "'" modalias \
									   "'"          \
									   "," more     \
									   "}"          \
									   "]"          \
									   "}"
#define CLOUD "'kernels':[{'release':'6.1.0-9-cloud-amd64','default':true}]"
#define TWO_SMALL                                                              \
	DISK("vda", "10737418240", ",'serial':'A'")                            \
	"," DISK("vdb", "10737418240", ",'serial':'B'")

#define COPY(name)                                                             \
	DISK(name, "10737418240", ",'id':'uuid:U','content':{'type':'ext4'}")
#define COPIES COPY("vda") "," COPY("vdb")

#define MIRROR                                                                 \
	"{'name':'md0','kind':'md','parents':['vda2','vdb2'],"                 \
	"'md':{'devices':2,'metadata':'1.2','action':'idle'}},"                \
	"{'name':'vda','kind':'disk','size':1},"                               \
	"{'name':'vda2','kind':'part','parents':['vda']},"                     \
	"{'name':'vdb2','kind':'part','parents':['vdb']}"

#define WHOLE(metadata, size)                                                  \
	"{'disks':[{'name':'md0','kind':'md','parents':['vda'],"               \
	"'md':{'metadata':'" metadata                                          \
	"'}},{'name':'vda','kind':'disk','size':" size "}]}"

#define KERNEL(release) "{'system':{'kernel':{'release':'" release "'}}}"

#define FOUR                                                                   \
	DISK("a", "1", "")                                                     \
	"," DISK("b", "1", "") "," DISK("c", "1", "") "," DISK("d", "1", "")
#define SIXTEEN FOUR "," FOUR "," FOUR "," FOUR
#define SIXTY_FOUR SIXTEEN "," SIXTEEN "," SIXTEEN "," SIXTEEN
#define SIXTY_FIVE SIXTY_FOUR "," DISK("e", "1", "")

static const char *const ours[] = {"serial:T1", NULL};
static const char *const by_id[] = {"uuid:U", NULL};
static const char *const by_name[] = {"vda/uuid:U", NULL};
static const struct takeover_reach at_it = {.at = "10.0.2.16",
					   .from = "10.0.2.2"},
				   elsewhere = {.at = "10.9.9.9",
					   .from = "10.0.2.2"},
				   not_at_all = {.at = "", .from = ""};
static const struct preflight_login known = {true, 1, true},
				    other = {true, 0, true},
				    unsure = {true, 0, false},
				    none = {false, 0, true};
static const struct preflight_wish
	takeover = {.takeover = true},
	near = {.takeover = true, .reach = &at_it},
	far = {.takeover = true, .reach = &elsewhere},
	by_known = {.takeover = true, .login = &known},
	by_other = {.takeover = true, .login = &other},
	by_unsure = {.takeover = true, .login = &unsure},
	by_none = {.takeover = true, .login = &none},
	wish_copied = {.stays = true}, overwrite = {.overwrite = ours},
	fresh = {.new_addresses = true}, slow = {.link_bytes_s = 1000000},
	middling = {.link_bytes_s = 1900000},
	fast = {.link_bytes_s = 100000000},
	clocks = {.source_asked_ms = 1700000000000,
		.target_asked_ms = 1700000000000};
static const struct preflight_disk to_b[] = {{"vda", "serial:B"}},
				   to_nothing[] = {{"vda", "vdz"}},
				   to_part[] = {{"vda", "vda1"}},
				   to_copy[] = {{"vda", "uuid:U"}},
				   to_vda[] = {{"vda", "vda"}},
				   without_b[] = {{"vda", "vda"},
					   {"vdb", NULL}},
				   nothing[] = {{NULL, NULL}},
				   stays[] = {{"serial:S1", NULL}};
static const struct preflight_wish
	wish_b = {.disks = to_b, .n_disks = 1},
	wish_mirror = {.disks = without_b, .n_disks = 2},
	wish_nothing = {.disks = to_nothing, .n_disks = 1},
	wish_part = {.disks = to_part, .n_disks = 1},
	wish_copy = {.disks = to_copy, .n_disks = 1},
	overwrite_copy = {.disks = to_vda, .n_disks = 1, .overwrite = by_id},
	overwrite_named = {.disks = to_vda, .n_disks = 1, .overwrite = by_name},
	same_disk = {.disks = to_vda, .n_disks = 1},
	not_chosen = {.disks = nothing, .n_disks = 1}, /* no wish at all */
	wish_stays = {.disks = stays, .n_disks = 1},
	wish_fits = {.fits_loader = true}, stays_there = {.stays = true};

/* What is changed in the two machines, and what is then found. */
static const struct {
	const char *name, *severity; /* NULL: not found */
	const char *source, *target; /* NULL: as above; "": no target */
	const struct preflight_wish *wish;
	const char *fact; /* part of it, or of the remedy */
} cases[] = {
	{"no-root", "blocks", "{'root':false}"},
	{"no-root", "blocks", NULL, "{'root':false}"},
	{"not-known", "notes", "{'boot':null}", NULL, NULL, "which kernel"},
	{"not-known", NULL, NULL, ""},
	{"same-machine", "blocks", NULL, "{'system':{'boot_id':'b1'}}"},
	{"same-machine", "notes", NULL, "{'system':{'machine_id':'a1'}}"},
	{"architecture", "blocks", NULL,
		"{'system':{'architecture':'aarch64'}}"},
	{"architecture", NULL, "{'system':{'architecture':'i686'}}"},
	{"container", "blocks",
		"{'system':{'virtualization':{'container':'lxc'}}}", "", NULL,
		"lxc"},
	{"container", "blocks", NULL,
		"{'system':{'virtualization':{'container':'docker'}}}"},
	{"too-little-memory", "blocks", NULL, "{'memory':{'total':134217728}}",
		NULL, "128.0 MiB"},
	{"too-little-memory", NULL, NULL, "{'memory':{'total':230000000}}"},
	{"too-little-memory", "blocks", NULL, "{'memory':{'total':230000000}}",
		&takeover, "512"},
	{"kexec-forbidden", NULL, NULL,
		"{'system':{'kexec':{'disabled':true}}}"},
	{"kexec-forbidden", "blocks", NULL,
		"{'system':{'kexec':{'disabled':true}}}", &takeover},
	{"kexec-forbidden", "blocks", NULL,
		"{'system':{'kexec':{'supported':false}}}", &takeover},
	{"kexec-forbidden", "blocks", NULL,
		"{'system':{'kernel':{'lockdown':'integrity'}}}", &takeover},
	{"kexec-forbidden", "blocks", NULL,
		"{'system':{'virtualization':{'machine':'xen-pv'}}}",
		&takeover},
	{"kexec-forbidden", NULL, NULL, NULL, &takeover},
	{"takeover-login", NULL, NULL, NULL, &by_known},
	{"takeover-login", NULL, NULL, NULL, &near},
	{"takeover-login", "blocks", NULL, NULL, &by_other, "none of the keys"},
	{"takeover-login", "warns", NULL, NULL, &by_unsure, "is not known"},
	{"takeover-login", "warns", NULL, NULL, &by_none, "is not known"},
	{"takeover-network", NULL, NULL, NULL, &near},
	{"takeover-network", "blocks", NULL, NULL, &far, "10.9.9.9"},
	{"takeover-network", "notes", NULL,
		"{'network':{'interfaces':[{'name':'eth0','kind':'ethernet',"
		"'mac':'52:54:00:00:00:02','address':'0000:00:05.0',"
		"'addresses':['10.0.2.16/24'],"
		"'dynamic_addresses':['10.0.2.16/24']}]}}",
		&near, "10.0.2.16/24 has come by DHCP"},
	{"takeover-network", "warns", NULL,
		"{'network':{'interfaces':[{'name':'eth0','kind':'ethernet',"
		"'mac':'52:54:00:00:00:02','address':'0000:00:05.0',"
		"'addresses':['10.0.2.16/24']},{'name':'wg0',"
		"'kind':'wireguard','addresses':['10.8.0.1/24']}]}}",
		&near, "10.8.0.1/24 (wg0, wireguard)"},
	{"takeover-disk", "warns", NULL,
		"{'disks':[{'name':'nbd0','kind':'disk'}]}", &near, "nbd0"},
	{"takeover-disk", "warns", NULL,
		"{'disks':[{'name':'sda','kind':'disk','driver_path':"
		"['2:0:0:0']}],'devices':[{'address':'2:0:0:0',"
		"'bus':'scsi'}]}",
		&near, "sda comes over the network (iSCSI"},
	{"takeover-disk", NULL, NULL,
		"{'disks':[{'name':'sda','kind':'disk','driver_path':"
		"['0000:00:05.0','2:0:0:0']}],'devices':[{'address':"
		"'0000:00:05.0','bus':'pci'},{'address':'2:0:0:0',"
		"'bus':'scsi'}]}",
		&near},
	{"takeover-disk", NULL, NULL,
		"{'disks':[{'name':'nbd0','kind':'disk'}]}"},
	{"network-disk", "blocks",
		"{'disks':[{'name':'sda','kind':'disk','size':1,"
		"'driver_path':['2:0:0:0']}],'devices':[{'address':"
		"'2:0:0:0','bus':'scsi'}]}",
		"", NULL, "sda comes over the network (iSCSI"},
	{"network-disk", NULL,
		"{'disks':[{'name':'sda','kind':'disk','size':1,"
		"'driver_path':['0000:00:05.0','2:0:0:0']}],'devices':["
		"{'address':'0000:00:05.0','bus':'pci'},"
		"{'address':'2:0:0:0','bus':'scsi'}]}",
		""},
	{"network-disk", NULL,
		"{'disks':[{'name':'sda','kind':'disk','size':1,"
		"'driver_path':['2:0:0:0']}],'devices':[{'address':"
		"'2:0:0:0','bus':'scsi'}]}",
		"", &wish_copied},
	{"network-disk", "warns",
		"{'disks':[{'name':'nbd0','kind':'other','size':1}]}", "", NULL,
		"nbd0 comes over the network (NBD) and stays"},
	{"network-disk", NULL,
		"{'disks':[{'name':'nbd0','kind':'other','size':0}]}", ""},
	{"old-kernel", NULL, KERNEL("5.9.0"), ""},
	{"old-kernel", NULL, KERNEL("6.1.0-9-amd64"), ""},
	{"old-kernel", NULL, KERNEL("10.0"), ""},
	{"old-kernel", NULL, KERNEL("five"), ""},
	{"old-kernel", "blocks", KERNEL("5.8.18"), "", NULL, "5.8.18"},
	{"old-kernel", "blocks", KERNEL("4.19.0-27-amd64"), ""},
	{"old-kernel", "warns", KERNEL("4.18.0-553.el8_10.x86_64"), ""},
	{"old-kernel", NULL, KERNEL("4.19.0-27-amd64"), "", &wish_copied},
	{"clock-off", NULL, NULL, NULL, &clocks},
	{"clock-off", "warns", "{'system':{'clock':{'now_ms':1700000100000}}}",
		"", &clocks, "100 s ahead"},
	{"clock-off", "warns", NULL,
		"{'system':{'clock':{'now_ms':1699999000000}}}", &clocks,
		"1000 s behind"},
	{"clock-off", NULL, "{'system':{'clock':{'now_ms':1}}}"},
	{"databases-running", "notes",
		"{'databases':[{'kind':'redis','running':true,"
		"'data':'/var/lib/redis'}]}",
		NULL, NULL, "/var/lib/redis"},

	{"boot-mode-mismatch", "blocks", NULL, FIRMWARE("uefi") "}}}"},
	{"boot-mode-mismatch", "warns", "{'boot':{'esp':{'files':['a.efi']}}}",
		FIRMWARE("uefi") "}}}"},
	{"boot-mode-mismatch", "warns", FIRMWARE("uefi") "}}}"},
	{"boot-mode-mismatch", "blocks",
		"{'boot':{'mbr':[{'boot_code':'none'}]},'system':{'firmware':"
		"{'mode':'uefi'}}}"},
	{"no-boot-loader", "warns", "{'boot':{'loader':'none'}}"},
	{"no-boot-loader", "warns", "{'boot':{'loader':'unknown'}}"},
	{"no-boot-loader", "blocks", "{'boot':{'loader':'none'}}", NULL,
		&wish_fits, "its host starts"},
	{"no-room", "blocks",
		"{'filesystems':[{'mount':'/"
		"','size':4194304,'used':1,'free':0}]}"},
	{"no-room", "warns",
		"{'filesystems':[{'mount':'/','size':1,'used':1}]}", NULL,
		&stays_there},
	{"no-room", NULL,
		"{'filesystems':[{'mount':'/','size':4194304,'used':0}]}"},
	{"no-room", "warns",
		"{'filesystems':[{'mount':'/','size':9,'used':10},{'mount':'/"
		"boot',"
		"'free':1048576}],'drivers':[{'modalias':'" BLK "',"
		"'module':'virtio_blk','in':'modules'}]}",
		NULL, NULL, "/boot has 1.0 MiB free"},
	{"no-efi-fallback", "warns",
		"{'boot':{'esp':{'files':['EFI/debian/grubx64.efi']}},"
		"'system':{'firmware':{'mode':'uefi'}}}",
		""},
	{"no-efi-fallback", NULL,
		"{'boot':{'esp':{'files':['EFI/Boot/bootx64.efi']}},"
		"'system':{'firmware':{'mode':'uefi'}}}",
		""},
	{"no-efi-fallback", "warns",
		"{'boot':{'esp':{'files':['EFI/BOOT/BOOTIA32.EFI',"
		"'EFI/BOOT/BOOTAA64.EFI']}},"
		"'system':{'firmware':{'mode':'uefi'}}}",
		"", NULL, "has no EFI/BOOT/BOOTX64.EFI"},
	{"no-efi-fallback", NULL,
		"{'boot':{'esp':{'files':['EFI/BOOT/BOOTAA64.EFI']}},"
		"'system':{'architecture':'aarch64',"
		"'firmware':{'mode':'uefi'}}}",
		""},
	/* Nobody could look. */
	{"no-efi-fallback", "warns",
		"{'boot':{'esp':{'disk':'vda1'}},"
		"'system':{'firmware':{'mode':'uefi'}}}",
		"", NULL, "is not mounted, so nobody"},
	{"no-efi-fallback", "warns", FIRMWARE("uefi") "}}}", "", NULL,
		"no EFI system partition of it is known"},
	{"boot-mode-mismatch", "blocks", "{'boot':{'esp':{'disk':'vda1'}}}",
		FIRMWARE("uefi") "}}}", NULL, "is not mounted"},
	{"secure-boot", "warns", "{'boot':{'esp':{'disk':'vda1'}}}",
		FIRMWARE("bios") ",'secure_boot':true}}}", NULL,
		"is not known: its EFI"},
	{"secure-boot", "blocks", NULL,
		FIRMWARE("bios") ",'secure_boot':true}}}"},
	{"secure-boot", "warns",
		"{'boot':{'esp':{'files':['EFI/debian/shimx64.efi']}}}",
		FIRMWARE("bios") ",'secure_boot':true}}}"},
	{"secure-boot", NULL, FIRMWARE("bios") ",'secure_boot':true}}}",
		FIRMWARE("bios") ",'secure_boot':true}}}"},
	{"secure-boot", "warns", FIRMWARE("bios") ",'secure_boot':true}}}",
		FIRMWARE("bios") ",'secure_boot':true}}}", &takeover},
	{"unstable-root-name", "warns",
		"{'boot':{'default':{'root':'/dev/vda1'}}}"},
	{"unstable-root-name", "blocks",
		"{'boot':{'default':{'root':'/dev/sda1'}}}", NULL, NULL,
		"called otherwise"},
	{"unstable-root-name", "warns",
		"{'boot':{'default':{'root':null,"
		"'command_line':'ro root=/dev/xvda1 quiet'}}}",
		"", NULL, "root=/dev/xvda1,"},
	{"unstable-name", "warns",
		FSTAB("'spec':'/dev/sdb1','names':'unstable'"), NULL, NULL,
		"line 3: /dev/sdb1"},
	{"unstable-name", "notes",
		FSTAB("'spec':'/dev/sr0','names':'unstable',"
		      "'options':'noauto,user'")},
	{"unstable-name", "warns",
		"{'crypttab':[{'device':'/dev/disk/by-path/p',"
		"'names':'path'}]}",
		NULL, NULL, "crypttab"},

	{"no-storage-driver", "blocks", DRIVER("none"), NULL, NULL, BLK},
	{"no-storage-driver", "warns", DRIVER("modules"), NULL, NULL,
		"not in its initramfs"},
	{"no-storage-driver", NULL, DRIVER("builtin")},
	{"no-storage-driver", NULL, "{'drivers':null}"},
	/* A disk of USB, a card, a bridge before them, and what is elsewhere.
	 */
	{"no-storage-driver", "blocks", UNDRIVEN("pci:usb"),
		ON_WAY("pci:usb", "'driver':'xhci_hcd','class':'0x0c0330'"),
		NULL, "drives its controller 0000:00:14.0 (pci:usb; there"},
	{"no-storage-driver", "warns",
		"{'drivers':[{'modalias':'pci:usb','module':'xhci_pci',"
		"'in':'modules'}]}",
		ON_WAY("pci:usb", "'driver':'xhci_hcd','class':'0x0c0330'"),
		NULL, "add xhci_pci"},
	{"no-storage-driver", NULL, UNDRIVEN("pci:usb"),
		ON_WAY("pci:usb", "'driver':'pcieport','class':'0x060400'")},
	{"no-storage-driver", NULL, UNDRIVEN("pci:usb"),
		ON_WAY("pci:usb", "'class':'0x088000'")},
	{"no-storage-driver", NULL, UNDRIVEN("pci:usb"),
		"{'devices':[{'address':'0000:00:15.0','kind':'other',"
		"'modalias':'pci:usb','driver':'xhci_hcd'}]}"},
	{"no-network-driver", "blocks", UNDRIVEN("pci:usb"),
		"{'devices':[{'address':'0000:00:14.0','kind':'other',"
		"'modalias':'pci:usb','driver':'xhci_hcd'}],'network':"
		"{'interfaces':[{'name':'eth0','carrier':true,'driver_path':"
		"['0000:00:14.0','1-1:1.0']}]}}",
		NULL, "drives its controller 0000:00:14.0"},
	{"no-network-driver", "blocks",
		"{'drivers':[{'modalias':'" NET "','in':'none'}]}", NULL, NULL,
		"network controller virtio2"},
	{"no-network-driver", NULL,
		"{'drivers':[{'modalias':'" NET "','in':'none'}]}",
		"{'network':{'interfaces':[{'name':'eth1','carrier':false,"
		"'driver_path':['virtio2']}]}}"},
	{"drivers-unknown", "notes", "{'drivers':null}", NULL, NULL, "3 of"},
	{"drivers-unknown", NULL, "{'drivers':null}",
		"{'devices':[{'kind':'storage','modalias':'y',"
		"'address':'virtio1','module':'virtio_blk'}]}"},
	{"drivers-unknown", "notes", NULL, "{'devices':null}"},
	{"cloud-kernel", "notes", "{" CLOUD "}", "", NULL, "linux-image-amd64"},
	{"cloud-kernel", NULL, "{" CLOUD "}"},
	{"cloud-kernel", "blocks",
		"{" CLOUD ",'drivers':[{'modalias':'" BLK "','in':'none'}]}",
		NULL, NULL, "linux-image-amd64"},
	{"modules-gone", "warns", "{'system':{'kernel':{'modules_dir':false}}}",
		""},

	{"no-source-disk", "blocks", "{'disks':[]}", "", &wish_b,
		"no disk vda"},
	{"no-source-disk", NULL, NULL, "", &wish_b},
	{"no-source-disk", "blocks", "{'disks':null}", NULL, &not_chosen,
		"is known"},
	{"no-source-disk", "blocks", "{'disks':[]}", "", &not_chosen,
		"is known"},
	{"no-source-disk", "blocks", NULL, NULL, &wish_stays, "to be moved"},
	{"too-many-disks", "blocks", "{'disks':[" SIXTY_FIVE "]}", "", NULL,
		"65 disks"},
	{"too-many-disks", NULL, "{'disks':[" SIXTY_FOUR "]}", ""},
	{"no-target-disk", "blocks", NULL, "{'disks':[]}", &not_chosen,
		"no disk as large as the source's /dev/vda"},
	{"no-target-disk", "blocks", NULL, NULL, &not_chosen, "1 is as large"},
	{"no-target-disk", "blocks", NULL, "{'disks':[" TWO_SMALL "]}",
		&not_chosen, "2 are as large"},
	{"no-target-disk", "blocks", "{'disks':[" TWO_SMALL "]}", NULL, NULL,
		"/dev/vdb"},
	{"no-target-disk", "blocks", NULL, "{'disks':[]}", &wish_stays,
		"no disk of it"},
	{"no-target-disk", NULL, NULL, NULL, &wish_stays},
	{"target-disk-too-small", "blocks", NULL,
		"{'disks':[" DISK("vda", "10737417728", "") "]}", NULL,
		"512 bytes too few"},
	{"target-disk-unfit", "blocks", NULL, NULL, &wish_nothing, "vdz"},
	{"target-disk-unfit", "blocks", NULL,
		"{'disks':[{'name':'vda1','kind':'part','size':10737418240}]}",
		&wish_part, "no whole disk"},
	{"target-disk-unfit", "blocks", NULL,
		"{'disks':[" DISK("vdb", "10737418240",
			",'serial':'B','readonly':true") "]}",
		&wish_b, "read-only"},
	{"target-disk-unfit", "blocks", NULL,
		"{'disks':[" DISK("vdb", "10737418240",
			",'serial':'B','removable':true") "]}",
		&wish_b, "removable"},
	{"target-disk-unfit", NULL, NULL, "{'disks':[" TWO_SMALL "]}", &wish_b},
	{"target-disk-unfit", "blocks", NULL, "{'disks':[" COPIES "]}",
		&wish_copy, "several disks are called so"},
	{"target-disk-ambiguous", NULL, NULL, "{'disks':[" TWO_SMALL "]}",
		&wish_b},
	{"target-disk-ambiguous", "warns", NULL,
		"{'disks':[" DISK("vda", "10737418240", "") "," DISK(
			"vdb", "99999999999", "") "]}",
		NULL, "serial number"},
	{"target-disk-ambiguous", NULL, NULL,
		"{'disks':[" DISK("vda", "10737418240", ",'wwn':'w'") "," DISK(
			"vdb", "99999999999", "") "]}"},
	{"target-disk-in-use", "blocks", NULL,
		"{'disks':[" DISK("vda", "10737418240",
			"") ","
			    "{'name':'vda1','kind':'part','parents':['vda']},"
			    "{'name':'dm-0','kind':'lvm','parents':['vda1']}],"
			    "'filesystems':[{'mount':'/srv','disk':'dm-0'}]}",
		NULL, "/srv"},
	{"target-disk-in-use", "blocks", NULL, "{'swap':[{'disk':'vda'}]}",
		NULL, "swap"},
	{"target-disk-in-use", NULL, NULL, "{'swap':[{'disk':'vda'}]}",
		&takeover},
	{"target-disk-in-use", NULL, NULL, "{'swap':[{'disk':'vdb'}]}"},
	{"target-disk-not-empty", "blocks", NULL,
		ONE_DISK(",'content':{'type':'ext4'}"), NULL,
		"--overwrite serial:T1"},
	{"target-disk-not-empty", "notes", NULL,
		ONE_DISK(",'content':{'type':'ext4'}"), &overwrite,
		"destroyed"},
	{"target-disk-not-empty", "blocks", NULL, "{'disks':[" COPIES "]}",
		&overwrite_copy, "--overwrite vda/uuid:U"},
	{"target-disk-not-empty", "notes", NULL, "{'disks':[" COPIES "]}",
		&overwrite_named, "destroyed"},
	{"target-disk-not-empty", "blocks", NULL,
		ONE_DISK(",'table':{'kind':'gpt'}"), NULL, "a table (gpt)"},
	{"target-disk-not-empty", "blocks", NULL,
		ONE_DISK(",'table':{'error':'x'}"), NULL, "makes no sense"},
	{"target-disk-not-empty", "blocks", NULL,
		ONE_DISK(",'unreadable':true"), NULL, "could not be read"},
	{"target-disk-not-empty", "warns", NULL, "{'root':false}"},
	{"sector-size", "blocks", NULL, ONE_DISK(",'logical':4096"), NULL,
		"4096"},

	{"unsupported-part", "blocks",
		"{'filesystems':[{'mount':'/d','type':'btrfs',"
		"'devices':['vda','vdb']}]}",
		"", NULL, "2 disks"},
	{"unsupported-part", NULL,
		"{'filesystems':[{'mount':'/d','type':'btrfs',"
		"'devices':['vda']}]}"},
	{"unsupported-part", "blocks",
		"{'filesystems':[{'mount':'/d','type':'zfs'}]}"},
	{"unsupported-part", "blocks",
		"{'filesystems':[{'mount':'/d','type':'ext4',"
		"'options':'rw,journal_path=/dev/vdb'}]}"},
	{"unsupported-part", "blocks",
		"{'disks':[{'name':'a','content':{'type':'zfs_member'}}]}"},
	{"unsupported-part", "warns",
		"{'disks':[{'name':'a','content':{'type':'crypto_LUKS'}}]}"},
	{"unsupported-part", "blocks",
		"{'disks':[{'name':'a','kind':'mpath'}]}"},
	{"unsupported-part", NULL,
		"{'disks':[" MIRROR ",{'name':'vdb','kind':'disk','size':1}]}"},
	{"unsupported-part", "blocks",
		"{'disks':[" MIRROR ",{'name':'vdb','kind':'loop','size':1}]}",
		"", NULL, "lies on vdb too"},
	{"unsupported-part", "blocks",
		"{'disks':[" MIRROR ",{'name':'vdb','kind':'disk','size':1}]}",
		"", &wish_mirror, "lies on vdb too"},
	{"unsupported-part", "blocks",
		"{'disks':[{'name':'md0','kind':'md',"
		"'md':{'metadata':'external:imsm'}}]}",
		"", NULL, "external:imsm"},
	{"unsupported-part", NULL,
		"{'disks':[{'name':'md0','kind':'md',"
		"'md':{'metadata':'1.2'}}]}"},
	{"unsupported-part", "blocks", WHOLE("1.0", "10"), ONE_DISK(""), NULL,
		"(1.0) at the disk's end"},
	{"unsupported-part", NULL, WHOLE("1.2", "10"), ONE_DISK("")},
	{"unsupported-part", NULL, WHOLE("1.0", "10737418240"), ONE_DISK("")},
	{"unsupported-part", "warns",
		"{'disks':[{'name':'a','lvm':{'vg':'v','lv':'p_tdata'}}]}"},
	{"unsupported-part", "notes",
		"{'swap':[{'path':'/swapfile','kind':'file'}]}", NULL, NULL,
		"/swapfile"},
	{"unsupported-part", "warns",
		FSTAB("'spec':'nas:/x','mount':'/x','type':'nfs4',"
		      "'names':'other'"),
		NULL, NULL, "nas:/x"},
	{"degraded-array", "warns",
		"{'disks':[{'path':'/dev/md0','md':{'degraded':1}}]}", "", NULL,
		"/dev/md0"},
	{"degraded-array", NULL,
		"{'disks':[{'path':'/dev/md0','md':{'degraded':0}}]}"},
	{"degraded-array", "blocks",
		"{'disks':[{'path':'/dev/md0','md':{'action':'recover'}}]}", "",
		NULL, "/dev/md0 is busy with itself (recover)"},
	{"degraded-array", NULL,
		"{'disks':[{'path':'/dev/md0','md':{'action':'check'}}]}"},

	{"network-address", "warns", NULL,
		"{'network':{'interfaces':[{'name':'eth0','kind':'ethernet',"
		"'address':'0','addresses':['10.0.3.16/24']}]}}",
		NULL, "10.0.2.15/24"},
	{"network-address", NULL, NULL,
		"{'network':{'interfaces':[{'name':'eth0','kind':'ethernet',"
		"'address':'0','addresses':['10.0.3.16/23']}]}}"},
	{"network-address", NULL, NULL,
		"{'network':{'interfaces':[{'name':'eth0','kind':'ethernet',"
		"'address':'0','addresses':['10.0.3.16/24']}]}}",
		&fresh},
	{"network-address", "warns", NULL,
		"{'network':{'interfaces':[{'name':'eth0','kind':'ethernet',"
		"'address':'0','addresses':['10.0.18.16/20']}]}}"},
	{"dynamic-address", "notes",
		"{'network':{'interfaces':[{'name':'eth0','dynamic':true,"
		"'dynamic_addresses':['10.0.2.15/24']}]}}",
		"", NULL, "10.0.2.15/24"},
	{"dynamic-address", NULL,
		"{'network':{'interfaces':[{'name':'eth0','dynamic':true}]}}",
		"", &fresh},
	{"fewer-interfaces", "warns", NULL, "{'network':{'interfaces':[]}}"},
	{"fewer-interfaces", NULL, NULL, "{'network':null}"},
	{"interface-name", "warns", NULL,
		"{'network':{'interfaces':[{'name':'ens3','kind':'ethernet',"
		"'address':'0','addresses':['10.0.2.16/24']}]}}",
		NULL, "eth0"},
	{"interface-name", "warns",
		"{'network':{'configured_by':[{'kind':'netplan',"
		"'interfaces':{'52:54:00:00:00:01':'dhcp'}}]}}",
		NULL, NULL, "52:54:00:00:00:01"},
	{"interface-name", NULL,
		"{'network':{'configured_by':[{'kind':'netplan',"
		"'interfaces':{'52:54:00:00:00:02':'dhcp','en*':'dhcp'}}]}}"},
	{"cloud-init", "warns",
		"{'network':{'configured_by':[{'kind':'cloud-init'}]}}", ""},
	{"cloud-init", NULL,
		"{'network':{'configured_by':[{'kind':'cloud-init',"
		"'active':false}]}}"},
	{"link-too-slow", "blocks", NULL, "", &slow, "never"},
	{"link-too-slow", "warns", NULL, "", &middling},
	{"link-too-slow", NULL, NULL, "", &fast},
	{"link-too-slow", NULL, "{'load':null}", "", &slow},
};

static json_t *machine(const char *text, const char *changes)
{
	json_t *j = load(text), *c = changes ? load(changes) : NULL;

	if (c)
		assert_int_equal(json_object_update_recursive(j, c), 0);
	json_decref(c);
	return j;
}

static const char *text_of(const json_t *f, const char *key)
{
	const char *s = json_string_value(json_object_get(f, key));

	assert_non_null(s);
	return s;
}

/* Each finding has all that the contract says. */
static void check_all(const json_t *findings)
{
	static const char order[] = "bwn";
	const char *at = order;
	const json_t *f;
	size_t i;

	assert_true(json_is_array(findings));
	json_array_foreach(findings, i, f)
	{
		const char *severity = text_of(f, "severity");
		const char *host = text_of(f, "host");

		assert_int_equal(json_object_size(f), 5);
		at = strchr(at, severity[0]);
		assert_non_null(at);
		assert_true(!strcmp(host, "source") || !strcmp(host, "target"));
		assert_in_range(strlen(text_of(f, "fact")), 1, 1024);
		assert_in_range(strlen(text_of(f, "remedy")), 1, 1024);
	}
}

static const json_t *find(const json_t *findings, const char *name,
	const char *severity, const char *part)
{
	const json_t *f;
	size_t i;

	json_array_foreach(findings, i,
		f) if (!strcmp(text_of(f, "name"), name) &&
		       (!severity ||
			       !strcmp(text_of(f, "severity"), severity)) &&
		       (!part || strstr(text_of(f, "fact"), part) ||
			       strstr(text_of(f, "remedy"), part))) return f;
	return NULL;
}

static void nothing_found(void **state)
{
	json_t *source = machine(source_text, NULL), *found;
	json_t *target = machine(target_text, NULL);
	char *text;

	assert_int_equal(preflight(source, target, &same_disk, &found), 0);
	text = json_dumps(found, 0);
	if (json_array_size(found) > 0)
		fail_msg("%s", text);
	free(text);
	json_decref(found);
	assert_int_equal(preflight(source, NULL, NULL, &found), 0);
	assert_int_equal(json_array_size(found), 0);
	json_decref(found);
	json_decref(source);
	json_decref(target);
}

static void one_by_one(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *source = machine(source_text, cases[i].source), *found;
		struct preflight_wish wish;
		json_t *target = NULL;
		char *text;

		if (!cases[i].target || cases[i].target[0])
			target = machine(target_text, cases[i].target);
		wish = cases[i].wish ? *cases[i].wish : same_disk;
		if (wish.n_disks == 0) {
			wish.disks = same_disk.disks;
			wish.n_disks = same_disk.n_disks;
		}
		assert_int_equal(
			preflight(source, target,
				wish.disks[0].source ? &wish : NULL, &found),
			0);
		check_all(found);
		text = json_dumps(found, 0);
		if (!find(found, cases[i].name, cases[i].severity,
			    cases[i].fact) != !cases[i].severity)
			fail_msg("case %zu, %s: %s", i, cases[i].name, text);
		free(text);
		json_decref(found);
		json_decref(source);
		json_decref(target);
	}
}

/* Every finding has a machine that triggers it; nothing_found has none. */
static void all_triggered(void **state)
{
	unsigned n = 0;

	for (; preflight_name(n); n++) {
		bool there = false;

		for (size_t i = 0; i < ARRAY_LEN(cases); i++)
			there = there || (cases[i].severity &&
						 !strcmp(cases[i].name,
							 preflight_name(n)));
		if (!there)
			fail_msg("nothing triggers %s", preflight_name(n));
	}
	assert_true(n >= 30);
}

/* With a target alone only what concerns a takeover is found. */
static void takeover_alone(void **state)
{
	static const struct {
		const char *changes, *name; /* NULL: nothing is found */
	} alone[] = {
		{NULL, NULL},
		{"{'root':false}", "no-root"},
		{"{'system':{'virtualization':{'container':'lxc'}}}",
			"container"},
		{"{'system':{'kernel':{'lockdown':'confidentiality'}}}",
			"kexec-forbidden"},
		{"{'memory':{'total':134217728}}", "too-little-memory"},
		{"{'network':{'interfaces':[]}}", "takeover-network"},
	};
	json_t *target, *found;

	for (size_t i = 0; i < ARRAY_LEN(alone); i++) {
		target = machine(target_text, alone[i].changes);
		assert_int_equal(
			preflight_takeover(target, &at_it, NULL, &found), 0);
		check_all(found);
		assert_int_equal(json_array_size(found), alone[i].name ? 1 : 0);
		if (alone[i].name)
			assert_non_null(
				find(found, alone[i].name, "blocks", NULL));
		json_decref(found);
		json_decref(target);
	}
	target = machine(
		target_text, "{'system':{'firmware':{'secure_boot':true}}}");
	assert_int_equal(preflight_takeover(target, &at_it, &known, &found), 0);
	assert_non_null(find(found, "secure-boot", "warns", NULL));
	json_decref(found);
	json_decref(target);
	assert_int_equal(
		preflight_takeover(NULL, &not_at_all, NULL, &found), 0);
	json_decref(found);
}

static void modaliases(void **state)
{
	json_t *target = machine(target_text, NULL);
	const char **v;

	assert_int_equal(preflight_modaliases(target, &v), 0);
	assert_string_equal(v[0], BLK_PCI);
	assert_string_equal(v[1], BLK);
	assert_string_equal(v[3], NET);
	assert_null(v[4]);
	free(v);
	json_decref(target);
	target = machine(target_text,
		ON_WAY("pci:usb", "'driver':'xhci_hcd','class':'0x0c0330'"));
	assert_int_equal(preflight_modaliases(target, &v), 0);
	assert_string_equal(v[0], "pci:usb");
	assert_null(v[1]);
	free(v);
	json_decref(target);
	target = machine(target_text, NULL);
	json_array_extend(json_object_get(target, "devices"),
		json_object_get(target, "devices"));
	assert_int_equal(preflight_modaliases(target, &v), 0);
	assert_non_null(v[3]);
	assert_null(v[4]);
	free(v);
	assert_int_equal(preflight_modaliases(NULL, &v), 0);
	assert_null(v[0]);
	free(v);
	json_decref(target);
}

/* ---- hostile machines ---- */

static void hostile_values(void **state)
{
	static const char *const values[] = {"null", "true", "-1", "1e300",
		"9223372036854775807", "'x'", "[]", "{}", "[null,1,'a',[],{}]",
		"[[[[]]]]", "{'a':{'a':1}}", "'\\u001b[31m\\u202ex'"};

	/* Every key of every object once as each of these. */
	for (size_t v = 0; v < ARRAY_LEN(values); v++) {
		for (unsigned side = 0; side < 2; side++) {
			json_t *both[2] = {machine(source_text, NULL),
				machine(target_text, NULL)};
			json_t *bad = json_object(), *found, *value, *inner;
			const char *key, *second;

			json_object_set_new(bad, "v", json_null());
			json_object_foreach(both[side], key, value)
			{
				json_t *copy = json_deep_copy(both[side]);
				json_t *pair[2] = {both[0], both[1]};
				char *text = strdup(values[v]);

				for (char *c = text; *c; c++)
					*c = *c == '\'' ? '"' : *c;
				inner = json_loads(text, JSON_DECODE_ANY, NULL);
				free(text);
				assert_non_null(inner);
				pair[side] = copy;
				json_object_set(copy, key, inner);
				assert_int_equal(preflight(pair[0], pair[1],
							 &clocks, &found),
					0);
				check_all(found);
				json_decref(found);
				if (json_is_object(value)) {
					json_t *o = json_deep_copy(value), *x;

					json_object_set_new(copy, key, o);
					json_object_foreach(value, second, x)
						json_object_set(
							o, second, inner);
					assert_int_equal(
						preflight(pair[0], pair[1],
							&takeover, &found),
						0);
					check_all(found);
					json_decref(found);
				}
				json_decref(inner);
				json_decref(copy);
			}
			json_decref(bad);
			json_decref(both[0]);
			json_decref(both[1]);
		}
	}
}

static void not_even_objects(void **state)
{
	json_t *list = json_array(), *found;

	assert_int_equal(preflight(list, list, NULL, &found), 0);
	check_all(found);
	json_decref(found);
	assert_int_equal(preflight(NULL, NULL, NULL, &found), 0);
	check_all(found);
	json_decref(found);
	json_decref(list);
}

/* Texts that would turn a terminal around, or be cut within a character. */
static void clean_texts(void **state)
{
	json_t *source = machine(source_text,
		"{'databases':[{'kind':'a\\u001b\\u0085\\u202e\\n',"
		"'running':true}]}");
	char big[5000];
	const json_t *f;
	json_t *found;

	assert_int_equal(preflight(source, NULL, NULL, &found), 0);
	f = find(found, "databases-running", "notes", "a???? runs");
	assert_non_null(f);
	json_decref(found);
	for (size_t i = 0; i < 3; i++) {
		memset(big, 'x', i);
		for (size_t k = i; k + 4 < sizeof(big); k += 3)
			memcpy(big + k, "\u20ac\0", 4);
		json_object_set_new(
			json_array_get(json_object_get(source, "databases"), 0),
			"data", json_string(big));
		assert_int_equal(preflight(source, NULL, NULL, &found), 0);
		f = find(found, "databases-running", "notes", "\u20ac\u20ac");
		assert_non_null(f);
		check_all(found);
		json_decref(found);
	}
	json_decref(source);
}

static void many_and_in_circles(void **state)
{
	json_t *source = machine(source_text, NULL), *found;
	json_t *target = machine(target_text, NULL);
	json_t *disks = json_array(), *mounts = json_array();

	for (unsigned i = 0; i < 6000; i++) {
		char name[32];
		json_t *parents = json_array();

		/* Each stands on all those around it. */
		for (unsigned k = 0; k < 16; k++) {
			(void)snprintf(
				name, sizeof(name), "d%u", i / 16 * 16 + k);
			json_array_append_new(parents, json_string(name));
		}
		(void)snprintf(name, sizeof(name), "d%u", i);
		json_array_append_new(disks,
			json_pack("{s:s, s:s, s:i, s:o}", "name", name, "kind",
				"disk", "size", i + 1, "parents", parents));
		json_array_append_new(mounts,
			json_pack("{s:s, s:s}", "mount", "/", "disk", name));
	}
	json_object_set(source, "disks", disks);
	json_object_set(target, "disks", disks);
	json_object_set(target, "filesystems", mounts);
	assert_int_equal(preflight(source, target, NULL, &found), 0);
	check_all(found);
	assert_true(json_array_size(found) < 500);
	json_decref(found);
	json_decref(mounts);
	json_decref(disks);
	json_decref(source);
	json_decref(target);
}

/* ---- the manual ---- */

/* Whether the item of a finding has a severity that was seen. */
static void check_severity(
	const char *text, const char *name, const char *severity)
{
	char item[128];
	const char *at, *end;

	(void)snprintf(item, sizeof(item), "\n.It Sy %s Pq ", name);
	at = strstr(text, item);
	assert_non_null(at);
	end = strchr(at + 1, '\n');
	at = strstr(at, severity);
	if (!at || !end || at > end)
		fail_msg("the manual has no %s of %s", severity, name);
}

/* A name is an item ".It Sy NAME Pq …" of rehost-preflight(7). */
static void manual(void **state)
{
	char *text, *rest, *line;
	unsigned n = 0, items = 0;
	size_t size;

	assert_int_equal(io_slurp(MANUAL, 1 << 20, &text, &size), 0);
	for (; preflight_name(n); n++) {
		char item[128];

		(void)snprintf(item, sizeof(item), "\n.It Sy %s Pq ",
			preflight_name(n));
		if (!strstr(text, item))
			fail_msg("%s is not in the manual", preflight_name(n));
	}
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (cases[i].severity)
			check_severity(text, cases[i].name, cases[i].severity);
	rest = text;
	while ((line = strsep(&rest, "\n")))
		items += strncmp(line, ".It Sy ", 7) == 0 ? 1 : 0;
	assert_int_equal(items, n);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_found),
		cmocka_unit_test(one_by_one),
		cmocka_unit_test(all_triggered),
		cmocka_unit_test(takeover_alone),
		cmocka_unit_test(modaliases),
		cmocka_unit_test(hostile_values),
		cmocka_unit_test(not_even_objects),
		cmocka_unit_test(clean_texts),
		cmocka_unit_test(many_and_in_circles),
		cmocka_unit_test(manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
