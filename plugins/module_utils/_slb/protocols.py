# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a listener of each protocol can be told: one table for each says how an option is called on the wire, in which calls,
which values it takes, and what the API makes of its absence.

The source is section 2.2 of the notes on the API, for ranges and characters the texts of the SDK's models.
Pure: no network, no clock, no Ansible.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .errors import quoted

#: What would be right, where a value is wrong; None where it is right.
Rule = t.Callable[[t.Any], t.Optional[str]]

#: The API's word for a check of the port on which the backend serves. Answers leave it out as well.
BACKEND_PORT = -520
#: The API's old word for a Host header with the backend's own address, which is what no domain means too.
BACKEND_ADDRESS = "$_ip"


def _anything(value: t.Any) -> str | None:
    return None


def _between(low: int, high: int, *others: int, what: str = "") -> Rule:
    return lambda value: None if low <= value <= high or value in others else what or f"{low} to {high} are possible"


def _one_of(*words: str) -> Rule:
    def rule(value: str | tuple[str, ...]) -> str | None:
        given = value if isinstance(value, tuple) else (value,)
        return None if set(given) <= set(words) else f"{quoted(words)} are possible"

    return rule


def _text(pattern: str, what: str) -> Rule:
    # compiled where it is needed only: most tasks give none of these options
    return lambda value: None if re.fullmatch(pattern, value, re.ASCII) else what


def _switch(value: bool) -> str:
    return "on" if value else "off"


def is_on(value: t.Any) -> bool:
    """A switch of an answer, whether it is told as a word or as a truth value."""
    return str(value).lower() in ("on", "true")


def _codes(value: tuple[str, ...]) -> str:
    return ",".join(value)


def _code_set(value: t.Any) -> tuple[str, ...]:
    return tuple(sorted(code for code in str(value).split(",") if code))


def domain(value: str) -> str:
    """The one spelling of a domain that means the backend's own address."""
    return "" if value == BACKEND_ADDRESS else value


def _port(value: t.Any) -> int:
    return int(value) if int(value) > 0 else BACKEND_PORT


def _same(value: t.Any) -> t.Any:
    return value


