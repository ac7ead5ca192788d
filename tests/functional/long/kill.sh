#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3600
#
# ../kill.sh with everybody killed at every point.
KILL_ALL=1 exec "$(dirname "$0")/../kill.sh"
