# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules that work with kubeadm."""

    DOCUMENTATION = r"""
options:
  cluster:
    description:
      - What is the same on every master. C(endpoint) (with its port) and C(version) have to be given where a configuration for
        init is made.
      - Further keys are C(cert_sans), C(cluster_name), C(image_repository), C(certificates_dir), C(dns_domain), C(service_subnet),
        C(pod_subnet), C(apiserver_args), C(controller_manager_args), C(scheduler_args), C(etcd_args), C(etcd_cert_sans),
        C(etcd_external) (C(endpoints), C(ca_file), C(cert_file), C(key_file)), C(certificate_validity), C(ca_certificate_validity),
        C(encryption_algorithm), C(dns_disabled), C(proxy_disabled), C(feature_gates), and C(cgroup_driver).
      - Flags are mappings of a name to a value, or to a list of values where the format allows it.
    type: dict
    default: {}
  node:
    description:
      - What belongs to this machine. Keys are C(name), C(advertise_address), C(port), C(cri_socket), C(kubelet_args), C(taints),
        C(patches), C(skip_phases), C(ignore_preflight_errors), C(image_pull_serial), and C(timeouts).
    type: dict
    default: {}
  extra:
    description:
      - Fields of your own, by kind, such as C(ClusterConfiguration). They are merged over what the other options make, and kubeadm's
        own strictness judges them.
    type: dict
    default: {}
  kubeadm:
    description:
      - The program, by name or path.
    type: str
    default: kubeadm
"""
