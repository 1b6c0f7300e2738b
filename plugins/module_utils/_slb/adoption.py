# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ownership of what somebody else made: the owner's mark on everything that a document lists and nobody owns.

Members of groups get theirs in their description, where groups are compared. Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .document import OWNER_TAG, FrontEnd
from .resources import access_list, certificate, references
from .resources.tags import written
from .state import LOAD_BALANCER, CloudState, Observed, Step


def plan(document: FrontEnd, predicted: CloudState) -> tuple[list[Step], CloudState, list[str]]:
    """Steps that set the missing marks, the state with them, and a sentence for each thing that another owner keeps."""
    if not document.adopt:
        return [], predicted, []
    steps: list[Step] = []
    kept: list[str] = []

    def adopted(has: Observed[t.Any], listed: bool, symbol: str, kind: str, resource_id: str | None) -> t.Any:
        if not listed or has.owner == document.owner:
            return has
        part, dummy, name = symbol.partition(":")
        what = f"{part.replace('_', ' ')} {name}".rstrip()
        if has.owner is not None:
            kept.append(f"{what} has the mark of {has.owner} and stays theirs")
            return has
        parameters = {"ResourceType": kind, "ResourceId": [resource_id], "Tag": written({OWNER_TAG: document.owner})}
        steps.append(Step(symbol, "adopt", "TagResources", parameters, f"put the mark of {document.owner} on {what}"))
        return dataclasses.replace(has, owner=document.owner)

    instance = predicted.load_balancer
    groups = {group.symbol for group in document.server_groups} | {group.symbol for group in document.failover_groups}
    listeners = {entry.symbol for entry in document.listeners}
    lists = [access_list.choose(desired, predicted.access_lists) for desired in document.access_lists]
    chosen = {
        option: [
            references.choose(document, option, desired, getattr(predicted, option))
            for desired in getattr(document, option)
        ]
        for option in certificate.KINDS
    }
    certificates: dict[str, t.Any] = {
        option: tuple(
            adopted(has, has in found, f"{certificate.KINDS[option].symbol}:{has.config.name}", "certificate", has.id)
            for has in getattr(predicted, option)
        )
        for option, found in chosen.items()
    }
    return (
        steps,
        dataclasses.replace(
            predicted,
            load_balancer=instance and adopted(instance, True, LOAD_BALANCER, "instance", instance.id),
            server_groups=tuple(
                adopted(group, group.config.symbol in groups, group.config.symbol, "vservergroup", group.id)
                for group in predicted.server_groups
            ),
            failover_groups=tuple(
                adopted(group, group.config.symbol in groups, group.config.symbol, "masterslaveservergroup", group.id)
                for group in predicted.failover_groups
            ),
            listeners=tuple(
                adopted(
                    entry,
                    entry.config.symbol in listeners,
                    entry.config.symbol,
                    "listener",
                    f"{instance.id if instance else None}_{entry.config.protocol}_{entry.config.port}",
                )
                for entry in predicted.listeners
            ),
            access_lists=tuple(
                adopted(has, has in lists, has.config.symbol, "acl", has.id) for has in predicted.access_lists
            ),
            **certificates,
        ),
        kept,
    )
