# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the registrar asks of the cloud, in as few calls as it takes. All of it is the engine's."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from .._slb import document, lookup
from .._slb.client import Client
from .._slb.document import Backend, LoadBalancer, ServerGroup, question
from .._slb.errors import LookupFailed
from .._slb.resources import default_pool, listener, load_balancer, members, server_group
from .._slb.state import CloudState, Observed, Server, names_by_id


def find(client: Client, reference: str) -> Observed[LoadBalancer]:
    """The instance that a label names by id or by name. Raises LookupFailed."""
    # a name may begin as an id does
    kinds = ("id", "name") if reference.startswith("lb-") else ("name",)
    for kind in kinds:
        asked = question({kind: reference})
        found = load_balancer.fetch(client, asked.load_balancer)
        if found or kind == kinds[-1]:
            break
    instance, dummy = load_balancer.choose(asked, found)
    if instance is None or instance.id is None:
        raise LookupFailed(f"load_balancer '{reference}' does not exist in this region")
    return instance


def look(client: Client, instance: Observed[LoadBalancer], is_read: t.Callable[[str], bool]) -> CloudState:
    """An instance with its listeners, its groups (the members of those that are read) and its default pool."""
    if instance.id is None:
        raise LookupFailed(f"load_balancer '{instance.config.name}' has no id yet")
    found = groups(client, instance, is_read)
    return CloudState(
        load_balancer=instance,
        server_groups=tuple(found),
        listeners=tuple(listener.fetch(client, instance.id, names_by_id(found))),
        default_pool=default_pool.fetch(client, instance.id),
        now=client.now(),
    )


def groups(
    client: Client, instance: Observed[LoadBalancer], is_read: t.Callable[[str], bool]
) -> list[Observed[ServerGroup]]:
    """The groups of an instance, with the members of those that are read."""
    return server_group.fetch(client, str(instance.id), lambda name, owner: is_read(name))


def servers(client: Client, naming: t.Mapping[str, str], vpc_id: str | None) -> tuple[tuple[Server, ...], Backend]:
    """The servers that a host may be by its id, name, private address, EIP or interface, and how a document names it."""
    if "eip" in naming:
        filters = {"EipAddresses": json.dumps([naming["eip"]]), "InstanceNetworkType": "vpc"}
        ids = [
            entry["InstanceId"]
            for page in client.token_pages(client.ecs, "DescribeInstances", filters)
            for entry in page["Instances"]["Instance"]
        ]
        if len(ids) != 1:
            raise LookupFailed(
                f"server: eip {naming['eip']} matches {len(ids)} ECS instances of this region; give server_id instead"
            )
        naming = {"server_id": ids[0]}
    backend = document.backend(naming)
    found = lookup.servers(client, [backend], vpc_id)
    return tuple(server for server in found if vpc_id in (None, server.vpc_id)), backend


def me(naming: Backend, found: t.Sequence[Server], instance: LoadBalancer) -> Backend:
    """This host as the instance would know it. Raises the errors of the look-up: none, several, another VPC."""
    (server,) = lookup.resolve("server", [naming], found, instance)
    return server


def joined(client: Client, server_id: str) -> list[str]:
    """The ids of the instances that a server is an entry of, whoever added it."""
    pages = client.numbered_pages("DescribeLoadBalancers", {"ServerId": server_id})
    return [entry["LoadBalancerId"] for page in pages for entry in page["LoadBalancers"]["LoadBalancer"]]


def statuses(client: Client, ids: t.Iterable[str]) -> dict[str, str]:
    """What ECS says of instances by their ids; one that does not exist any more is not there."""
    wanted = [Backend(server_id=server_id) for server_id in sorted(set(ids))]
    return {server.id: server.status for server in lookup.servers(client, wanted, None)} if wanted else {}


def with_addresses(state: CloudState, found: t.Sequence[Server]) -> CloudState:
    """The state with what is known of servers, as the engine compares it."""
    return dataclasses.replace(
        state,
        servers=tuple(found),
        server_groups=tuple(server_group.with_addresses(group, found) for group in state.server_groups),
        default_pool=members.with_addresses(state.default_pool or (), found),
    )