@dataclasses.dataclass(frozen=True)
class Field:
    """An option of a listener on the wire. default is what the API does where the option is absent at creation."""

    option: str
    wire: str
    default: t.Any = None
    rule: Rule = _anything
    write: t.Callable[[t.Any], t.Any] = _same
    read: t.Callable[[t.Any], t.Any] = _same
    #: Names that differ in one of the calls.
    create: str | None = None
    answer: str | None = None
    #: The value that takes the setting away; the API wants no value rather than this one where there is none.
    nothing: t.Any = None
    #: The kind of objects whose name is given here, and whose id goes over the wire: the plan writes it, not the table.
    refers: str | None = None


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The options of a listener and of its health check, and the operations that take them."""

    create: str
    change: str
    fields: tuple[Field, ...]
    health_check: tuple[Field, ...]
    #: Settings without an option, which only this operation tells. A Set call sends them back, for it might reset them.
    describe: str | None = None
    unlisted: tuple[str, ...] = ()


BANDWIDTH = Field(
    "bandwidth", "Bandwidth", -1, _between(1, 5120, -1, what="-1 (no limit) or 1 to 5120 Mbit/s are possible"), read=int
)
DESCRIPTION = Field(
    "description",
    "Description",
    "",
    _text(r"[^\x00-\x1f\x7f]{0,256}", "at most 256 characters are possible, and no control characters"),
    nothing="",
)
PROXY_PROTOCOL = Field("proxy_protocol_v2", "ProxyProtocolV2Enabled", False, read=is_on)
#: What listeners of every protocol have.
COMMON = (Field("scheduler", "Scheduler"), BANDWIDTH, DESCRIPTION)

ENABLED = Field("enabled", "HealthCheckSwitch", True, write=_switch, read=is_on, answer="HealthCheck")
CONNECT_PORT = Field(
    "connect_port",
    "HealthCheckConnectPort",
    BACKEND_PORT,
    _between(1, 65535, BACKEND_PORT, what=f"1 to 65535 are possible, or {BACKEND_PORT} for the backend's own port"),
    read=_port,
    nothing=BACKEND_PORT,
)
THRESHOLDS = (
    Field("healthy_threshold", "HealthyThreshold", 3, _between(2, 10), read=int),
    Field("unhealthy_threshold", "UnhealthyThreshold", 3, _between(2, 10), read=int),
)


def _times(timeout: int, interval: int) -> tuple[Field, ...]:
    """The times of a check in seconds, which differ in their defaults."""
    return (
        Field("timeout", "HealthCheckConnectTimeout", timeout, _between(1, 300), read=int),
        # the one name that differs between Create and Set
        Field("interval", "HealthCheckInterval", interval, _between(1, 50), read=int, create="healthCheckInterval"),
    )


DOMAIN = Field(
    "domain",
    "HealthCheckDomain",
    "",
    _text(r"[A-Za-z0-9.-]{0,80}", "at most 80 letters, digits, '.' and '-' are possible"),
    read=domain,
    nothing="",
)
URI = Field(
    "uri",
    "HealthCheckURI",
    "/",
    _text(
        r"/[\w/.%?#&=-]{0,79}",
        "it has to begin with '/' and have at most 80 characters, which are letters, digits or one of /.%?#&=_-",
    ),
)
HTTP_CODES = Field(
    "http_codes",
    "HealthCheckHttpCode",
    ("http_2xx",),
    _one_of("http_2xx", "http_3xx", "http_4xx", "http_5xx"),
    write=_codes,
    read=_code_set,
)
#: The health check of layer 7, of a listener and, but for the method, of a rule.
HTTP_CHECK = (
    Field("enabled", "HealthCheck", True, write=_switch, read=is_on),
    CONNECT_PORT,
    Field("timeout", "HealthCheckTimeout", 5, _between(1, 300), read=int),
    Field("interval", "HealthCheckInterval", 2, _between(1, 50), read=int),
    *THRESHOLDS,
    DOMAIN,
    URI,
    HTTP_CODES,
)
METHOD = Field("method", "HealthCheckMethod", "head", _one_of("head", "get"), read=lambda value: str(value).lower())


def _on_off(option: str, wire: str, default: bool) -> Field:
    return Field(option, wire, default, write=_switch, read=is_on)


#: How a client keeps its server by a cookie.
STICKINESS = (
    _on_off("sticky_session", "StickySession", False),
    Field("sticky_session_type", "StickySessionType", None, _one_of("insert", "server")),
    Field(
        "cookie",
        "Cookie",
        None,
        _text(
            r"[^\x00-\x20,;$\x7f][^\x00-\x20,;\x7f]{0,199}",
            "1 to 200 characters are possible, no blank, ',' or ';', and no '$' in front",
        ),
    ),
    Field("cookie_timeout", "CookieTimeout", None, _between(1, 86400), read=int),
)
ROUND_ROBIN = Field("scheduler", "Scheduler", "wrr", _one_of("wrr", "rr"))
#: What listeners of HTTP and HTTPS share.
LAYER_7 = (
    ROUND_ROBIN,
    BANDWIDTH,
    DESCRIPTION,
    *STICKINESS,
    _on_off("x_forwarded_for", "XForwardedFor", True),
    _on_off("x_forwarded_for_proto", "XForwardedFor_proto", False),
    _on_off("x_forwarded_for_slb_id", "XForwardedFor_SLBID", False),
    _on_off("x_forwarded_for_slb_ip", "XForwardedFor_SLBIP", False),
    _on_off("x_forwarded_for_slb_port", "XForwardedFor_SLBPORT", False),
    _on_off("x_forwarded_for_client_src_port", "XForwardedFor_ClientSrcPort", False),
    _on_off("gzip", "Gzip", True),
    Field("idle_timeout", "IdleTimeout", 15, _between(1, 60), read=int),
    Field("request_timeout", "RequestTimeout", 60, _between(1, 180), read=int),
)
#: The policies that the cloud brings along; others are found by their name or their id.
TLS_POLICIES = (
    "tls_cipher_policy_1_0",
    "tls_cipher_policy_1_1",
    "tls_cipher_policy_1_2",
    "tls_cipher_policy_1_2_strict",
    "tls_cipher_policy_1_2_strict_with_1_3",
)
#: What a rule may have of its own, where it does not go with its listener.
RULE = ((ROUND_ROBIN, *STICKINESS), HTTP_CHECK)


def _answer(option: str, wire: str, answer: str) -> Field:
    """One half of a UDP check by request and answer; without them the cloud looks for ICMP errors."""
    rule = _text(r"[A-Za-z0-9]{0,64}", "at most 64 letters and digits are possible")
    return Field(option, wire, "", rule, answer=answer, nothing="")


PROTOCOLS: dict[str, Protocol] = {
    "tcp": Protocol(
        create="CreateLoadBalancerTCPListener",
        change="SetLoadBalancerTCPListenerAttribute",
        fields=(
            Field("scheduler", "Scheduler", "wrr", _one_of("wrr", "rr", "sch", "tch")),
            BANDWIDTH,
            DESCRIPTION,
            Field("persistence_timeout", "PersistenceTimeout", 0, _between(0, 3600), read=int),
            Field("established_timeout", "EstablishedTimeout", 900, _between(10, 900), read=int),
            Field("connection_drain", "ConnectionDrain", False, write=_switch, read=is_on),
            Field("connection_drain_timeout", "ConnectionDrainTimeout", None, _between(10, 900), read=int),
            PROXY_PROTOCOL,
        ),
        health_check=(
            ENABLED,
            Field("type", "HealthCheckType", "tcp", _one_of("tcp", "http")),
            CONNECT_PORT,
            *_times(5, 2),
            *THRESHOLDS,
            DOMAIN,
            URI,
            HTTP_CODES,
        ),
        describe="DescribeLoadBalancerTCPListenerAttribute",
        unlisted=("SynProxy",),
    ),
    "udp": Protocol(
        create="CreateLoadBalancerUDPListener",
        change="SetLoadBalancerUDPListenerAttribute",
        fields=(
            Field("scheduler", "Scheduler", "wrr", _one_of("wrr", "rr", "sch", "tch", "qch")),
            BANDWIDTH,
            DESCRIPTION,
            PROXY_PROTOCOL,
        ),
        health_check=(
            ENABLED,
            CONNECT_PORT,
            *_times(10, 5),
            *THRESHOLDS,
            _answer("request", "healthCheckReq", "HealthCheckReq"),
            _answer("expected", "healthCheckExp", "HealthCheckExp"),
        ),
    ),
    "http": Protocol(
        create="CreateLoadBalancerHTTPListener",
        change="SetLoadBalancerHTTPListenerAttribute",
        fields=(*LAYER_7, Field("forward_port", "ForwardPort", None, _between(1, 65535), read=int)),
        health_check=(*HTTP_CHECK, METHOD),
    ),
    "https": Protocol(
        create="CreateLoadBalancerHTTPSListener",
        change="SetLoadBalancerHTTPSListenerAttribute",
        fields=(
            *LAYER_7,
            _on_off("http2", "EnableHttp2", True),
            Field("certificate", "ServerCertificateId", refers="certificates"),
            Field("ca_certificate", "CACertificateId", "", refers="ca_certificates"),
            Field("tls_policy", "TLSCipherPolicy", TLS_POLICIES[0], refers="tls_policies"),
        ),
        health_check=(*HTTP_CHECK, METHOD),
    ),
}
LAYER_7_PROTOCOLS = ("http", "https")


def fields(protocol: str) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """The options of a listener and of its health check; those that all have where a protocol has no table here."""
    known = PROTOCOLS.get(protocol)
    return (known.fields, known.health_check) if known else (COMMON, (ENABLED, CONNECT_PORT, *THRESHOLDS))


def having(option: str, *, health_check: bool) -> list[str]:
    """The protocols that have an option."""
    return [name for name in PROTOCOLS if any(field.option == option for field in fields(name)[health_check])]
