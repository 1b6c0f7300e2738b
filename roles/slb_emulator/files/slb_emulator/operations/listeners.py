# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listeners."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..cloud import Answer, Call, Cloud, find_balancer, find_listener, in_region
from ..errors import ApiError, invalid, missing_failover_group, missing_group, missing_resource
from ..forwarding import UNAVAILABLE, check_key
from ..parameters import Parameters, has_tags, tag_list
from ..store import Listener, LoadBalancer
from .listener_settings import ON_OFF, read_settings
from .paging import by_token
from .registry import operation

_CONFIG = {protocol: f"{protocol.upper()}ListenerConfig" for protocol in ("tcp", "udp", "http", "https")}


def _group(cloud: Cloud, balancer: LoadBalancer, group_id: str) -> str:
    group = cloud.state.server_groups.get(group_id)
    if group is None or group.load_balancer != balancer.id:
        raise missing_group()
    return group_id


def _failover_group(cloud: Cloud, balancer: LoadBalancer, group_id: str) -> str:
    group = cloud.state.failover_groups.get(group_id)
    if group is None or group.load_balancer != balancer.id:
        raise missing_failover_group()
    return group_id


def _backends(cloud: Cloud, parameters: Parameters, balancer: LoadBalancer) -> Answer:
    group_id, primary = parameters.text("VServerGroupId"), parameters.text("MasterSlaveServerGroupId")
    if group_id and primary:
        raise ApiError("Abs.VServerGroupIdAndMasterSlaveServerGroupId.MissMatch")
    if primary:
        return {"MasterSlaveServerGroupId": _failover_group(cloud, balancer, primary)}
    if group_id:
        return {"VServerGroupId": _group(cloud, balancer, group_id)}
    return {"BackendServerPort": parameters.port("BackendServerPort")}


def _changed_backends(cloud: Cloud, parameters: Parameters, balancer: LoadBalancer, old: Answer) -> Answer:
    """Only VServerGroup=on takes a VServerGroupId, and alike for the other kind: the id alone changes nothing.

    The kind that is switched on takes the place of the other one. Both on is documented as impossible.
    """
    port = {"BackendServerPort": old["BackendServerPort"]} if "BackendServerPort" in old else {}
    switches = {
        "VServerGroupId": parameters.choice("VServerGroup", ON_OFF),
        "MasterSlaveServerGroupId": parameters.choice("MasterSlaveServerGroup", ON_OFF),
    }
    if list(switches.values()) == ["on", "on"]:
        raise ApiError("Abs.VServerGroupIdAndMasterSlaveServerGroupId.MissMatch")
    if switches["VServerGroupId"] == "on":
        return {**port, "VServerGroupId": _group(cloud, balancer, parameters.needed("VServerGroupId"))}
    if switches["MasterSlaveServerGroupId"] == "on":
        pair = parameters.needed("MasterSlaveServerGroupId")
        return {**port, "MasterSlaveServerGroupId": _failover_group(cloud, balancer, pair)}
    kept = {name: old[name] for name, switch in switches.items() if old.get(name) and switch != "off"}
    if not kept and not port:
        raise invalid("The listener was created with a group and has no BackendServerPort to go back to.")
    return {**port, **kept}


def _free_port(balancer: LoadBalancer, port: int, protocol: str) -> None:
    """TCP and UDP may share a port; TCP, HTTP and HTTPS may not."""
    for listener in balancer.listeners.values():
        if listener.port == port and (listener.protocol == "udp") == (protocol == "udp"):
            raise ApiError("ListenerAlreadyExists")


def _redirect(parameters: Parameters, balancer: LoadBalancer) -> Answer:
    """A listener that redirects has nothing else. The HTTPS listener has to be there."""
    port = parameters.integer("ForwardPort", 1, 65535, 443)
    if f"https_{port}" not in balancer.listeners:
        raise invalid("The specified ForwardPort is invalid: there is no HTTPS listener of that port.")
    return {
        "ListenerForward": "on",
        "ForwardPort": port,
        "HealthCheck": "off",
        "StickySession": "off",
        "Bandwidth": -1,
        "Description": parameters.matching("Description", ".{1,256}"),
        "AclStatus": "off",
        "Scheduler": "wrr",
    }


def _create(cloud: Cloud, call: Call, protocol: str) -> Answer:
    balancer, parameters = find_balancer(cloud, call), call.parameters
    port = parameters.port("ListenerPort")
    _free_port(balancer, port, protocol)
    if len(balancer.listeners) >= cloud.quotas["listeners"]:
        raise ApiError("ListenerNumberOverLimit")
    if protocol == "http" and parameters.choice("ListenerForward", ON_OFF, "off") == "on":
        settings = _redirect(parameters, balancer)
    else:
        settings = {**read_settings(cloud, parameters, balancer, protocol), **_backends(cloud, parameters, balancer)}
        if protocol == "http":
            settings["ListenerForward"] = "off"
    listener = Listener(port, protocol, settings, tags=parameters.tags())
    balancer.listeners[listener.key] = listener
    return {}


