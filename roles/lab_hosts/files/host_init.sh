#!/bin/sh
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The first process of a lab host. It gives the host the parts of a machine that podman withholds, then becomes systemd.
set -eu

# Root of the file system that is mounted at $1, as this cgroup namespace sees it ("/" is our own subtree).
mount_root() {
    awk -v at="$1" '$5 == at { root = $4 } END { print root }' /proc/self/mountinfo
}

# cgroup v1: podman lays the machine's whole name=systemd tree over the container's own one. A systemd that runs on it
# shares its slices with all other hosts, and one host that stops kills the processes of the others. Take it off.
tree=/sys/fs/cgroup/systemd
if [ -d "$tree" ]; then
    if [ "$(mount_root "$tree")" != / ]; then
        umount "$tree/release_agent" 2>/dev/null || true
        umount -l "$tree"
    fi
    if [ "$(mount_root "$tree")" != / ]; then
        echo "host-init: $tree is not this container's own cgroup; a systemd here would touch other hosts." >&2
        exit 1
    fi
    mount -o remount,bind,rw "$tree"
fi

# A node of Kubernetes makes groups of its own in every tree, asks the kernel's log, shares its mounts with pods, and has three sysctls
# of the machine changed, or ends: it gets trees that it may write, and is shown what it wants to see.
if [ -d /opt/kubernetes ]; then
    awk '$5 ~ "^/sys/fs/cgroup/" && $4 == "/" && / - cgroup / { print $5 }' /proc/self/mountinfo | while read -r tree; do
        mount -o remount,bind,rw "$tree"
    done
    mkdir -p /run/host-init
    for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
        name=${setting%=*}
        echo "${setting#*=}" > "/run/host-init/${name##*/}"
        mount --bind "/run/host-init/${name##*/}" "/proc/sys/$name"
    done
    ln -sf /dev/null /dev/kmsg
    mount --make-rshared /
fi

# These sysctls belong to the network namespace of this host alone, so roles may set them for real.
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,bind,rw /proc/sys/net
# what comes before kubeadm on every machine of Kubernetes
[ ! -d /opt/kubernetes ] || echo 1 > /proc/sys/net/ipv4/ip_forward

# Written once: what a role adds to the file survives a restart of the host.
if [ ! -s /etc/hosts ]; then
    printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$(cat /proc/sys/kernel/hostname)" > /etc/hosts
fi

exec /sbin/init
