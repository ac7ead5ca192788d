#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# rehost takeover: what it refuses. The hosts of the lab are no machines, so it
# is -n everywhere; machines are taken over in tests/vm/takeover.sh.
HOSTS=old
. "$(dirname "$0")/lib.sh"

say "what shares a kernel with others is refused by name"
expect_exit 1 rehost_run takeover -n root@old
expect_out '^blocks  target: takeover-network: ssh reaches it at .* on eth0'
expect_out '^rehost: root@old: cannot take the machine over: .+; .+'
expect_clean old
expect_exit 1 rehost_run takeover -n --format json root@old
expect_out '"event":"progress","step":"looking at the machine"'
expect_out '"event":"findings","host":"old","findings":\[\{.*"takeover-network"'
expect_out '"event":"error","error":\{"host":"root@old","what":"take the machine'

say "whoever is not root may not"
on_sh old 'useradd -m plain && mkdir -p /home/plain/.ssh &&
	cp /root/.ssh/authorized_keys /home/plain/.ssh/ &&
	chown -R plain /home/plain/.ssh && usermod -p "*" plain'
expect_exit 1 rehost_run takeover -n plain@old
expect_out 'not root and sudo -n does not work'

say "what is no machine, or cannot be reached"
for wrong in '' old:/dev/vdb ./x 'old old' '--watchdog 5s old' \
	'--watchdog 2d old' '--kernel x old'; do
	# shellcheck disable=SC2086 # words
	expect_exit 2 "$REHOST" takeover $wrong
done
expect_exit 1 rehost_run takeover -n nowhere.invalid
expect_out 'nowhere'
