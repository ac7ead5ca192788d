#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes build_id.h: a digest of all sources. Touches it only when it changes.
# usage: make_build_id.sh OUT VERSION SOURCE-FOLDER
set -eu
id=$(find "$3" -name '*.[chS]' -print0 | sort -z | xargs -0 cat |
	sha256sum | cut -c1-64)
text="#define BUILD_ID \"$id\"
#define VERSION \"$2\""
[ "$(cat "$1" 2>/dev/null || true)" = "$text" ] || printf '%s\n' "$text" >"$1"
