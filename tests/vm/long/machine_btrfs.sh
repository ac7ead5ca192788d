#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 1800
#
# rehost inspect and rehost plan of a whole machine whose root is a subvolume of
# btrfs.
. "$(dirname "$0")/../machines_lib.sh"

targets
sources btrfs

say "btrfs"
ask btrfs
agrees btrfs
is '.filesystems[] | "\(.mount) \(.subvolume) \(.disk)"' \
	$'/ @ vda2\n/home @home vda2'
is '.boot.default.command_line | test("rootflags=subvol=@ ")' true
in_initramfs btrfs

say "plan"
up blank
plan btrfs blank "warns source interface-name" "notes source dynamic-address"
