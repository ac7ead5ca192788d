#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 3000
#
# tests/vm/loss.sh, often and long.
RUNS=${RUNS:-10} RUN_SECONDS=${RUN_SECONDS:-60} \
	exec "$(dirname "$0")/../loss.sh"
