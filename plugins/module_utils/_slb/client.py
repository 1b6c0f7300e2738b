# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only place that knows the SDK: credentials, endpoints, calls, retries and paging.

The SDK is imported when a client connects, not when this file is: it costs a third of a second.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import gc
import ipaddress
import os
import random
import re
import time
import traceback
import typing as t
import urllib.parse
import urllib.request

from .errors import ApiError, CredentialsMissing, DocumentError, SdkMissing, SlbError, UnknownRegion, Verdict

SLB_VERSION = "2014-05-15"
ECS_VERSION = "2014-05-26"
PAGE_SIZE = 100
#: A region that the SDK leads to the central host, which knows all regions.
CENTRAL_REGION = "cn-hangzhou"
#: Milliseconds, as the SDK counts.
CONNECT_TIMEOUT = 5_000
READ_TIMEOUT = 20_000
#: How often a call without any answer is tried: a wrong endpoint should not take minutes to say so.
ATTEMPTS_WITHOUT_ANSWER = 4
BACKOFF_START = 0.5
BACKOFF_LIMIT = 8.0
#: A name, an IPv4 address or an IPv6 one in brackets, and a port.
HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
PROXY_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")

KEY_VARIABLES = (
    ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
    ("ALICLOUD_ACCESS_KEY", "ALICLOUD_SECRET_KEY", "ALICLOUD_SECURITY_TOKEN"),
    ("ALICLOUD_ACCESS_KEY_ID", "ALICLOUD_SECRET_ACCESS_KEY", "ALICLOUD_SECURITY_TOKEN"),
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where and as whom to call. timeout is in seconds, for all tries of one call together."""

    region: str
    access_key_id: str | None = None
    access_key_secret: str | None = dataclasses.field(default=None, repr=False)
    security_token: str | None = dataclasses.field(default=None, repr=False)
    profile: str | None = None
    ecs_ram_role: str | None = None
    slb_endpoint: str | None = None
    ecs_endpoint: str | None = None
    timeout: float = 300.0


def static_key(settings: Settings, environ: t.Mapping[str, str]) -> tuple[str, str, str | None] | None:
    """The access key (id, secret, token) of the first source that has one: options, then the two families of variables.

    Raises DocumentError where a source has only half of a key. None means: ask the credentials library for a profile
    or a RAM role.
    """
    options = ("access_key_id", "access_key_secret", "security_token")
    sources = [(tuple(f"the option {name}" for name in options), tuple(getattr(settings, name) for name in options))]
    if not settings.profile and not settings.ecs_ram_role:
        sources += [(names, tuple(environ.get(name) for name in names)) for names in KEY_VARIABLES]
    for names, (key, secret, token) in sources:
        if key and secret:
            _refuse_unsendable(names, (key, secret, token))
            return key, secret, token or None
        if key or secret:
            has, lacks = names[:2] if key else names[1::-1]
            raise DocumentError(f"{has} is set, but {lacks} is not; an access key needs both")
    return None


def _refuse_unsendable(names: t.Sequence[str], values: t.Sequence[str | None]) -> None:
    """A line break that came along with a key would end up in a message of the SDK, and the secret with it."""
    for name, value in zip(names, values):
        if value and not (value.isascii() and value.isprintable() and " " not in value):
            raise DocumentError(f"{name} has a blank, a line break or another character in it that no access key has")


def split_endpoint(endpoint: str, option: str = "the endpoint") -> tuple[str, str]:
    """(host[:port], protocol) of ``host[:port]`` or ``http(s)://host[:port]``; https where nothing is said.

    Raises DocumentError for anything else.
    """
    scheme, separator, rest = endpoint.partition("://")
    if not separator:
        scheme, rest = "https", endpoint
    if scheme not in ("http", "https"):
        raise DocumentError(f"{option} is '{endpoint}', but only http:// and https:// are possible")
    host = rest.rstrip("/")
    if not HOST.fullmatch(host):
        raise DocumentError(
            f"{option} is '{endpoint}', but it has to be host[:port], with or without http:// or https://"
        )
    return host, scheme


def bypasses_proxy(host_and_port: str) -> bool:
    """Whether a proxy of the environment has to stay out: loopback always, and what NO_PROXY names."""
    host = urllib.parse.urlsplit(f"//{host_and_port}").hostname or ""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return True
    return host == "localhost" or bool(urllib.request.proxy_bypass(host))


@contextlib.contextmanager
def without_proxy() -> t.Iterator[None]:
    """Hide the environment's proxies from the SDK, which does not look at NO_PROXY."""
    hidden = {name: os.environ.pop(name) for name in PROXY_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextlib.contextmanager
def importing() -> t.Iterator[None]:
    """Import many files without looking for garbage again and again: what they define stays, so there is none to find."""
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.freeze()
            gc.enable()


class Client:
    """Calls to SLB and ECS with the documented retry policy.

    A call that the cloud refuses as busy or throttled is repeated with growing pauses until settings.timeout is over.
    A call without an answer is repeated when that is safe (reads, and creates with a ClientToken), else ApiError with
    verdict UNKNOWN is raised and the caller has to look first.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
        jitter: t.Callable[[], float] = random.random,
        now: t.Callable[[], float] = time.time,
    ) -> None:
        for option in ("slb_endpoint", "ecs_endpoint"):
            if getattr(settings, option):
                split_endpoint(getattr(settings, option), option)
        self.region = settings.region
        self.clock = clock
        self.sleep = sleep
        #: Seconds since 1970, which certificates count in.
        self.now = now
        self.timeout = settings.timeout
        self.reads = 0
        self.writes = 0
        self._jitter = jitter
        self._slb = _Service(settings, settings.slb_endpoint)
        self._settings = settings
        self._ecs: _Service | None = None

    def slb(self, operation: str, parameters: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Call an operation of SLB with parameters by their names on the wire; None is left out."""
        given = {key: value for key, value in parameters.items() if value is not None}
        return self._tried(operation, given, lambda: self._slb.typed(operation, {"RegionId": self.region, **given}))

    def ecs(self, operation: str, parameters: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Call an operation of ECS. Only look-ups are ever made."""
        if self._ecs is None:
            self._ecs = _Service(self._settings, self._settings.ecs_endpoint or self._slb.ecs_endpoint(self.region))
        service = self._ecs
        given = {"RegionId": self.region, **{key: value for key, value in parameters.items() if value is not None}}
        return self._tried(operation, given, lambda: service.generic(operation, ECS_VERSION, given))

    def numbered_pages(
        self,
        operation: str,
        parameters: t.Mapping[str, t.Any],
        *,
        size: int = PAGE_SIZE,
        page_name: str = "PageNumber",
        total_name: str = "TotalCount",
    ) -> t.Iterator[dict[str, t.Any]]:
        """All pages of an operation that counts pages and tells how many objects there are in all."""
        seen, number = 0, 1
        while True:
            page = self.slb(operation, {**parameters, page_name: number, "PageSize": size})
            yield page
            seen, number = seen + size, number + 1
            if seen >= int(page.get(total_name) or 0):
                return

    def token_pages(
        self,
        call: t.Callable[[str, t.Mapping[str, t.Any]], dict[str, t.Any]],
        operation: str,
        parameters: t.Mapping[str, t.Any],
    ) -> t.Iterator[dict[str, t.Any]]:
        """All pages of an operation that hands on a NextToken."""
        token = None
        while True:
            page = call(operation, {**parameters, "MaxResults": PAGE_SIZE, "NextToken": token})
            yield page
            token = page.get("NextToken")
            if not token:
                return

    def _tried(
        self, operation: str, parameters: t.Mapping[str, t.Any], call: t.Callable[[], dict[str, t.Any]]
    ) -> dict[str, t.Any]:
        reading = operation.startswith(("Describe", "List"))
        repeatable = reading or "ClientToken" in parameters
        deadline = self.clock() + self.timeout
        attempt = 0
        while True:
            attempt += 1
            self.reads += reading
            self.writes += not reading
            try:
                return call()
            except ApiError as error:
                again = error.verdict is Verdict.RETRY or (
                    error.verdict is Verdict.UNKNOWN and repeatable and attempt < ATTEMPTS_WITHOUT_ANSWER
                )
                pause = min(BACKOFF_LIMIT, BACKOFF_START * 2 ** (attempt - 1)) * (0.5 + self._jitter() / 2)
                if not again or self.clock() + pause > deadline:
                    raise self._explained(error) from error
                self.sleep(pause)

    def _explained(self, error: ApiError) -> SlbError:
        """The error, or a sentence on the region where that is what is wrong: the API says so, or its host has no such name."""
        nameless = error.code is None and not (self._settings.slb_endpoint or self._settings.ecs_endpoint)
        if error.code != "InvalidRegionId.NotFound" and not nameless:
            return error
        known = self._known_regions()
        if self.region in known or (nameless and not known):
            return error
        near = difflib.get_close_matches(self.region, known, n=1, cutoff=0.0)
        hint = f"; the nearest valid one is '{near[0]}'" if near else ""
        return UnknownRegion(f"region '{self.region}' is not known to the cloud{hint}")

    def _known_regions(self) -> list[str]:
        """All regions, asked of the given endpoint, else of the central one; empty where it does not answer."""
        try:
            service = (
                self._slb
                if self._settings.slb_endpoint
                else _Service(dataclasses.replace(self._settings, region=CENTRAL_REGION), None)
            )
            answer = service.typed("DescribeRegions", {"RegionId": CENTRAL_REGION})
        except ApiError:
            return []
        return [entry["RegionId"] for entry in answer["Regions"]["Region"]]


class _Service:
    """One endpoint of the cloud behind the SDK."""

    def __init__(self, settings: Settings, endpoint: str | None) -> None:
        try:
            with importing():
                from alibabacloud_slb20140515 import client as sdk, models
                from alibabacloud_tea_openapi import utils_models
                from darabonba.runtime import RuntimeOptions
                from Tea.exceptions import TeaException
        except ImportError as error:
            raise SdkMissing("alibabacloud-slb20140515", traceback.format_exc()) from error
        self._models = models
        self._utils = utils_models
        self._failure = TeaException
        host, protocol = split_endpoint(endpoint) if endpoint else (None, "https")
        config = utils_models.Config(
            region_id=settings.region,
            endpoint=host,
            protocol=protocol,
            user_agent="clusterfront.ha",
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            credential=_credential(settings),
        )
        self._sdk = sdk.Client(config)
        self._runtime = RuntimeOptions()
        self._protocol = protocol.upper()
        self.host = self._sdk._endpoint
        self._guard = without_proxy if bypasses_proxy(self.host) else contextlib.nullcontext
        self._methods = {name.replace("_", ""): name for name in dir(self._sdk) if name.endswith("_with_options")}

    def ecs_endpoint(self, region: str) -> str:
        """Where ECS of a region answers, by the rule of its SDK."""
        return "ecs-cn-hangzhou.aliyuncs.com" if region == "cn-hangzhou" else f"ecs.{region}.aliyuncs.com"

    def typed(self, operation: str, parameters: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Call by the SDK's request model, which knows the parameters' names."""
        request = getattr(self._models, f"{operation}Request")().from_map(dict(parameters))
        unknown = set(parameters) - set(request.to_map()) - {"RegionId"}
        if unknown:
            raise TypeError(f"{operation} has no parameter {sorted(unknown)}")
        method = getattr(self._sdk, self._methods[f"{operation.lower()}withoptions"])
        return self._answered(operation, lambda: method(request, self._runtime).to_map()["body"])

    def generic(self, operation: str, version: str, query: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Call an operation of another product by the SDK's generic way."""
        parameters = self._utils.Params(
            action=operation,
            version=version,
            protocol=self._protocol,
            pathname="/",
            method="POST",
            auth_type="AK",
            style="RPC",
            req_body_type="formData",
            body_type="json",
        )
        request = self._utils.OpenApiRequest(query={key: str(value) for key, value in query.items()})
        return self._answered(operation, lambda: self._sdk.call_api(parameters, request, self._runtime)["body"])

    def _answered(self, operation: str, call: t.Callable[[], t.Any]) -> dict[str, t.Any]:
        try:
            with self._guard():
                return dict(call())
        except self._failure as error:
            raise self._translated(operation, error) from error

    def _translated(self, operation: str, error: t.Any) -> ApiError:
        code = getattr(error, "code", None)
        data = getattr(error, "data", None)
        if not code or not isinstance(data, dict):
            why = str(getattr(error, "inner_exception", None) or error)
            if "header value" in why:
                # the words of the library show it
                why = "a part of the access key has a character in it that cannot be sent"
            return ApiError(f"{self.host} gave no usable answer to {operation}: {why}", operation=operation)
        return ApiError(
            str(data.get("Message") or error.message),
            operation=operation,
            code=str(code),
            status=getattr(error, "status_code", None),
            request_id=getattr(error, "request_id", None) or data.get("RequestId"),
        )


def _credential(settings: Settings) -> t.Any:
    """A credential of the SDK's library: the static key, else a named profile or role, else its own chain."""
    from alibabacloud_credentials import client, models, provider
    from alibabacloud_credentials.exceptions import CredentialException

    key = static_key(settings, os.environ)
    try:
        if key is not None:
            kind = "sts" if key[2] else "access_key"
            return client.Client(
                models.Config(type=kind, access_key_id=key[0], access_key_secret=key[1], security_token=key[2])
            )
        if settings.ecs_ram_role:
            credential = client.Client(provider=provider.EcsRamRoleCredentialsProvider(role_name=settings.ecs_ram_role))
        elif settings.profile:
            credential = client.Client(provider=provider.CLIProfileCredentialsProvider(profile_name=settings.profile))
        else:
            credential = client.Client()
        # asked for here: in the middle of a call the SDK says of it that the cloud gave no answer
        credential.get_credential()
        return credential
    except (CredentialException, ValueError) as error:
        source = settings.ecs_ram_role or settings.profile
        if source:
            option = "ecs_ram_role" if settings.ecs_ram_role else "profile"
            raise CredentialsMissing(
                f"{option} is '{source}', which gives no credentials: {str(error).rstrip('.')}"
            ) from error
        raise CredentialsMissing(
            "no credentials were found: give access_key_id and access_key_secret, set ALIBABA_CLOUD_ACCESS_KEY_ID and"
            " ALIBABA_CLOUD_ACCESS_KEY_SECRET, name a profile, or run on an ECS instance that has a RAM role"
        ) from error