def _set(cloud: Cloud, call: Call, protocol: str) -> Answer:
    balancer, parameters = find_balancer(cloud, call), call.parameters
    listener = balancer.listeners.get(f"{protocol}_{parameters.port('ListenerPort')}")
    if listener is None:
        raise ApiError("ListenerNotFound")
    if listener.redirects:
        raise ApiError("Operation.NotAllowed", "The HTTP listener does not support this action.")
    cloud.lifecycle.ready(listener, "set")
    settings = {
        **read_settings(cloud, parameters, balancer, protocol, listener),
        **_changed_backends(cloud, parameters, balancer, listener.settings),
    }
    if protocol == "http":
        settings["ListenerForward"] = "off"
    if parameters.flag("DryRun"):
        raise ApiError("DryRunOperation")
    listener.settings = settings
    cloud.lifecycle.configure(listener)
    return {}


@operation("CreateLoadBalancerTCPListener")
def create_tcp(cloud: Cloud, call: Call) -> Answer:
    return _create(cloud, call, "tcp")


@operation("CreateLoadBalancerUDPListener")
def create_udp(cloud: Cloud, call: Call) -> Answer:
    return _create(cloud, call, "udp")


@operation("CreateLoadBalancerHTTPListener")
def create_http(cloud: Cloud, call: Call) -> Answer:
    return _create(cloud, call, "http")


@operation("CreateLoadBalancerHTTPSListener")
def create_https(cloud: Cloud, call: Call) -> Answer:
    return _create(cloud, call, "https")


@operation("SetLoadBalancerHTTPListenerAttribute")
def set_http(cloud: Cloud, call: Call) -> Answer:
    return _set(cloud, call, "http")


@operation("SetLoadBalancerHTTPSListenerAttribute")
def set_https(cloud: Cloud, call: Call) -> Answer:
    return _set(cloud, call, "https")


@operation("SetLoadBalancerTCPListenerAttribute")
def set_tcp(cloud: Cloud, call: Call) -> Answer:
    return _set(cloud, call, "tcp")


@operation("SetLoadBalancerUDPListenerAttribute")
def set_udp(cloud: Cloud, call: Call) -> Answer:
    return _set(cloud, call, "udp")


def _seen(listener: Listener) -> Answer:
    """The settings as Describe operations show them: no backend port where a group is used."""
    hidden = "BackendServerPort" if listener.group or listener.failover_group else ""
    method = {"HealthCheckMethod": "head"} if listener.settings.get("HealthCheckType") == "http" else {}
    return {name: value for name, value in {**listener.settings, **method}.items() if name != hidden}


def _describe(cloud: Cloud, call: Call, protocol: str) -> Answer:
    balancer = find_balancer(cloud, call)
    listener = balancer.listeners.get(f"{protocol}_{call.parameters.port('ListenerPort')}")
    if listener is None:
        raise missing_resource()
    return {
        **call.answer(_seen(listener)),
        **({"AclIds": {"AclId": listener.access_lists}} if listener.access_lists else {}),
        "LoadBalancerId": balancer.id,
        "ListenerPort": listener.port,
        "Status": listener.status,
        "Tags": {"Tag": tag_list(listener.tags)},
        **_parts(listener),
    }


def _parts(listener: Listener) -> Answer:
    """What only listeners of layer 7 have."""
    found: Answer = {}
    if listener.layer_7:
        rules = [
            {
                "RuleId": rule.id,
                "RuleName": rule.name,
                "Domain": rule.domain,
                "Url": rule.url,
                "VServerGroupId": rule.group,
            }
            for rule in listener.rules
        ]
        found["Rules"] = {"Rule": rules}
    if listener.protocol == "https":
        domains = [
            {"Domain": entry.domain, "DomainExtensionId": entry.id, "ServerCertificateId": entry.certificate}
            for entry in listener.domain_extensions
        ]
        found["DomainExtensions"] = {"DomainExtension": domains}
    return found


@operation("DescribeLoadBalancerHTTPListenerAttribute")
def describe_http(cloud: Cloud, call: Call) -> Answer:
    return _describe(cloud, call, "http")


@operation("DescribeLoadBalancerHTTPSListenerAttribute")
def describe_https(cloud: Cloud, call: Call) -> Answer:
    return _describe(cloud, call, "https")


@operation("DescribeLoadBalancerTCPListenerAttribute")
def describe_tcp(cloud: Cloud, call: Call) -> Answer:
    return _describe(cloud, call, "tcp")


@operation("DescribeLoadBalancerUDPListenerAttribute")
def describe_udp(cloud: Cloud, call: Call) -> Answer:
    return _describe(cloud, call, "udp")


