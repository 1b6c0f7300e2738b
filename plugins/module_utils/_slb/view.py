# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a state of the cloud is shown: one shape for results, for both sides of a diff, and for _info modules."""

from __future__ import annotations

import dataclasses
import typing as t

from .document import (
    AccessList,
    Backend,
    Certificate,
    FailoverGroup,
    FrontEnd,
    HealthCheck,
    Listener,
    LoadBalancer,
    ServerGroup,
    TlsPolicy,
    unmarked,
)
from .protocols import BACKEND_PORT
from .state import CloudState, Observed
from .resources import references
from .resources.certificate import KINDS, day
from .resources.load_balancer import COMPUTED


def front_end(document: FrontEnd, state: CloudState) -> dict[str, t.Any] | None:
    """The whole front end as a result; None where nothing of it exists."""
    lists = [access_list(has) for has in state.access_lists if _meant(document, has)]
    region = {
        "access_lists": sorted(lists, key=lambda shown: str(shown["name"])),
        **{option: _certificates(document, option, state) for option in KINDS},
        "tls_policies": sorted(
            (tls_policy(has) for has in state.tls_policies if _is_listed(document.tls_policies, has)), key=_by_name
        ),
    }
    if state.load_balancer is None and not any(region.values()):
        return None
    return {
        "name": document.owner,
        "load_balancer": state.load_balancer and load_balancer(state.load_balancer),
        # by name: groups that are made in one second have no order of age
        "server_groups": [
            server_group(group)
            for group in sorted(state.server_groups, key=lambda group: group.config.name)
            if _named(document, group)
        ],
        "failover_groups": [
            failover_group(group)
            for group in sorted(state.failover_groups, key=lambda group: group.config.name)
            if document.state == "absent" or any(group.config.name == pair.name for pair in document.failover_groups)
        ],
        "default_pool": None if state.default_pool is None else default_pool(state.default_pool),
        "listeners": [listener(entry) for entry in state.listeners if _listed(document, entry)],
        **region,
    }


def _by_name(shown: t.Mapping[str, t.Any]) -> tuple[str, str]:
    return str(shown["name"]), str(shown.get("fingerprint"))


def _certificates(document: FrontEnd, option: str, state: CloudState) -> list[dict[str, t.Any]]:
    """The certificates that are meant: those of a removed owner, or of a name, an id or a fingerprint of the document."""
    found: list[Observed[Certificate]] = list(getattr(state, option))
    if document.state == "absent":
        meant = [has for has in found if has.owner == document.owner and not document.keeps_region]
    else:
        meant = [has for has in found if _is_listed(getattr(document, option), has)]
    return sorted(map(certificate, meant), key=_by_name)


def _is_listed(listed: t.Iterable[Certificate | TlsPolicy], has: Observed[t.Any]) -> bool:
    return any(
        has.id == desired.id if desired.id else has.config.name == desired.name or _alike(desired, has.config)
        for desired in listed
    )


def _alike(desired: Certificate | TlsPolicy, config: t.Any) -> bool:
    fingerprint = getattr(desired, "fingerprint", None)
    return fingerprint is not None and fingerprint == config.fingerprint


def difference(document: FrontEnd, state: CloudState) -> dict[str, t.Any]:
    """One side of a diff: only what a plan can foresee, so that check mode and run show the same."""
    shown = front_end(document, state)
    if shown is None:
        return {}
    given = {
        field.name
        for field in dataclasses.fields(LoadBalancer)
        if getattr(document.load_balancer, field.name) is not None
    }
    hidden = (set(COMPUTED) - given) | {"id", "status", "region"}
    if shown["load_balancer"]:
        shown["load_balancer"] = {key: value for key, value in shown["load_balancer"].items() if key not in hidden}
    for group in (*shown["server_groups"], *shown["failover_groups"]):
        del group["id"]
    for entry in shown["listeners"]:
        del entry["status"]
        for part in (*(entry["rules"] or ()), *(entry["domain_extensions"] or ())):
            del part["id"]
    for entry in (*shown["access_lists"], *shown["tls_policies"]):
        del entry["id"], entry["listeners"]
    for entry in (*shown["certificates"], *shown["ca_certificates"]):
        del entry["id"]
    return shown


def _named(document: FrontEnd, group: Observed[ServerGroup]) -> bool:
    return document.state == "absent" or any(group.config.name == desired.name for desired in document.server_groups)


def _listed(document: FrontEnd, entry: Observed[Listener]) -> bool:
    return document.state == "absent" or any(entry.config.symbol == desired.symbol for desired in document.listeners)


def _meant(document: FrontEnd, has: Observed[AccessList]) -> bool:
    if document.state == "absent":
        return has.owner == document.owner and not document.keeps_region
    return any(
        desired.id == has.id if desired.id else desired.name == has.config.name for desired in document.access_lists
    )


def access_list(has: Observed[AccessList]) -> dict[str, t.Any]:
    """An access list as a result."""
    return {
        "id": has.id,
        "name": has.config.name,
        "address_ip_version": has.config.address_ip_version,
        "entries": [dataclasses.asdict(entry) for entry in has.config.entries or ()],
        "tags": dict(has.config.tags or {}),
        "owner": has.owner,
        "listeners": list(has.facts.get("listeners") or ()),
    }


