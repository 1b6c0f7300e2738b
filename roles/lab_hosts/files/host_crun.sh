#!/bin/sh
# Copyright (c) clusterfront.ha contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The runtime of containers within a lab host. A host may not make device groups under cgroup v1, so containers stay in the
# group of their unit; whoever starts them needs no option for it.
for word in "$@"; do
    shift
    [ "$word" = --systemd-cgroup ] || set -- "$@" "$word"
done
exec /usr/bin/crun --cgroup-manager=disabled "$@"
