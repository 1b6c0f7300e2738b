# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An inventory as the resolution sees it, for its tests."""

from __future__ import annotations

import pathlib
import typing as t

import yaml

from ansible_collections.clusterfront.ha.plugins.module_utils._frontend.resolve import Inventory, Resolved, resolve

ROOT = pathlib.Path(__file__).parents[2]
SPECS = {
    role: yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]["main"][
        "options"
    ]
    for role in ("kube_apiserver", "kubeadm_endpoint", "haproxy", "nginx")
}
GROUPS = {"masters": ["m1", "m2", "m3"], "load_balancers": ["lb1", "lb2"], "workers": ["w1"], "clients": ["c1"]}
ADDRESSES = {"m1": 11, "m2": 12, "m3": 13, "lb1": 21, "lb2": 22, "w1": 31, "c1": 41}
NEEDED = {"kube_apiserver_name": "prod-api", "kube_apiserver_endpoint_name": "api.example.com"}
KUBEADM = {**NEEDED, "kube_apiserver_run_kubeadm": True}
DIRECT = {**NEEDED, "kube_apiserver_topology": "private_direct"}
FRESH = {"m1": "fresh", "m2": "fresh", "m3": "fresh"}


def found(
    play: dict[str, t.Any] | None = None,
    groups: dict[str, list[str]] | None = None,
    everywhere: t.Any = None,
    **machines: t.Any,
) -> Resolved:
    """The resolution of an inventory; everywhere are variables of group_vars/all, machines has those of single ones."""
    variables = {name: {"private_ip": f"192.0.2.{number}"} for name, number in ADDRESSES.items()}
    variables["localhost"] = {}
    for name in variables:
        variables[name] = {**variables[name], **(everywhere or {}), **machines.get(name, {})}
    inventory = Inventory(
        {"all": list(ADDRESSES), **(GROUPS if groups is None else groups)}, variables, NEEDED if play is None else play
    )
    return resolve("kube_apiserver", SPECS, inventory)
