# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a listener can be told beside its port and its backends, by protocol. Settings have the names of the API's answers."""

from __future__ import annotations

from collections.abc import Callable

from ..cloud import Answer, Cloud
from ..errors import ApiError, invalid, missing
from ..parameters import Parameters
from ..store import Listener, LoadBalancer
from .access_lists import users_of

LISTS_PER_LISTENER = 10
ON_OFF = ("on", "off")
HASHES = ("sch", "tch", "qch")
SAME_AS_BACKEND = -520  # an old spelling for "no port of its own"
HTTP_CODES = r"http_[1-5]xx(,http_[1-5]xx)*"


def _check_times(parameters: Parameters, old: Answer, timeout: int, interval: int) -> Answer:
    """What the health checks of TCP and UDP have in common; timeout and interval are the defaults in seconds."""
    # Create takes healthCheckInterval with a small h, Set takes HealthCheckInterval.
    name = "healthCheckInterval" if "healthCheckInterval" in parameters else "HealthCheckInterval"
    found: Answer = {
        "HealthCheck": parameters.choice("HealthCheckSwitch", ON_OFF, old.get("HealthCheck", "on")),
        "HealthCheckConnectTimeout": parameters.integer(
            "HealthCheckConnectTimeout", 1, 300, old.get("HealthCheckConnectTimeout", timeout)
        ),
        "HealthCheckInterval": parameters.integer(name, 1, 50, old.get("HealthCheckInterval", interval)),
        "HealthyThreshold": parameters.integer("HealthyThreshold", 2, 10, old.get("HealthyThreshold", 3)),
        "UnhealthyThreshold": parameters.integer("UnhealthyThreshold", 2, 10, old.get("UnhealthyThreshold", 3)),
    }
    port = parameters.integer(
        "HealthCheckConnectPort", 1, 65535, old.get("HealthCheckConnectPort", SAME_AS_BACKEND), also=[SAME_AS_BACKEND]
    )
    if port != SAME_AS_BACKEND:
        found["HealthCheckConnectPort"] = port
    return found


def _tcp_check(parameters: Parameters, old: Answer) -> Answer:
    found = {
        **_check_times(parameters, old, 5, 2),
        "HealthCheckType": parameters.choice("HealthCheckType", ("tcp", "http"), old.get("HealthCheckType", "tcp")),
    }
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


def _udp_check(parameters: Parameters, old: Answer) -> Answer:
    """Without request and answer the cloud looks for ICMP errors."""
    found = {
        name: parameters.matching(wire, r"[A-Za-z0-9]{1,64}", old.get(name, ""))
        for name, wire in (("HealthCheckReq", "healthCheckReq"), ("HealthCheckExp", "healthCheckExp"))
    }
    if bool(found["HealthCheckReq"]) != bool(found["HealthCheckExp"]):
        raise invalid("The specified healthCheckReq and healthCheckExp must be used together.")
    return {**_check_times(parameters, old, 10, 5), **found}


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
        most = cloud.quotas["listeners_of_access_list"]
        if list_id not in old.get("AclId", "").split(",") and len(users) >= most:
            raise invalid(f"The specified AclId is invalid: {list_id} serves {most} listeners already.")
    return {
        "AclStatus": "on",
        "AclType": parameters.choice("AclType", ("white", "black"), old.get("AclType", "")),
        "AclId": ",".join(dict.fromkeys(ids)),
    }


def _bandwidth(parameters: Parameters, balancer: LoadBalancer, old: Answer, others: list[Listener]) -> int:
    """Where the instance is paid by its bandwidth, the listeners share it; -1 takes what is left."""
    bandwidth = parameters.integer("Bandwidth", 1, 5120, old.get("Bandwidth", -1), also=[-1])
    attributes = balancer.attributes
    taken = sum(max(int(listener.settings["Bandwidth"]), 0) for listener in others)
    if (
        attributes["InternetChargeType"] == "paybybandwidth"
        and bandwidth > 0
        and taken + bandwidth > attributes["Bandwidth"]
    ):
        raise invalid("The specified Bandwidth exceeds the maximum bandwidth available to the instance.")
    return bandwidth


