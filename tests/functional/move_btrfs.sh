#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Moves of a mounted btrfs: nothing that was acknowledged is lost.
. "$(dirname "$0")/move_fs.bash"

move_fs btrfs
