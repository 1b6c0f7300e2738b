# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The apiserver and the etcd of a master, asked from that master itself; nothing but the Python of the host is needed."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import tempfile
import typing as t

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


def etcd(pki: str = f"{KUBERNETES}/pki") -> Api:
    """The stacked etcd of this master."""
    context = ssl.create_default_context(cafile=f"{pki}/etcd/ca.crt")
    context.load_cert_chain(f"{pki}/apiserver-etcd-client.crt", f"{pki}/apiserver-etcd-client.key")
    return Api("127.0.0.1", ETCD_PORT, context)


def etcd_members(api: Api) -> t.List[Member]:
    status, answer = api.call("POST", "/v3/cluster/member/list", {})
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
