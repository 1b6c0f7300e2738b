# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listeners."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..cloud import Answer, Call, Cloud, find_balancer, find_listener, in_region
from ..errors import ApiError, invalid, missing, missing_group, missing_resource
from ..forwarding import UNAVAILABLE, check_key
from ..parameters import Parameters, has_tags, tag_list
from ..store import Listener, LoadBalancer
from .access_lists import LISTENERS_PER_LIST, users_of
from .paging import by_token
from .registry import operation

PER_BALANCER = 50
LISTS_PER_LISTENER = 10
ON_OFF = ("on", "off")
HASHES = ("sch", "tch")
SAME_AS_BACKEND = -520  # an old spelling for "no port of its own"
HTTP_CODES = r"http_[1-5]xx(,http_[1-5]xx)*"
_CONFIG = {"tcp": "TCPListenerConfig"}


def _health_check(parameters: Parameters, old: Answer) -> Answer:
    """Settings of the health check; what is not given stays as it was."""
    # Create takes healthCheckInterval with a small h, Set takes HealthCheckInterval.
    interval = "healthCheckInterval" if "healthCheckInterval" in parameters else "HealthCheckInterval"
    found: Answer = {
        "HealthCheck": parameters.choice("HealthCheckSwitch", ON_OFF, old.get("HealthCheck", "on")),
        "HealthCheckType": parameters.choice("HealthCheckType", ("tcp", "http"), old.get("HealthCheckType", "tcp")),
        "HealthCheckConnectTimeout": parameters.integer(
            "HealthCheckConnectTimeout", 1, 300, old.get("HealthCheckConnectTimeout", 5)
        ),
        "HealthCheckInterval": parameters.integer(interval, 1, 50, old.get("HealthCheckInterval", 2)),
        "HealthyThreshold": parameters.integer("HealthyThreshold", 2, 10, old.get("HealthyThreshold", 3)),
        "UnhealthyThreshold": parameters.integer("UnhealthyThreshold", 2, 10, old.get("UnhealthyThreshold", 3)),
    }
    port = parameters.integer(
        "HealthCheckConnectPort", 1, 65535, old.get("HealthCheckConnectPort", SAME_AS_BACKEND), also=[SAME_AS_BACKEND]
    )
    if port != SAME_AS_BACKEND:
        found["HealthCheckConnectPort"] = port
    if found["HealthCheckType"] == "http":
        found.update(
            {
                "HealthCheckDomain": parameters.matching(
                    "HealthCheckDomain", r"\$_ip|[A-Za-z0-9.-]{1,80}", old.get("HealthCheckDomain", "")
                ),
                "HealthCheckURI": parameters.matching(
                    "HealthCheckURI", r"/[A-Za-z0-9/.%?#&=_-]{0,79}", old.get("HealthCheckURI", "/")
                )
                or "/",
                "HealthCheckHttpCode": parameters.matching(
                    "HealthCheckHttpCode", HTTP_CODES, old.get("HealthCheckHttpCode", "http_2xx")
                )
                or "http_2xx",
            }
        )
    return found


def _drain(parameters: Parameters, old: Answer) -> Answer:
    drain = parameters.choice("ConnectionDrain", ON_OFF, old.get("ConnectionDrain", "off"))
    if drain == "off":
        return {"ConnectionDrain": "off"}
    if "ConnectionDrainTimeout" not in parameters and "ConnectionDrainTimeout" not in old:
        raise missing("ConnectionDrainTimeout")
    return {
        "ConnectionDrain": "on",
        "ConnectionDrainTimeout": parameters.integer(
            "ConnectionDrainTimeout", 10, 900, old.get("ConnectionDrainTimeout", 10)
        ),
    }


