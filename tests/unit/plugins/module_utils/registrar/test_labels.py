# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what engines tell to what is wished for at SLB, and one sentence for each label that can't be granted."""

from __future__ import annotations

import json
import pathlib
import socketserver
import threading

import pytest
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar import labels
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.containers import Container, Port, container
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.engines import Engine, EngineError
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.labels import ListenerMeant, wishes

ENDPOINT = "io.rancher.service.external_lb.endpoint"


def told(**more):
    return {
        "Id": "c1",
        "Name": "/web",
        "State": {"Running": True, "StartedAt": "2024-01-01T00:00:00Z"},
        "Config": {"Labels": {ENDPOINT: "lb-1"}, "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "9000": {}}},
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Ports": {}},
        **more,
    }


def ports(**bindings):
    return {"Ports": {key.replace("_", "/"): value for key, value in bindings.items()}}


@pytest.mark.parametrize(
    ("bindings", "reached", "hidden"),
    [
        ({}, (), ()),
        ({"80/tcp": None}, (), ()),
        ({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8888"}, {"HostIp": "::", "HostPort": "8888"}]}, (Port(8888),), ()),
        ({"80/tcp": [{"HostIp": "", "HostPort": "8888"}], "53/udp": [{"HostPort": "53"}]}, (Port(53, "udp"), Port(8888)), ()),
        ({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8888"}]}, (), (Port(8888),)),
        ({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}, {"HostIp": "192.0.2.1", "HostPort": "80"}]}, (Port(80),), ()),
    ],
)  # fmt: skip
def test_published_ports(bindings, reached, hidden):
    found = container("docker", told(NetworkSettings={"Ports": bindings}))
    assert (found.ports, found.hidden) == (reached, hidden)


def test_a_container_on_the_network_of_the_host_has_the_ports_of_its_image():
    found = container("podman", told(HostConfig={"NetworkMode": "host"}))
    assert found.ports == (Port(53, "udp"), Port(80), Port(9000)) and found.host_network and found.name == "web"


@pytest.mark.parametrize(
    ("state", "health", "ready"),
    [
        ({"Running": True}, None, True),
        ({"Running": True, "Health": {"Status": ""}}, None, True),
        ({"Running": True, "Health": {"Status": "none"}}, None, True),
        ({"Running": True, "Health": {"Status": "starting"}}, "starting", False),
        ({"Running": True, "Healthcheck": {"Status": "healthy"}}, "healthy", True),
        ({"Running": True, "Health": {"Status": "unhealthy"}}, "unhealthy", False),
        ({"Running": True, "Paused": True}, None, False),
        ({"Running": False}, None, False),
    ],
)
def test_who_is_ready(state, health, ready):
    found = container("docker", told(State=state))
    assert (found.health, found.ready) == (health, ready)


def one(name="web", *numbers, started="1", **more):
    given = {"labels": {ENDPOINT: "lb-1"}, "ports": tuple(map(Port, numbers)), **more}
    return Container("docker", f"id-{name}", name, started=started, **given)


def ours(**fields):
    return {f"clusterfront.slb.{name.replace('__', '.')}": text for name, text in fields.items()}


def test_the_labels_of_rancher():
    new, old = one("new", 8888), one("old", 80, 81, labels={"external_lb_endpoint": " web "})
    both = one("both", 82, labels={"external_lb_endpoint": "lb-old", ENDPOINT: "lb-new"})
    granted, problems = wishes([old, new, both, one("none", 1, labels={"other": "x"})], weight=60)
    assert problems == [] and {wish.weight for wish in granted} == {60}
    assert {wish.container: (wish.load_balancer, wish.ports) for wish in granted} == {
        "new": ("lb-1", (Port(8888),)),
        "old": ("web", (Port(80), Port(81))),
        "both": ("lb-new", (Port(82),)),
    }


def test_our_own_labels_and_several_of_them():
    labels_given = ours(
        load_balancer="prod", port="81", weight="5", server_group="api", listener="tcp/443",
        admin__load_balancer="prod", admin__port="82", admin__listener="8443",
    )  # fmt: skip
    granted, problems = wishes([one("web", 81, 82, labels=labels_given)])
    assert problems == []
    admin, plain = granted
    assert (plain.ports, plain.weight, plain.server_group) == ((Port(81),), 5, "api")
    assert plain.listener == ListenerMeant(443, "tcp") and str(plain.listener) == "tcp/443"
    assert (admin.ports, admin.weight, admin.server_group) == ((Port(82),), 100, None)
    assert admin.listener == ListenerMeant(8443) and str(admin.listener) == "8443"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"labels": {ENDPOINT: ""}}, f"label {ENDPOINT} is empty; give the id or the name of an SLB instance"),
        ({"labels": ours(port="80")}, "label clusterfront.slb.load_balancer is missing; give the id or the name of an SLB instance"),
        ({"labels": ours(load_balancer="a", wieght="1")}, "label clusterfront.slb.wieght is not known; clusterfront.slb.load_balancer, "),
        ({"labels": ours(load_balancer="a", weight="101")}, "label clusterfront.slb.weight is '101'; a number from 0 to 100 is possible"),
        ({"labels": ours(load_balancer="a", weight="-1")}, "label clusterfront.slb.weight is '-1'; a number from 0 to 100 is possible"),
        ({"labels": ours(load_balancer="a", port="0")}, "label clusterfront.slb.port is '0'; a number from 1 to 65535 is possible"),
        ({"labels": ours(load_balancer="a", port="81")}, "label clusterfront.slb.port is 81, but the container publishes 80 of the host"),
        ({"labels": ours(load_balancer="a", port="81"), "ports": ()}, "but the container publishes no port of the host"),
        ({"labels": ours(load_balancer="a", listener="ftp/1")}, "label clusterfront.slb.listener is 'ftp/1'; a port as 443 or "),
        ({"labels": ours(load_balancer="a", listener="70000")}, "label clusterfront.slb.listener is '70000'; a port as 443 or "),
        ({"ports": ()}, "it publishes no port of the host; publish the one that the listener of the SLB calls"),
        ({"ports": (), "hidden": (Port(80),)}, "port 80 is published on a loopback address, where no SLB reaches it"),
        ({"ports": (), "host_network": True}, "say the port by label clusterfront.slb.port"),
    ],
)  # fmt: skip
def test_labels_that_can_not_be_granted(given, sentence):
    granted, (problem,) = wishes([one(**{"name": "web", "ports": (Port(80),), **given})])
    assert granted == [] and sentence in problem.sentence and problem.container == "web"


