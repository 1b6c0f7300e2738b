#!/bin/sh
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Hook of mmdebstrap: turns a minimal system into the image of a lab host.
# usage: customize_image.sh ROOT PACKAGE...   (the packages go into the image's own repository, not into the system)
set -eu

here=$(dirname "$0")
root=$1
shift

# The repository: what is not installed yet of the packages and all that they need or recommend.
mkdir -p "$root/opt/packages"
if [ $# -gt 0 ]; then
    # The machine's apt works on the new system: it has the machine's certificates, the new system's own does not.
    APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --quiet=2 --download-only \
        -o Dir::Cache::archives="$root/opt/packages" -o APT::Sandbox::User=root \
        -o APT::Install-Recommends=true install "$@"
fi
rm -rf "$root/opt/packages/partial" "$root/opt/packages/lock"
: > "$root/opt/packages/Packages"
for package in "$root"/opt/packages/*.deb; do
    [ -e "$package" ] || continue
    {
        dpkg-deb --field "$package"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "${package##*/}" "$(stat -c %s "$package")" \
            "$(sha256sum "$package" | cut -d ' ' -f 1)"
    } >> "$root/opt/packages/Packages"
done

# From here on apt knows that repository alone; nothing of the machine's mirrors, proxies or credentials stays.
rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* \
    "$root"/etc/apt/auth.conf "$root"/etc/apt/auth.conf.d/* \
    "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap \
    "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin \
    "$root"/var/log/apt/* "$root"/var/log/*.log
echo 'deb [trusted=yes lang=none] file:/opt/packages ./' > "$root/etc/apt/sources.list.d/lab.list"
chroot "$root" apt-get --quiet=2 update

# Nothing of the machine's name and resolver either. host-init writes /etc/hosts.
rm -f "$root/etc/hostname" "$root/etc/hosts" "$root/etc/resolv.conf"
echo '# This host has no resolver: the lab has no network but its own.' > "$root/etc/resolv.conf"

# What cannot work, or must not start by itself, in a container without the machine's devices.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service \
    systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-modules-load.service \
    systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service systemd-resolved.service \
    systemd-timesyncd.service systemd-logind.service systemd-remount-fs.service systemd-journald-audit.socket \
    getty.target console-getty.service getty@.service serial-getty@.service getty-static.service \
    dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-config.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    ssh.service ssh.socket man-db.timer motd-news.timer systemd-ask-password-console.path systemd-ask-password-wall.path; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"

# sshd is started by podman exec for one connection each; keys come from the sandbox.
rm -f "$root"/etc/ssh/ssh_host_*
echo 'd /run/sshd 0755 root root' > "$root/etc/tmpfiles.d/sshd.conf"

install -m 0755 "$here/host_init.sh" "$root/usr/local/sbin/host-init"

# Containers within a host, wherever an engine is or comes: our runtime, and no cgroup beside that of their unit.
install -m 0755 "$here/host_crun.sh" "$root/usr/local/sbin/host-crun"
mkdir -p "$root/etc/containers/containers.conf.d" "$root/etc/containers/systemd/container.d"
printf '[engine]\nruntime = "lab"\n[engine.runtimes]\nlab = ["/usr/local/sbin/host-crun"]\n' \
    > "$root/etc/containers/containers.conf.d/lab.conf"
printf '[Container]\nPodmanArgs=--cgroups=no-conmon\n' > "$root/etc/containers/systemd/container.d/lab.conf"