def _listed(call: Call, balancer: LoadBalancer, listener: Listener) -> dict[str, Any]:
    fields = call.fields["Listeners"].item.fields
    config = fields[_CONFIG[listener.protocol]].fields
    seen = _seen(listener)
    own = {name: value for name, value in seen.items() if name in config}
    if "ProxyProtocolV2Enabled" in own:
        own["ProxyProtocolV2Enabled"] = str(own["ProxyProtocolV2Enabled"]).lower()  # a text in this answer alone
    return {
        **{name: value for name, value in seen.items() if name in fields},
        **({"AclIds": listener.access_lists} if listener.access_lists else {}),
        "LoadBalancerId": balancer.id,
        "ListenerPort": listener.port,
        "ListenerProtocol": listener.protocol,
        "Status": listener.status,
        "Tags": tag_list(listener.tags),
        _CONFIG[listener.protocol]: own,
    }


def _wanted(parameters: Parameters, balancers: Iterable[LoadBalancer]) -> list[tuple[LoadBalancer, Listener]]:
    protocol = parameters.choice("ListenerProtocol", ("tcp", "udp", "http", "https"))
    port = parameters.integer("ListenerPort", 1, 65535, 0)
    return [
        (balancer, listener)
        for balancer in balancers
        for listener in balancer.listeners.values()
        if protocol in ("", listener.protocol)
        and port in (0, listener.port)
        and parameters.text("Description") in ("", listener.settings["Description"])
        and has_tags(listener.tags, parameters.tag_filter())
    ]


@operation("DescribeLoadBalancerListeners")
def describe_all(cloud: Cloud, call: Call) -> Answer:
    ids = call.parameters.texts("LoadBalancerId", 10)
    balancers = [balancer for balancer in in_region(cloud, call.region) if not ids or balancer.id in ids]
    if len(ids) == 1 and not balancers:
        raise ApiError("InvalidLoadBalancerId.NotFound")
    size = call.parameters.integer("MaxResults", 1, 100, 20)
    found = _wanted(call.parameters, balancers)
    page, token = by_token(call.parameters, found, size)
    return {
        "Listeners": [_listed(call, balancer, listener) for balancer, listener in page],
        "NextToken": token,
        "MaxResults": size,
        "TotalCount": len(found),
    }


@operation("StartLoadBalancerListener")
def start(cloud: Cloud, call: Call) -> Answer:
    dummy, listener = find_listener(cloud, call)
    cloud.lifecycle.ready(listener, "start")
    if listener.status != "stopped":
        raise ApiError("Operation.NotAllowed", "The listener is not stopped.")
    cloud.lifecycle.go(listener, "starting", "running")
    return {}


@operation("StopLoadBalancerListener")
def stop(cloud: Cloud, call: Call) -> Answer:
    dummy, listener = find_listener(cloud, call)
    cloud.lifecycle.ready(listener, "stop")
    if listener.status != "running":
        raise ApiError("Operation.NotAllowed", "The listener is not running.")
    cloud.lifecycle.go(listener, "stopping", "stopped")
    return {}


@operation("DeleteLoadBalancerListener")
def delete(cloud: Cloud, call: Call) -> Answer:
    balancer, listener = find_listener(cloud, call)
    cloud.lifecycle.ready(listener, "delete")
    targets = [other.settings["ForwardPort"] for other in balancer.listeners.values() if other.redirects]
    if listener.protocol == "https" and listener.port in targets:
        raise ApiError("ListenerForwardExist")
    del balancer.listeners[listener.key]
    if not balancer.listeners and cloud.switches["last_listener"] == "deactivate":
        balancer.attributes["LoadBalancerStatus"] = "inactive"
    return {}


@operation("DescribeHealthStatus")
def describe_health(cloud: Cloud, call: Call) -> Answer:
    balancer, parameters = find_balancer(cloud, call), call.parameters
    port = parameters.integer("ListenerPort", 1, 65535, 0)
    protocol = parameters.choice("ListenerProtocol", ("tcp", "udp", "http", "https"))
    listeners = [
        listener
        for listener in balancer.listeners.values()
        if port in (0, listener.port) and protocol in ("", listener.protocol)
    ]
    if port and not listeners:
        raise ApiError("CheckedListenerNotFound")
    if port and len(listeners) > 1:
        raise ApiError("TooManyListeners")
    found = []
    for listener in listeners:
        checked = listener.serving and balancer.active and listener.settings["HealthCheck"] == "on"
        for server, backend_port in cloud.state.members(balancer, listener):
            place = cloud.state.inventory.place(server.server_id, server.server_ip)
            key = check_key(balancer, listener, server, backend_port)
            found.append(
                {
                    "ListenerPort": listener.port,
                    "Protocol": listener.protocol,
                    "ServerId": server.server_id,
                    "Port": backend_port,
                    "ServerIp": place[1] if place else "",
                    "ServerHealthStatus": cloud.health(key).state if checked else UNAVAILABLE,
                }
            )
    return {"BackendServers": {"BackendServer": found}}