def _access_lists(cloud: Cloud, parameters: Parameters, balancer: LoadBalancer, old: Answer) -> Answer:
    if parameters.choice("AclStatus", ON_OFF, old.get("AclStatus", "off")) == "off":
        return {"AclStatus": "off"}
    if old.get("AclStatus") != "on" or "AclStatus" in parameters:
        parameters.needed("AclId")
        parameters.needed("AclType")
    ids = parameters.names("AclId", LISTS_PER_LISTENER) or old["AclId"].split(",")
    for list_id in ids:
        found = cloud.state.access_lists.get(list_id)
        if found is None or found.region != balancer.region:
            raise ApiError("AclNotExist")
        if found.version != balancer.attributes["AddressIPVersion"]:
            raise invalid(
                f"The specified AclId is invalid: {list_id} is of another AddressIPVersion than the instance."
            )
        users = [listener for dummy, listener in users_of(cloud, list_id)]
        if list_id not in old.get("AclId", "").split(",") and len(users) >= LISTENERS_PER_LIST:
            raise invalid(f"The specified AclId is invalid: {list_id} serves {LISTENERS_PER_LIST} listeners already.")
    return {
        "AclStatus": "on",
        "AclType": parameters.choice("AclType", ("white", "black"), old.get("AclType", "")),
        "AclId": ",".join(dict.fromkeys(ids)),
    }


def _bandwidth(parameters: Parameters, balancer: LoadBalancer, old: Answer) -> int:
    bandwidth = parameters.integer("Bandwidth", 1, 5120, old.get("Bandwidth", -1), also=[-1])
    attributes = balancer.attributes
    if attributes["InternetChargeType"] == "paybybandwidth" and bandwidth > attributes["Bandwidth"]:
        raise invalid("The specified Bandwidth exceeds the maximum bandwidth available to the instance.")
    return bandwidth


def _scheduler(parameters: Parameters, old: Answer) -> str:
    before = old.get("Scheduler", "")
    wanted = parameters.choice("Scheduler", ("wrr", "rr", *HASHES), before or "wrr")
    if before and (before in HASHES) != (wanted in HASHES):
        raise invalid(f"The specified Scheduler is invalid: {before} can't be changed to {wanted}.")
    return wanted


def _tcp(
    cloud: Cloud, parameters: Parameters, balancer: LoadBalancer, old: Answer, reset_health_check: bool = False
) -> Answer:
    """What TCP listeners have beside port and backends."""
    return {
        **_health_check(parameters, {} if reset_health_check else old),
        **_drain(parameters, old),
        **_access_lists(cloud, parameters, balancer, old),
        "Bandwidth": _bandwidth(parameters, balancer, old),
        "Scheduler": _scheduler(parameters, old),
        "Description": parameters.matching("Description", ".{1,256}", old.get("Description", "")),
        "PersistenceTimeout": parameters.integer("PersistenceTimeout", 0, 3600, old.get("PersistenceTimeout", 0)),
        "EstablishedTimeout": parameters.integer("EstablishedTimeout", 10, 900, old.get("EstablishedTimeout", 900)),
        "ProxyProtocolV2Enabled": (
            parameters.flag("ProxyProtocolV2Enabled")
            if "ProxyProtocolV2Enabled" in parameters
            else old.get("ProxyProtocolV2Enabled", False)
        ),
        "SynProxy": parameters.choice("SynProxy", ("enable", "disable"), old.get("SynProxy", "disable")),
    }


def _group(cloud: Cloud, balancer: LoadBalancer, group_id: str) -> str:
    group = cloud.state.server_groups.get(group_id)
    if group is None or group.load_balancer != balancer.id:
        raise missing_group()
    return group_id


def _backends(cloud: Cloud, parameters: Parameters, balancer: LoadBalancer) -> Answer:
    group_id, primary = parameters.text("VServerGroupId"), parameters.text("MasterSlaveServerGroupId")
    if group_id and primary:
        raise ApiError("Abs.VServerGroupIdAndMasterSlaveServerGroupId.MissMatch")
    if primary:
        raise ApiError("InvalidParameter", "The specified MasterSlaveGroupId does not exist.", 404)
    if group_id:
        return {"VServerGroupId": _group(cloud, balancer, group_id)}
    return {"BackendServerPort": parameters.port("BackendServerPort")}


def _changed_backends(cloud: Cloud, parameters: Parameters, balancer: LoadBalancer, old: Answer) -> Answer:
    """Only VServerGroup=on takes a VServerGroupId: the id alone changes nothing."""
    port = {"BackendServerPort": old["BackendServerPort"]} if "BackendServerPort" in old else {}
    if parameters.choice("MasterSlaveServerGroup", ON_OFF, "off") == "on":
        raise ApiError("InvalidParameter", "The specified MasterSlaveGroupId does not exist.", 404)
    switch = parameters.choice("VServerGroup", ON_OFF)
    if switch == "on":
        return {**port, "VServerGroupId": _group(cloud, balancer, parameters.needed("VServerGroupId"))}
    if switch == "off":
        if not port:
            raise invalid("The listener was created with a group and has no BackendServerPort to go back to.")
        return port
    return {**port, **({"VServerGroupId": old["VServerGroupId"]} if old.get("VServerGroupId") else {})}


