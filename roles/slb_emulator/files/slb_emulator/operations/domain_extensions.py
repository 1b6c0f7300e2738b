# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Additional domains of HTTPS listeners."""

from __future__ import annotations

from ..cloud import Answer, Call, Cloud, find_balancer
from ..errors import ApiError, invalid
from ..store import DomainExtension, Listener, LoadBalancer
from .registry import operation
from .rules import DOMAIN

AT_MOST = 10  # whatever quota was granted


def _listener(cloud: Cloud, call: Call) -> Listener:
    listener = find_balancer(cloud, call).listeners.get(f"https_{call.parameters.port('ListenerPort')}")
    if listener is None:
        raise ApiError("ListenerNotFound")
    return listener


def _found(cloud: Cloud, call: Call) -> tuple[LoadBalancer, Listener, DomainExtension]:
    wanted = call.parameters.needed("DomainExtensionId")
    for balancer in cloud.state.load_balancers.values():
        for listener in balancer.listeners.values() if balancer.region == call.region else ():
            for entry in listener.domain_extensions:
                if entry.id == wanted:
                    return balancer, listener, entry
    raise ApiError("InvalidParameter.DomainExtensionId")


def _changing(cloud: Cloud, listener: Listener) -> None:
    if cloud.clock() < listener.domains_busy_until:
        raise ApiError("DomainExtensionProcessing")


def _certificate(cloud: Cloud, call: Call) -> str:
    found = cloud.state.certificates.get(call.parameters.needed("ServerCertificateId"))
    if found is None or found.ca or found.region != call.region:
        raise ApiError("ServerCertificateId.NotFound")
    return found.id


@operation("CreateDomainExtension")
def create(cloud: Cloud, call: Call) -> Answer:
    listener = _listener(cloud, call)
    _changing(cloud, listener)
    call.parameters.needed("Domain")
    domain = call.parameters.matching("Domain", DOMAIN).lower()
    if any(entry.domain == domain for entry in listener.domain_extensions):
        raise invalid("The specified Domain already exists.")  # which code the cloud has for it is not documented
    if len(listener.domain_extensions) >= min(AT_MOST, cloud.quotas["domain_extensions"]):
        raise ApiError("OverQuota", "The quota of domain extensions is exceeded.")
    made = DomainExtension(cloud.new_id("de"), domain, _certificate(cloud, call))
    listener.domain_extensions.append(made)
    listener.domains_busy_until = cloud.busy_until()
    return call.answer({"DomainExtensionId": made.id, "ListenerPort": listener.port})


@operation("SetDomainExtensionAttribute")
def set_attribute(cloud: Cloud, call: Call) -> Answer:
    dummy, listener, found = _found(cloud, call)
    _changing(cloud, listener)
    found.certificate = _certificate(cloud, call)
    listener.domains_busy_until = cloud.busy_until()
    return {}


@operation("DeleteDomainExtension")
def delete(cloud: Cloud, call: Call) -> Answer:
    dummy, listener, found = _found(cloud, call)
    _changing(cloud, listener)
    if any(rule.domain == found.domain for rule in listener.rules):
        raise ApiError("DomainExtensionRelatedRuleExist")
    listener.domain_extensions.remove(found)
    listener.domains_busy_until = cloud.busy_until()
    return {}


def _described(found: DomainExtension) -> Answer:
    return {"Domain": found.domain, "DomainExtensionId": found.id, "ServerCertificateId": found.certificate}


@operation("DescribeDomainExtensions")
def describe_all(cloud: Cloud, call: Call) -> Answer:
    wanted = call.parameters.text("DomainExtensionId")
    found = [_described(entry) for entry in _listener(cloud, call).domain_extensions if wanted in ("", entry.id)]
    return {"DomainExtensions": {"DomainExtension": found}}


@operation("DescribeDomainExtensionAttribute")
def describe(cloud: Cloud, call: Call) -> Answer:
    balancer, listener, found = _found(cloud, call)
    return {**_described(found), "LoadBalancerId": balancer.id, "ListenerPort": listener.port}