def load_balancer(instance: Observed[LoadBalancer]) -> dict[str, t.Any]:
    """An instance as a result."""
    config = dataclasses.asdict(instance.config)
    del config["purge_tags"]
    return {
        **config,
        "id": instance.id,
        "owner": instance.owner,
        "status": instance.status,
        "region": instance.facts.get("region"),
    }


def server_group(group: Observed[ServerGroup]) -> dict[str, t.Any]:
    """A group as a result."""
    return {
        "id": group.id,
        "name": group.config.name,
        "owner": group.owner,
        "backends": [_backend(member) for member in group.config.backends or ()],
    }


def failover_group(group: Observed[FailoverGroup]) -> dict[str, t.Any]:
    """A primary/secondary group as a result. The API tells nothing of the address of a network interface here."""
    return {
        "id": group.id,
        "name": group.config.name,
        "owner": group.owner,
        "primary": group.config.primary and _side(group.config.primary),
        "standby": group.config.standby and _side(group.config.standby),
    }


def _side(member: Backend) -> dict[str, t.Any]:
    return {**_server(member), "port": member.port, "description": member.description}


def default_pool(pool: t.Iterable[Backend]) -> dict[str, t.Any]:
    """The default pool as a result. Its servers have no port of their own."""
    return {"backends": [{key: value for key, value in _backend(member).items() if key != "port"} for member in pool]}


def _backend(member: Backend) -> dict[str, t.Any]:
    owner, text = unmarked(member.description)
    return {**_server(member), "port": member.port, "weight": member.weight, "description": text, "owner": owner}


def _server(member: Backend) -> dict[str, t.Any]:
    """A server by the options that name it: an interface by its own, all others by server_id."""
    eni = member.type == "eni"
    return {
        "server_id": None if eni else member.server_id,
        "eni_id": member.server_id if eni else None,
        "private_ip": member.private_ip,
        "type": member.type or "ecs",
    }


def listener(entry: Observed[Listener]) -> dict[str, t.Any]:
    """A listener as a result."""
    config = dataclasses.asdict(entry.config)
    for name in ("state", "exists", "purge_tags", "purge_rules", "purge_domain_extensions"):
        del config[name]
    config["health_check"] = _health_check(entry.config.health_check)
    config["rules"] = None if entry.config.rules is None else rules(entry)
    config["domain_extensions"] = None if entry.config.domain_extensions is None else domain_extensions(entry)
    lists = config["access_list"]["lists"]
    config["access_list"]["lists"] = None if lists is None else list(lists)
    return {**config, "owner": entry.owner, "status": entry.status}


def _health_check(check: HealthCheck) -> dict[str, t.Any]:
    shown = dataclasses.asdict(check)
    if shown["connect_port"] == BACKEND_PORT:
        shown["connect_port"] = None
    shown["http_codes"] = None if check.http_codes is None else list(check.http_codes)
    return shown


def rules(entry: Observed[Listener]) -> list[dict[str, t.Any]]:
    """The rules of a listener as a result. What is null goes with the listener."""
    ids = entry.facts.get("rule_ids") or {}
    shown = []
    for rule in entry.config.rules or ():
        fields = {**dataclasses.asdict(rule), "health_check": _health_check(rule.health_check)}
        del fields["state"], fields["health_check"]["method"], fields["health_check"]["type"]
        del fields["health_check"]["request"], fields["health_check"]["expected"]
        shown.append({"id": ids.get((rule.domain, rule.url)), **fields})
    return shown


def domain_extensions(entry: Observed[Listener]) -> list[dict[str, t.Any]]:
    """The further domains of a listener as a result."""
    ids = entry.facts.get("domain_ids") or {}
    return [
        {"id": ids.get(domain.domain), "domain": domain.domain, "certificate": domain.certificate}
        for domain in entry.config.domain_extensions or ()
    ]


def certificate(has: Observed[Certificate]) -> dict[str, t.Any]:
    """A certificate as a result. Neither its PEM nor its key can be read again."""
    config = has.config
    return {
        "id": has.id,
        "name": config.name,
        "fingerprint": config.fingerprint,
        "common_name": config.common_name,
        "subject_alt_names": list(config.subject_alt_names or ()),
        "expires": None if config.expires is None else day(config.expires),
        "tags": dict(config.tags or {}),
        "owner": has.owner,
    }


def tls_policy(has: Observed[TlsPolicy]) -> dict[str, t.Any]:
    """A TLS policy as a result."""
    return {
        "id": has.id,
        "name": has.config.name,
        "tls_versions": list(has.config.tls_versions or ()),
        "ciphers": list(has.config.ciphers or ()),
        "listeners": list(has.facts.get("listeners") or ()),
    }


def the_certificate(document: FrontEnd, option: str, state: CloudState) -> dict[str, t.Any] | None:
    """The one certificate that a document is about, of several of its name the one that is meant."""
    (desired,) = getattr(document, option)
    has = None if desired.state == "absent" else references.choose(document, option, desired, getattr(state, option))
    return None if has is None else certificate(has)
