# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: cpu_weights
version_added: "0.1.0"
short_description: Weights of backends from the number of their CPUs
description:
  - Gives a server with more CPUs more connections. The largest server gets V(100), each other one its share of that, and none
    less than V(1).
  - The same servers always get the same weights, in whatever order they are.
author: clusterfront.ha contributors (@clusterfront)
options:
  _input:
    description:
      - A dictionary from the name of each server to its number of CPUs, or a list with one dictionary for each server, such as
        the variables of hosts.
    type: raw
    required: true
  cpus:
    description:
      - Where a server of a list has its number of CPUs; a dot leads into a dictionary. The number of the gathered facts
        (C(ansible_facts.processor_vcpus)), where nothing is said.
    type: str
  name:
    description:
      - Where a server of a list has its name, or whatever else the result is to be ordered by, such as its address.
    type: str
    default: inventory_hostname
"""

EXAMPLES = r"""
- name: Weights of three servers
  ansible.builtin.debug:
    msg: "{{ {'web-1': 8, 'web-2': 4, 'web-3': 2} | clusterfront.ha.cpu_weights }}"  # web-1: 100, web-2: 50, web-3: 25

- name: A group whose servers are known by the addresses of the inventory, with facts gathered
  clusterfront.ha.slb_server_group:
    region: cn-hangzhou
    load_balancer: prod-api
    name: web
    backends: "{{ weights | dict2items(key_name='private_ip', value_name='weight') | map('combine', {'port': 80}) | list }}"
  vars:
    weights: "{{ groups['web'] | map('extract', hostvars) | clusterfront.ha.cpu_weights(name='ansible_host') }}"

- name: The same with numbers that the inventory says
  ansible.builtin.debug:
    msg: "{{ groups['web'] | map('extract', hostvars) | clusterfront.ha.cpu_weights(cpus='web_cpus') }}"
"""

RETURN = r"""
_value:
  description: From the name of each server to its weight, V(1) to V(100), in the order of the input.
  type: dict
"""

LARGEST = 100
#: Where facts are: the second way is that of playbooks which inject them as variables.
FACTS = ("ansible_facts.processor_vcpus", "ansible_processor_vcpus")


def cpu_weights(hosts: t.Any, cpus: str | None = None, name: str = "inventory_hostname") -> dict[str, int]:
    """The weight of each server."""
    if not isinstance(hosts, t.Mapping) and (isinstance(hosts, str) or not isinstance(hosts, t.Iterable)):
        raise AnsibleFilterError(f"cpu_weights takes a dictionary or a list of dictionaries, not {hosts!r}")
    pairs = list(hosts.items()) if isinstance(hosts, t.Mapping) else [_pair(host, cpus, name) for host in hosts]
    counts: dict[str, int] = {}
    for host, count in pairs:
        if host in counts:
            raise AnsibleFilterError(f"cpu_weights: {host} is there more than once; every server may be there once")
        counts[host] = _number(host, count)
    largest = max(counts.values(), default=1)
    # halves go up; a float would round some of them down
    return {host: max(1, (2 * LARGEST * count + largest) // (2 * largest)) for host, count in counts.items()}


def _pair(host: t.Any, cpus: str | None, name: str) -> tuple[str, t.Any]:
    if not isinstance(host, t.Mapping):
        raise AnsibleFilterError(f"cpu_weights: a server of the list has to be a dictionary, not {host!r}")
    called = _found(host, name)
    if called is None:
        raise AnsibleFilterError(f"cpu_weights: a server has no {name}; name says where its name is")
    places = FACTS if cpus is None else (cpus,)
    count = next((found for found in (_found(host, place) for place in places) if found is not None), None)
    if count is None:
        how = (
            "gather its facts, or say by cpus where the number is" if cpus is None else "cpus says where the number is"
        )
        raise AnsibleFilterError(f"cpu_weights: {called} has no {places[0]}; {how}")
    return str(called), count


def _found(host: t.Any, place: str) -> t.Any:
    """What a path with dots leads to; None where there is nothing."""
    for part in place.split("."):
        host = host.get(part) if isinstance(host, t.Mapping) else None
    return host


def _number(host: str, count: t.Any) -> int:
    if isinstance(count, bool) or not str(count).isdecimal() or int(count) < 1:
        raise AnsibleFilterError(f"cpu_weights: {host} has {count!r} CPUs; a number of 1 or more is needed")
    return int(count)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"cpu_weights": cpu_weights}
