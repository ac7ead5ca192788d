/* SPDX-License-Identifier: Apache-2.0 */
/* Facts for the tests of preflight. ' stands for ", which would be hard to read
 * here. */
#ifndef REHOST_TESTS_PREFLIGHT_FACTS_H
#define REHOST_TESTS_PREFLIGHT_FACTS_H

#define BLK "virtio:d00000002v00001AF4"
#define BLK_PCI "pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00"
#define NET "virtio:d00000001v00001AF4"

/* Two machines of which one can become the other. */
static const char source_text[] =
	"{'schema':1,'root':true,'missing':[],"
	"'system':{'machine_id':'a1','boot_id':'b1',"
	"'distribution':{'id':'debian'},"
	"'kernel':{'release':'6.1.0-9-amd64','modules_dir':true,"
	"'lockdown':'none'},"
	"'architecture':'x86_64','virtualization':{'machine':'kvm'},"
	"'firmware':{'mode':'bios'},'clock':{'now_ms':1700000000000}},"
	"'memory':{'total':21474836480},"
	"'disks':[{'name':'vda','path':'/dev/vda','kind':'disk',"
	"'size':10737418240,'logical':512,'removable':false,"
	"'serial':'S1','id':'serial:S1','table':{'kind':'dos'}},"
	"{'name':'vda1','path':'/dev/vda1','kind':'part',"
	"'size':10736369664,'parents':['vda'],"
	"'content':{'type':'ext4','uuid':'x'}}],"
	"'filesystems':[{'mount':'/','disk':'vda1','type':'ext4',"
	"'options':'rw,relatime','devices':['vda1']}],"
	"'swap':[{'path':'/dev/vda2','kind':'partition','disk':'vda2'}],"
	"'fstab':[{'line':1,'spec':'UUID=x','mount':'/','type':'ext4',"
	"'options':'defaults','names':'uuid','disk':'vda1'}],"
	"'crypttab':[],"
	"'boot':{'loader':'grub','default':{'kernel':'/boot/vmlinuz',"
	"'root':'UUID=x','command_line':'ro quiet'},"
	"'mbr':[{'disk':'vda','boot_code':'grub'}]},"
	"'kernels':[{'release':'6.1.0-9-amd64','default':true,"
	"'initramfs':'/boot/initrd.img','builtin':['ext4'],"
	"'initramfs_modules':['virtio_blk','virtio_pci']}],"
	"'drivers':[{'modalias':'" BLK "','module':'virtio_blk',"
	"'in':'initramfs'},"
	"{'modalias':'" BLK_PCI "','module':'virtio_pci','in':'builtin'},"
	"{'modalias':'" NET "','module':'virtio_net','in':'modules'}],"
	"'network':{'interfaces':[{'name':'eth0','kind':'ethernet','up':true,"
	"'mac':'52:54:00:00:00:01','address':'0000:00:03.0',"
	"'addresses':['10.0.2.15/24','fe80::1/64']},"
	"{'name':'lo','kind':'loopback','addresses':['127.0.0.1/8']}],"
	"'configured_by':[{'kind':'ifupdown','active':true,"
	"'interfaces':{'eth0':'static'}}]},"
	"'databases':[{'kind':'redis','running':false}],"
	"'load':{'disks':[{'name':'vda','write_bytes_s':1000000},"
	"{'name':'vda1','write_bytes_s':99000000}]}}";

static const char target_text[] =
	"{'schema':1,'root':true,'missing':[],"
	"'system':{'machine_id':'a2','boot_id':'b2','architecture':'x86_64',"
	"'kernel':{'lockdown':'none'},"
	"'kexec':{'supported':true,'disabled':false},"
	"'virtualization':{'machine':'kvm'},'firmware':{'mode':'bios'},"
	"'clock':{'now_ms':1700000000000}},"
	"'memory':{'total':1073741824},"
	"'devices':[{'address':'0000:00:04.0','bus':'pci','kind':'storage',"
	"'modalias':'" BLK_PCI "'},"
	"{'address':'virtio1','bus':'virtio','kind':'storage',"
	"'modalias':'" BLK "'},"
	"{'address':'0000:00:01.1','bus':'pci','kind':'storage',"
	"'modalias':'pci:a CD-ROM is on it'},"
	"{'address':'virtio2','bus':'virtio','kind':'network',"
	"'modalias':'" NET "'}],"
	"'disks':[{'name':'vda','path':'/dev/vda','kind':'disk',"
	"'size':10737418240,'logical':512,'serial':'T1','id':'serial:T1',"
	"'driver_path':['0000:00:04.0','virtio1']}],"
	"'filesystems':[],'swap':[],"
	"'network':{'interfaces':[{'name':'eth0','kind':'ethernet','up':true,"
	"'mac':'52:54:00:00:00:02','address':'0000:00:05.0',"
	"'driver_path':['0000:00:05.0','virtio2'],"
	"'addresses':['10.0.2.16/24']}]}}";

#endif