def test_a_port_that_only_the_label_tells():
    (wish,) = wishes([one(ports=(), host_network=True, labels=ours(load_balancer="a", port="81"))])[0]
    assert wish.ports == (Port(81),) and wish.ready
    # the engine knows no ports of what is not up
    (wish,) = wishes([one(ports=(), health="starting", labels=ours(load_balancer="a", port="81"))])[0]
    assert wish.ports == (Port(81),) and (wish.ready, wish.state) == (False, "starting")
    (wish,) = wishes([one(ports=(), running=False)])[0]
    assert wish.ports == () and (wish.ready, wish.state) == (False, "not running")


def test_one_port_of_a_host_leads_to_the_older_container():
    granted, (problem,) = wishes([one("young", 80, started="2"), one("old", 80, started="1"), one("third", 81)])
    assert [wish.container for wish in granted] == ["old", "third"]
    assert (problem.container, problem.load_balancer) == ("young", "lb-1")
    assert (
        problem.sentence == "port 80 of this host leads to the container old already; give one of the two another port"
    )
    udp = one("udp", ports=(Port(80, "udp"),))
    assert wishes([one("old", 80), udp])[1] == []


class Answers(socketserver.ThreadingUnixStreamServer):
    """An engine: what it answers by path, and raw bytes where it is told so."""

    daemon_threads = True

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(str(path), Handler)
        self.path = str(path)
        self.answers: dict[str, bytes] = {}
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def json(self, path: str, body: object, status: str = "200 OK") -> None:
        text = json.dumps(body).encode()
        self.answers[path] = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(text), text)


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode().partition("?")[0]
        while self.rfile.readline().strip():
            pass
        self.wfile.write(self.server.answers.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"))


@pytest.fixture
def answers(tmp_path):
    made = Answers(tmp_path / "engine.sock")
    yield made
    made.shutdown()
    made.server_close()


def test_an_engine_tells_its_labelled_containers(answers):
    listed = [{"Id": "c1", "Labels": {ENDPOINT: "lb-1"}}, {"Id": "c2", "Labels": {"other": ""}}, {"Id": "c3", "Labels": None},
              {"Id": "gone", "Labels": {"clusterfront.slb.port": "1"}}]  # fmt: skip
    answers.json("/containers/json", listed)
    answers.json("/containers/c1/json", told())
    (found,) = Engine("docker", answers.path).containers()
    assert (found.engine, found.id, found.labels) == ("docker", "c1", {ENDPOINT: "lb-1"})


def test_an_engine_that_is_of_no_use(answers, tmp_path):
    engine = Engine("docker", answers.path)
    answers.answers["/containers/json"] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nwho"
    with pytest.raises(EngineError, match="docker gives no answer at .*engine.sock"):
        engine.containers()
    answers.json("/containers/json", {}, "500 Internal Server Error")
    with pytest.raises(EngineError, match=r"docker at .* answers /containers/json by status 500"):
        engine.containers()
    answers.answers["/containers/json"] = b"no HTTP\r\n"
    with pytest.raises(EngineError, match="docker gives no answer"):
        engine.containers()
    with pytest.raises(EngineError, match="podman gives no answer at .*: No such file or directory"):
        Engine("podman", str(tmp_path / "none.sock")).containers()


def test_events_are_told_until_they_end(answers):
    chunk = b'3\r\n{}\n\r\n'
    answers.answers["/events"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2 + b"0\r\n\r\n"
    heard = []
    with pytest.raises(EngineError, match="docker ended its events"):
        Engine("docker", answers.path).watch(lambda: heard.append(1))
    assert len(heard) == 3
    with pytest.raises(EngineError, match="podman gives no answer at .*: No such file or directory"):
        Engine("podman", f"{answers.path}.none").watch(lambda: heard.append(1))
    assert len(heard) == 3


def test_labels_that_count():
    assert labels.is_labelled({"clusterfront.slb.port": "1"}) and labels.is_labelled({"external_lb_endpoint": ""})
    assert not labels.is_labelled({"clusterfront": "1"})
