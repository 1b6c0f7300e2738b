# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The apiserver and the etcd of a master, asked from that master itself; nothing but the Python of the host is needed."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import ssl
import tempfile
import typing as t

from .health import etcd_facts, failed_checks, git_version, silent_etcd
from .state import Member

KUBERNETES = "/etc/kubernetes"
ETCD_PORT = 2379


class ApiError(Exception):
    """One sentence on what did not answer, or answered no."""


class Api:
    """JSON over TLS with a client certificate, to one address."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, timeout: float = 10.0) -> None:
        self.host, self.port, self.context, self.timeout = host, port, context, timeout

    def call(self, method: str, path: str, body: t.Optional[t.Mapping[str, t.Any]] = None) -> t.Tuple[int, t.Any]:
        """Status and answer; the answer is text where it is no JSON."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=self.context)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(f"https://{self.host}:{self.port} does not answer: {error}") from error
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def get(self, path: str) -> t.Any:
        """What lies at a path; an answer that is none of success is an error."""
        status, answer = self.call("GET", path)
        if status != 200:
            raise ApiError(f"https://{self.host}:{self.port}{path} answers {status}")
        return answer


def kubeconfig_data(config: str, key: str) -> bytes:
    """One of the three parts of a kubeconfig that are written as base64."""
    found = re.search(rf"^\s*{key}: (\S+)$", config, re.MULTILINE)
    return base64.b64decode(found[1]) if found else b""


def admin(host: str, port: int, config: str, timeout: float = 10.0) -> Api:
    """The apiserver at an address, as the user of a kubeconfig; the address that the kubeconfig names is not used."""
    context = ssl.create_default_context(cadata=kubeconfig_data(config, "certificate-authority-data").decode())
    # the library reads keys from files only
    with tempfile.NamedTemporaryFile(dir="/run", prefix="clusterfront-") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(
            kubeconfig_data(config, "client-certificate-data") + b"\n" + kubeconfig_data(config, "client-key-data")
        )
        file.flush()
        context.load_cert_chain(file.name)
    return Api(host, port, context, timeout)


def anonymous(host: str, port: int, timeout: float = 5.0) -> Api:
    """The apiserver at an address, for what everybody may ask. Who it is stays unverified: nothing secret is sent."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return Api(host, port, context, timeout)


def apiserver_health(api: Api) -> t.Dict[str, t.Any]:
    """How an apiserver finds itself: the statuses of /livez and /readyz, null where it does not answer, and what is behind them."""
    found: t.Dict[str, t.Any] = {"livez": None, "readyz": None, "failed_checks": [], "version": "", "error": ""}
    try:
        found["livez"], live = api.call("GET", "/livez?verbose")
        found["readyz"], ready = api.call("GET", "/readyz?verbose")
        found["failed_checks"] = failed_checks(str(live), str(ready))
        found["version"] = git_version(api.call("GET", "/version")[1])
    except ApiError as error:
        found["error"] = str(error)
    return found


def etcd(pki: str = f"{KUBERNETES}/pki", timeout: float = 10.0) -> Api:
    """The stacked etcd of this master."""
    context = ssl.create_default_context(cafile=f"{pki}/etcd/ca.crt")
    context.load_cert_chain(f"{pki}/apiserver-etcd-client.crt", f"{pki}/apiserver-etcd-client.key")
    return Api("127.0.0.1", ETCD_PORT, context, timeout)


def etcd_health(api: Api) -> t.Dict[str, t.Any]:
    """How the etcd of this master finds itself; that it does not answer is a part of that."""
    try:
        status, told = api.call("POST", "/v3/maintenance/status", {})
        if status != 200:
            return silent_etcd(f"etcd answers {status} to a question for its status")
        # by what this member knows itself: without a majority nobody tells more
        members = etcd_members(api, linearizable=False)
    except ApiError as error:
        return silent_etcd(str(error))
    healthy, alarms = False, ()
    # the rest is asked of the majority, and waits for it in vain where there is none
    with contextlib.suppress(ApiError):
        # an alarm is told apart: with one every member would be called sick
        healthy = api.call("GET", "/health?exclude=NOSPACE&exclude=CORRUPT")[0] == 200
        status, answer = api.call("POST", "/v3/maintenance/alarm", {"action": "GET"})
        alarms = answer.get("alarms", ()) if status == 200 else ()
    return etcd_facts(told, members, alarms, healthy)


def etcd_members(api: Api, linearizable: bool = True) -> t.List[Member]:
    """The members that etcd has, by its majority or by what the one that is asked knows."""
    status, answer = api.call("POST", "/v3/cluster/member/list", {"linearizable": linearizable})
    if status != 200:
        raise ApiError(f"etcd answers {status} to a question for its members")
    return [
        Member(str(one["ID"]), one.get("name", ""), tuple(one.get("peerURLs", ()))) for one in answer.get("members", ())
    ]


def remove_etcd_member(api: Api, member: Member) -> None:
    status, answer = api.call("POST", "/v3/cluster/member/remove", {"ID": member.id})
    if status != 200:
        raise ApiError(f"etcd does not remove the member {member.name or member.id}: {answer}")


def delete_node(api: Api, name: str, address: str) -> bool:
    """Whether there was a node of that name and address. One of another address is another machine, and stays."""
    status, node = api.call("GET", f"/api/v1/nodes/{name}")
    if status == 404 or address not in [one["address"] for one in node.get("status", {}).get("addresses", ())]:
        return False
    status, dummy = api.call("DELETE", f"/api/v1/nodes/{name}")
    if status not in (200, 202, 404):
        raise ApiError(f"the apiserver does not delete the node {name}: it answers {status}")
    return status != 404


def nodes(api: Api) -> t.List[t.Dict[str, t.Any]]:
    """The nodes that the cluster has, each with whether it is ready."""
    found = []
    for item in api.get("/api/v1/nodes")["items"]:
        conditions = {one["type"]: one["status"] for one in item["status"].get("conditions", ())}
        found.append(
            {
                "name": item["metadata"]["name"],
                "ready": conditions.get("Ready") == "True",
                "control_plane": "node-role.kubernetes.io/control-plane" in item["metadata"].get("labels", {}),
                "version": item["status"].get("nodeInfo", {}).get("kubeletVersion", ""),
            }
        )
    return found
