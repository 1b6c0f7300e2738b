# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses what is the region's. No operation tells it of a certificate, so every listener of the region is looked at."""

from __future__ import annotations

import typing as t

from ..client import Client
from ..document import Listener, LoadBalancer
from ..state import CloudState, Observed, Use

#: Where a listener tells the ids of what it uses.
USING = ("ServerCertificateId", "CACertificateId", "TLSCipherPolicy")


def fetch(client: Client) -> dict[str, tuple[Use, ...]]:
    """All uses of certificates and policies in the region, by the id of what is used."""
    found: dict[str, list[Use]] = {}
    for page in client.token_pages(client.slb, "DescribeLoadBalancerListeners", {"ListenerProtocol": "https"}):
        for entry in page.get("Listeners") or ():
            balancer, port = entry["LoadBalancerId"], int(entry["ListenerPort"])
            values = entry.get("HTTPSListenerConfig") or {}
            for name in USING:
                if values.get(name):
                    found.setdefault(values[name], []).append(Use(balancer, f"https/{port}"))
            for domain in domains(client, balancer, port):
                use = Use(balancer, f"https/{port}", domain["Domain"])
                found.setdefault(domain["ServerCertificateId"], []).append(use)
    return {name: tuple(uses) for name, uses in found.items()}


def domains(client: Client, load_balancer_id: str, port: int) -> list[dict[str, t.Any]]:
    """The further domains of a listener, as the API tells them."""
    answer = client.slb("DescribeDomainExtensions", {"LoadBalancerId": load_balancer_id, "ListenerPort": port})
    return list((answer.get("DomainExtensions") or {}).get("DomainExtension") or ())


def users_of(
    resource_id: str | None,
    label: str,
    option: str,
    current: CloudState,
    instance: Observed[LoadBalancer] | None,
    listeners: t.Sequence[Observed[Listener]],
) -> list[Use]:
    """Who uses an object once the listeners of the plan are as they are going to be. They call it by its label."""
    known = {entry.config.symbol.partition(":")[2] for entry in current.listeners}
    after = {entry.config.symbol.partition(":")[2]: entry.config for entry in listeners}
    own = (instance.id if instance else None) or ""
    found = []
    for use in current.uses.get(resource_id or "", ()):
        planned = use.load_balancer == own and use.listener in known
        unread = planned and use.listener in after and after[use.listener].domain_extensions is None
        if not planned or (use.domain is not None and unread):
            found.append(use)
    name = {"certificates": "certificate", "ca_certificates": "ca_certificate", "tls_policies": "tls_policy"}[option]
    for listener, config in after.items():
        if getattr(config, name) == label:
            found.append(Use(own, listener))
        if option == "certificates":
            domains_of = config.domain_extensions or ()
            found += [Use(own, listener, domain.domain) for domain in domains_of if domain.certificate == label]
    return list(dict.fromkeys(found))
