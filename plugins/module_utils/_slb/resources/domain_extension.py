# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Further domains of an HTTPS listener, each with a certificate of its own, chosen by the name that a client asks for."""

from __future__ import annotations

import typing as t

from ..client import Client
from ..document import DomainExtension, Listener
from ..errors import DocumentError
from ..state import Observed, Step
from . import uses

#: From what a document calls a certificate to its label, and to its id or a Ref.
Certificate = t.Callable[[str, str], t.Tuple[str, t.Any]]


def read(client: Client, load_balancer_id: str, port: int) -> tuple[tuple[DomainExtension, ...], dict[str, str]]:
    """The further domains of a listener, with the ids of their certificates, and their own ids."""
    found = {entry["Domain"].lower(): entry for entry in uses.domains(client, load_balancer_id, port)}
    domains = tuple(DomainExtension(domain, found[domain]["ServerCertificateId"]) for domain in sorted(found))
    return domains, {domain: entry["DomainExtensionId"] for domain, entry in found.items()}


def plan(
    desired: Listener, has: Observed[Listener] | None, instance_id: t.Any, certificate: Certificate
) -> tuple[list[Step], list[Step], tuple[DomainExtension, ...] | None]:
    """What goes first, what comes later, and all further domains that there are then."""
    known = has.config.domain_extensions if has else None
    if desired.domain_extensions is None:
        return [], [], known
    before = {entry.domain: entry for entry in known or ()}
    where = f"listeners[{desired.protocol}/{desired.port}].domain_extensions"
    ids: t.Mapping[str, str] = (has.facts.get("domain_ids") or {}) if has else {}
    wanted = {entry.domain: entry for entry in desired.domain_extensions if entry.state == "present"}
    absent = {entry.domain for entry in desired.domain_extensions if entry.state == "absent"}
    gone = [
        domain for domain in before if domain in absent or (desired.purge_domain_extensions and domain not in wanted)
    ]
    after = {domain: entry for domain, entry in before.items() if domain not in gone}
    removals = [_delete(desired, domain, ids[domain]) for domain in gone]
    steps: list[Step] = []
    for domain, entry in wanted.items():
        at = f"{where}[{domain}]"
        if entry.certificate is None:
            if domain not in after:
                raise DocumentError(f"{at} is not there yet, and certificate is missing; a new domain needs one")
            continue
        label, reference = certificate(at, entry.certificate)
        made = DomainExtension(domain, label)
        if domain not in after:
            steps.append(_create(desired, made, instance_id, reference))
        elif after[domain] != made:
            steps.append(_set(desired, made, after[domain], ids[domain], reference))
        after[domain] = made
    return removals, steps, tuple(after[domain] for domain in sorted(after))


def _symbol(listener: Listener, domain: str) -> str:
    return f"domain_extension:{listener.protocol}/{listener.port}/{domain}"


def _create(listener: Listener, made: DomainExtension, instance_id: t.Any, reference: t.Any) -> Step:
    return Step(
        _symbol(listener, made.domain),
        "create",
        "CreateDomainExtension",
        {
            "LoadBalancerId": instance_id,
            "ListenerPort": listener.port,
            "Domain": made.domain,
            "ServerCertificateId": reference,
        },
        f"serve {made.domain} on {listener.protocol}/{listener.port} with the certificate {made.certificate}",
        yields="DomainExtensionId",
    )


def _set(listener: Listener, made: DomainExtension, has: DomainExtension, extension_id: str, reference: t.Any) -> Step:
    return Step(
        _symbol(listener, made.domain),
        "update",
        "SetDomainExtensionAttribute",
        {"DomainExtensionId": extension_id, "ServerCertificateId": reference},
        f"change certificate of {made.domain} from {has.certificate} to {made.certificate}",
    )


def _delete(listener: Listener, domain: str, extension_id: str) -> Step:
    return Step(
        _symbol(listener, domain),
        "delete",
        "DeleteDomainExtension",
        {"DomainExtensionId": extension_id},
        f"no longer serve {domain} on {listener.protocol}/{listener.port}",
    )