def _scheduler(parameters: Parameters, before: str, allowed: tuple[str, ...]) -> str:
    wanted = parameters.choice("Scheduler", allowed, before or "wrr")
    if before and (before in HASHES) != (wanted in HASHES):
        raise invalid(f"The specified Scheduler is invalid: {before} can't be changed to {wanted}.")
    return wanted


def _flag(parameters: Parameters, name: str, old: Answer) -> bool:
    return parameters.flag(name) if name in parameters else bool(old.get(name, False))


def _tcp(parameters: Parameters, old: Answer, before: str) -> Answer:
    return {
        **_drain(parameters, old),
        "Scheduler": _scheduler(parameters, before, ("wrr", "rr", "sch", "tch")),
        "PersistenceTimeout": parameters.integer("PersistenceTimeout", 0, 3600, old.get("PersistenceTimeout", 0)),
        "EstablishedTimeout": parameters.integer("EstablishedTimeout", 10, 900, old.get("EstablishedTimeout", 900)),
        "SynProxy": parameters.choice("SynProxy", ("enable", "disable"), old.get("SynProxy", "disable")),
    }


def _udp(parameters: Parameters, old: Answer, before: str) -> Answer:
    # An answer tells of a drain, but no parameter turns it on.
    return {"ConnectionDrain": "off", "Scheduler": _scheduler(parameters, before, ("wrr", "rr", "sch", "tch", "qch"))}


COOKIE = r"[!-#%-+\x2d-:<-~][!-+\x2d-:<-~]{0,199}"
BUILT_IN_POLICIES = (
    "tls_cipher_policy_1_0",
    "tls_cipher_policy_1_1",
    "tls_cipher_policy_1_2",
    "tls_cipher_policy_1_2_strict",
    "tls_cipher_policy_1_2_strict_with_1_3",
)


def stickiness(parameters: Parameters, old: Answer) -> Answer:
    """Of a listener of layer 7, or of a rule."""
    sticky = parameters.choice("StickySession", ON_OFF, old.get("StickySession", "off"))
    if sticky == "off":
        return {"StickySession": "off"}
    kind = parameters.choice("StickySessionType", ("insert", "server"), old.get("StickySessionType", ""))
    if not kind:
        raise missing("StickySessionType")
    name = "CookieTimeout" if kind == "insert" else "Cookie"
    if name not in parameters and name not in old:
        raise missing(name)
    found: Answer = {"StickySession": "on", "StickySessionType": kind}
    if kind == "insert":
        found[name] = parameters.integer(name, 1, 86400, old.get(name, 1))
    else:
        found[name] = parameters.matching(name, COOKIE, old.get(name, ""))
    return found


