# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of an apiserver and of etcd, of a server on the loopback that answers with what it is told."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading

import pytest
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm import api
from ansible_collections.clusterfront.ha.plugins.module_utils._kubeadm.state import Member
from certificates import authority, pair

NODE = {
    "metadata": {"name": "master-1", "labels": {"node-role.kubernetes.io/control-plane": ""}},
    "status": {
        "addresses": [{"type": "InternalIP", "address": "192.0.2.11"}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {"kubeletVersion": "v1.33.13"},
    },
}
MEMBERS = [{"ID": "10", "name": "master-1", "peerURLs": ["https://192.0.2.11:2380"]}, {"ID": "11"}]


class Server(http.server.HTTPServer):
    """answers: method and path -> status and body. asked: what came."""

    def __init__(self, answers, certificate, key):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = answers, []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, body.decode()))
        status, answer = self.server.answers.get((self.command, self.path), (404, {}))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer.encode() if isinstance(answer, str) else json.dumps(answer).encode())

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """The files of the authority, of a server's certificate, and of its key."""
    directory, made = tmp_path_factory.mktemp("certificate"), pair("localhost")
    texts = {"ca": authority(), "certificate": made["certificate"], "key": made["private_key"]}
    for name, text in texts.items():
        (directory / name).write_text(text)
    return [directory / name for name in texts]


@pytest.fixture
def serve(certificate):
    servers = []

    def begin(answers):
        server = Server(answers, *certificate[1:])
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        context = ssl.create_default_context(cafile=str(certificate[0]))
        return server, api.Api("localhost", server.server_port, context, 2)

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def test_nodes_are_told(serve):
    dummy, asked = serve({("GET", "/api/v1/nodes"): (200, {"items": [NODE]})})
    assert api.nodes(asked) == [{"name": "master-1", "ready": True, "control_plane": True, "version": "v1.33.13"}]


def test_a_refusal_is_one_sentence(serve):
    dummy, asked = serve({("GET", "/api/v1/nodes"): (403, "forbidden")})
    with pytest.raises(api.ApiError, match="/api/v1/nodes answers 403"):
        api.nodes(asked)


def test_nobody_there(serve):
    server, asked = serve({})
    server.shutdown()
    server.server_close()
    with pytest.raises(api.ApiError, match="does not answer"):
        asked.get("/readyz")


def test_members_of_etcd(serve):
    server, asked = serve(
        {
            ("POST", "/v3/cluster/member/list"): (200, {"members": MEMBERS}),
            ("POST", "/v3/cluster/member/remove"): (200, {}),
        }
    )
    found = api.etcd_members(asked)
    assert found == [Member("10", "master-1", ("https://192.0.2.11:2380",)), Member("11", "", ())]
    api.remove_etcd_member(asked, found[1])
    assert server.asked[-1] == ("POST", "/v3/cluster/member/remove", '{"ID": "11"}')


def test_etcd_that_says_no(serve):
    dummy, asked = serve({})
    with pytest.raises(api.ApiError, match="answers 404 to a question for its members"):
        api.etcd_members(asked)
    with pytest.raises(api.ApiError, match="does not remove the member 11"):
        api.remove_etcd_member(asked, Member("11", "", ()))


@pytest.mark.parametrize(("address", "deleted"), [("192.0.2.11", True), ("192.0.2.99", False)])
def test_a_node_of_another_address_stays(serve, address, deleted):
    path = "/api/v1/nodes/master-1"
    server, asked = serve({("GET", path): (200, NODE), ("DELETE", path): (200, {})})
    assert api.delete_node(asked, "master-1", address) == deleted
    assert [method for method, dummy, body in server.asked] == (["GET", "DELETE"] if deleted else ["GET"])


def test_a_node_that_is_not_there_or_stays(serve):
    path = "/api/v1/nodes/master-1"
    dummy, asked = serve({("GET", path): (200, NODE), ("DELETE", path): (500, {})})
    with pytest.raises(api.ApiError, match="does not delete the node master-1: it answers 500"):
        api.delete_node(asked, "master-1", "192.0.2.11")
    assert not api.delete_node(asked, "master-2", "192.0.2.12")


def test_a_kubeconfig_has_three_parts(certificate, tmp_path, monkeypatch):
    texts = [path.read_bytes() for path in certificate]
    keys = ("certificate-authority-data", "client-certificate-data", "client-key-data")
    config = "".join(f"    {key}: {base64.b64encode(text).decode()}\n" for key, text in zip(keys, texts))
    assert api.kubeconfig_data(config, keys[1]) == texts[1] and api.kubeconfig_data("", keys[1]) == b""
    assert api.admin("localhost", 6443, config).context.get_ca_certs()
