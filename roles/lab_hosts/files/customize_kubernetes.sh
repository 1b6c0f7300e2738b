#!/bin/sh
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Hook of mmdebstrap, after customize_image.sh: what a host needs to be a node of Kubernetes, but for the programs. Those, and the
# images, are mounted from the machine, once for all hosts.
# usage: customize_kubernetes.sh ROOT
set -eu

here=$(dirname "$0")
root=$1

cp -R "$here/kubernetes/etc" "$root/"
for program in kubeadm kubelet kubectl; do
    ln -sf "/opt/kubernetes/$program" "$root/usr/bin/$program"
done
# host-init looks for it
mkdir -p "$root/opt/kubernetes" "$root/etc/kubernetes/manifests"
for unit in containerd lab-images kubelet; do
    chroot "$root" systemctl enable "$unit.service"
done