def http_check(parameters: Parameters, old: Answer) -> Answer:
    """The health check of a listener of layer 7, or of a rule."""
    found: Answer = {"HealthCheck": parameters.choice("HealthCheck", ON_OFF, old.get("HealthCheck", "off"))}
    found.update(
        {
            "HealthCheckTimeout": parameters.integer("HealthCheckTimeout", 1, 300, old.get("HealthCheckTimeout", 5)),
            "HealthCheckInterval": parameters.integer("HealthCheckInterval", 1, 50, old.get("HealthCheckInterval", 2)),
            "HealthyThreshold": parameters.integer("HealthyThreshold", 2, 10, old.get("HealthyThreshold", 3)),
            "UnhealthyThreshold": parameters.integer("UnhealthyThreshold", 2, 10, old.get("UnhealthyThreshold", 3)),
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
    port = parameters.integer(
        "HealthCheckConnectPort", 1, 65535, old.get("HealthCheckConnectPort", SAME_AS_BACKEND), also=[SAME_AS_BACKEND]
    )
    if port != SAME_AS_BACKEND:
        found["HealthCheckConnectPort"] = port
    return found


def _layer_7_check(parameters: Parameters, old: Answer) -> Answer:
    method = parameters.choice("HealthCheckMethod", ("head", "get"), old.get("HealthCheckMethod", "head"))
    return {**http_check(parameters, old), "HealthCheckMethod": method}


#: Headers and gzip: what they are where nothing is said.
_SWITCHED = {
    "XForwardedFor": "on",
    "XForwardedFor_SLBIP": "off",
    "XForwardedFor_SLBID": "off",
    "XForwardedFor_SLBPORT": "off",
    "XForwardedFor_ClientSrcPort": "off",
    "XForwardedFor_proto": "off",
    "Gzip": "on",
}


def _http(parameters: Parameters, old: Answer, before: str) -> Answer:
    return {
        "Scheduler": _scheduler(parameters, before, ("wrr", "rr")),
        **stickiness(parameters, old),
        **{name: parameters.choice(name, ON_OFF, old.get(name, default)) for name, default in _SWITCHED.items()},
        "IdleTimeout": parameters.integer("IdleTimeout", 1, 60, old.get("IdleTimeout", 15)),
        "RequestTimeout": parameters.integer("RequestTimeout", 1, 180, old.get("RequestTimeout", 60)),
    }


def _https(parameters: Parameters, old: Answer, before: str) -> Answer:
    http2 = parameters.choice("EnableHttp2", ON_OFF, old.get("EnableHttp2", "on"))
    return {**_http(parameters, old, before), "EnableHttp2": http2}


def _security(cloud: Cloud, parameters: Parameters, balancer: LoadBalancer, old: Answer) -> Answer:
    """Certificates and policy of an HTTPS listener; an empty CACertificateId takes that one away."""
    certificate = parameters.text("ServerCertificateId", old.get("ServerCertificateId", ""))
    if not certificate:
        raise missing("ServerCertificateId")
    authority = parameters.text("CACertificateId", old.get("CACertificateId", ""))
    for found, ca, code in (
        (certificate, False, "ServerCertificateId.NotFound"),
        (authority, True, "CACertificateId.NotFound"),
    ):
        known = cloud.state.certificates.get(found)
        if found and (known is None or known.ca != ca or known.region != balancer.region):
            raise ApiError(code)
    policy = parameters.text("TLSCipherPolicy", old.get("TLSCipherPolicy", "")) or BUILT_IN_POLICIES[0]
    own = cloud.state.tls_policies.get(policy)
    if policy not in BUILT_IN_POLICIES and (own is None or own.region != balancer.region):
        raise invalid(f"The specified TLSCipherPolicy is invalid: {policy!r}.")
    return {
        "ServerCertificateId": certificate,
        **({"CACertificateId": authority} if authority else {}),
        "TLSCipherPolicy": policy,
    }


_CHECKS: dict[str, Callable[[Parameters, Answer], Answer]] = {
    "tcp": _tcp_check,
    "udp": _udp_check,
    "http": _layer_7_check,
    "https": _layer_7_check,
}
# the last parameter is the scheduler that there is
_OWN: dict[str, Callable[[Parameters, Answer, str], Answer]] = {
    "tcp": _tcp,
    "udp": _udp,
    "http": _http,
    "https": _https,
}


def read_settings(
    cloud: Cloud, parameters: Parameters, balancer: LoadBalancer, protocol: str, listener: Listener | None = None
) -> Answer:
    """The settings of a listener that is made (None) or set; set_omission decides what is kept of what is not sent."""
    omission = cloud.switches["set_omission"]
    has = listener.settings if listener else {}
    old = {} if omission == "reset_all" else has
    # a scheduler that is reset is not refused for its family
    scheduler = str((has if "Scheduler" in parameters else old).get("Scheduler", ""))
    others = [other for other in balancer.listeners.values() if other is not listener]
    return {
        **_CHECKS[protocol](parameters, {} if omission == "reset_health_check" else old),
        **_OWN[protocol](parameters, old, scheduler),
        **_access_lists(cloud, parameters, balancer, old),
        "Bandwidth": _bandwidth(parameters, balancer, old, others),
        "Description": parameters.matching("Description", ".{1,256}", old.get("Description", "")),
        **(
            {"ProxyProtocolV2Enabled": _flag(parameters, "ProxyProtocolV2Enabled", old)}
            if protocol in ("tcp", "udp")
            else {}
        ),
        **(
            _security(cloud, parameters, balancer, old if omission == "keep" else {**has, **old})
            if protocol == "https"
            else {}
        ),
    }