def _free_port(balancer: LoadBalancer, port: int, protocol: str) -> None:
    """TCP and UDP may share a port; TCP, HTTP and HTTPS may not."""
    for listener in balancer.listeners.values():
        if listener.port == port and (listener.protocol == "udp") == (protocol == "udp"):
            raise ApiError("ListenerAlreadyExists")


@operation("CreateLoadBalancerTCPListener")
def create_tcp(cloud: Cloud, call: Call) -> Answer:
    balancer, parameters = find_balancer(cloud, call), call.parameters
    port = parameters.port("ListenerPort")
    _free_port(balancer, port, "tcp")
    if len(balancer.listeners) >= PER_BALANCER:
        raise ApiError("ListenerNumberOverLimit")
    settings = {**_tcp(cloud, parameters, balancer, {}), **_backends(cloud, parameters, balancer)}
    listener = Listener(port, "tcp", settings, tags=parameters.tags())
    balancer.listeners[listener.key] = listener
    return {}


@operation("SetLoadBalancerTCPListenerAttribute")
def set_tcp(cloud: Cloud, call: Call) -> Answer:
    balancer, parameters = find_balancer(cloud, call), call.parameters
    listener = balancer.listeners.get(f"tcp_{parameters.port('ListenerPort')}")
    if listener is None:
        raise ApiError("ListenerNotFound")
    cloud.lifecycle.ready(listener, "set")
    reset = cloud.switches["set_omission"] == "reset_health_check"
    settings = {
        **_tcp(cloud, parameters, balancer, listener.settings, reset),
        **_changed_backends(cloud, parameters, balancer, listener.settings),
    }
    if parameters.flag("DryRun"):
        raise ApiError("DryRunOperation")
    listener.settings = settings
    cloud.lifecycle.configure(listener)
    return {}


def _seen(listener: Listener) -> Answer:
    """The settings as Describe operations show them: no backend port where a group is used."""
    hidden = "BackendServerPort" if listener.group else ""
    method = {"HealthCheckMethod": "head"} if listener.settings.get("HealthCheckType") == "http" else {}
    return {name: value for name, value in {**listener.settings, **method}.items() if name != hidden}


@operation("DescribeLoadBalancerTCPListenerAttribute")
def describe_tcp(cloud: Cloud, call: Call) -> Answer:
    balancer = find_balancer(cloud, call)
    listener = balancer.listeners.get(f"tcp_{call.parameters.port('ListenerPort')}")
    if listener is None:
        raise missing_resource()
    return {
        **call.answer(_seen(listener)),
        **({"AclIds": {"AclId": listener.access_lists}} if listener.access_lists else {}),
        "LoadBalancerId": balancer.id,
        "ListenerPort": listener.port,
        "Status": listener.status,
        "Tags": {"Tag": tag_list(listener.tags)},
    }


def _listed(call: Call, balancer: LoadBalancer, listener: Listener) -> dict[str, Any]:
    fields = call.fields["Listeners"].item.fields
    config = fields[_CONFIG[listener.protocol]].fields
    seen = _seen(listener)
    own = {name: value for name, value in seen.items() if name in config}
    own["ProxyProtocolV2Enabled"] = str(seen["ProxyProtocolV2Enabled"]).lower()  # a text in this answer alone
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
            machine = cloud.state.inventory.server(server.server_id)
            key = check_key(balancer, listener, server, backend_port)
            found.append(
                {
                    "ListenerPort": listener.port,
                    "Protocol": listener.protocol,
                    "ServerId": server.server_id,
                    "Port": backend_port,
                    "ServerIp": machine.private_ip if machine else "",
                    "ServerHealthStatus": cloud.health(key).state if checked else UNAVAILABLE,
                }
            )
    return {"BackendServers": {"BackendServer": found}}
