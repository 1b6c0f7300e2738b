# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of containers."""

from __future__ import annotations

import configparser
import dataclasses
import shlex

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._haproxy.proxy import HAProxy
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy import container
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.container import Container
from ansible_collections.clusterfront.ha.plugins.module_utils._proxy.parse import limit_line

OLD = Container("/usr/bin/podman", "4.3.1", "clusterfront-haproxy", "haproxy@sha256:0", ("/srv:/srv:ro",))
NEW = dataclasses.replace(OLD, version="5.4.2")
ANCIENT = dataclasses.replace(OLD, version="3.4.4")
DOCKER = dataclasses.replace(OLD, engine="/usr/bin/docker", version="28.2.2")
CONFIG = "/etc/haproxy/current/haproxy.cfg"
MASTER = "/run/haproxy/master.sock"


def job(box, config=CONFIG):
    """What HAProxy does in a container."""
    directory = config.partition("/current")[0]
    return HAProxy(directory, "", "", "", "", "", MASTER, 1, box).job(box)


def text_of(box, limit):
    return container.unit_text(box, job(box), limit)


def unit(box, limit=9000):
    """The sections of a unit; what comes more than once is a list."""
    found = {}
    for line in text_of(box, limit).splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif "=" in line and not line.startswith("#"):
            key, dummy, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return found


def test_who_has_quadlets():
    assert NEW.quadlet and not OLD.quadlet and not DOCKER.quadlet
    assert dataclasses.replace(OLD, version="4.4.0").quadlet and not dataclasses.replace(NEW, version="").quadlet
    settings = HAProxy("/etc/haproxy", "", "clusterfront-haproxy.service", "/units", "", "", MASTER, 1, NEW)
    assert settings.unit_file == "/etc/containers/systemd/clusterfront-haproxy.container"
    assert dataclasses.replace(settings, container=OLD).unit_file == "/units/clusterfront-haproxy.service"


@pytest.mark.parametrize("box", [OLD, NEW, DOCKER, ANCIENT])
def test_every_unit_reloads_the_container_that_runs(box):
    service = unit(box)["Service"]
    assert service["ExecReload"] == [
        f"{box.engine} exec clusterfront-haproxy haproxy -c -q -f {CONFIG}",
        f"{box.engine} kill --signal=USR2 clusterfront-haproxy",
    ]
    assert service["Restart"] == ["always"] and service["RuntimeDirectoryPreserve"] == ["yes"]
    assert unit(box)["Install"] == {"WantedBy": ["multi-user.target"]}


@pytest.mark.parametrize("box", [OLD, NEW, DOCKER])
def test_every_container_sees_the_parent_of_the_releases(box):
    text = text_of(box, None)
    for volume in ("/etc/haproxy:/etc/haproxy:ro,z", "/run/haproxy:/run/haproxy:z", "/srv:/srv:ro"):
        assert f"olume={volume}" in text
    assert f"-W -db -f {CONFIG} -S {MASTER}" in text and "/releases" not in text


def test_a_quadlet():
    box = unit(NEW)["Container"]
    assert box["Image"] == ["haproxy@sha256:0"] and box["Network"] == ["host"] and box["ContainerName"] == [NEW.name]
    arguments = shlex.split(box["PodmanArgs"][0])
    assert {"--user=0:0", "--entrypoint=haproxy", "--pull=never"} <= set(arguments)
    assert "--log-driver=passthrough" in arguments
    assert "ExecStart" not in unit(NEW)["Service"]


def test_a_plain_unit_of_podman():
    service = unit(OLD)["Service"]
    words = shlex.split(service["ExecStart"][0])
    assert words[:3] == ["/usr/bin/podman", "run", "--rm"] and "--sdnotify=conmon" in words and "--detach" in words
    assert not any("ulimit" in word for word in words) and service["LimitNOFILE"] == ["9000"]
    assert words.index("haproxy@sha256:0") < words.index("-W") and "--network=host" in words
    assert service["Type"] == ["notify"] and "Container" not in unit(OLD)
    assert "--log-driver=journald" in shlex.split(unit(ANCIENT)["Service"]["ExecStart"][0])


def test_a_unit_of_docker():
    found = unit(DOCKER)
    words = shlex.split(found["Service"]["ExecStart"][0])
    assert "--detach" not in words and "--sdnotify=conmon" not in words and "--log-driver=none" in words
    assert "--ulimit=nofile=9000:9000" in words
    assert found["Unit"]["Requires"] == ["docker.service"] and found["Service"]["Type"] == ["exec"]


@pytest.mark.parametrize("box", [OLD, NEW, DOCKER])
def test_a_limit_is_remembered_and_makes_no_other_container(box):
    def label(limit):
        words = text_of(box, limit).split()
        return [word for word in words if word.startswith("--label=")]

    assert limit_line(text_of(box, 9000)) == 9000
    assert limit_line(text_of(box, None)) is None
    assert label(None) == label(9000) != []


def test_what_makes_another_container():
    def made_from(box, config=CONFIG):
        return container.fingerprint(job(box, config))

    others = {
        made_from(dataclasses.replace(OLD, image="other")),
        made_from(dataclasses.replace(OLD, mounts=())),
        made_from(DOCKER),
        made_from(OLD, "/x/current/haproxy.cfg"),
    }
    assert len(others) == 4 and made_from(OLD) not in others
    # A podman that was upgraded runs on with what it runs.
    assert made_from(OLD) == made_from(NEW)


def test_what_reads_a_configuration_before_it_is_live():
    words = container.check_command(OLD, job(OLD), "/etc/haproxy", "/etc/haproxy/releases/.staged-1")
    assert words[:3] == ["/usr/bin/podman", "run", "--rm"] and words[-1] == "haproxy@sha256:0"
    assert "--entrypoint=haproxy" in words and "--network=host" in words
    assert "--volume=/tmp/x:/tmp/x:ro,z" in container.check_command(OLD, job(OLD), "/etc/haproxy", "/tmp/x")
    assert not any("releases" in word for word in words)


@pytest.mark.parametrize(
    ("code", "output", "wanted"),
    [
        (0, "true 4711 0123456789ab\n", (4711, "0123456789ab")),
        (0, "true 4711 <no value>\n", (4711, "<no")),
        (0, "true 4711 \n", (4711, "")),
        (0, "time=... level=warning msg=\"deprecated\"\ntrue 4711 0123456789ab\n", (4711, "0123456789ab")),
        (0, "false 0 0123456789ab\n", (0, "")),
        (125, "Error: no such container", (0, "")),
        (0, "", (0, "")),
    ],
)
def test_what_runs(code, output, wanted):
    assert container.parse_inspect(code, output) == wanted
    assert container.inspect_command(OLD)[:3] == ["/usr/bin/podman", "container", "inspect"]


def test_units_are_read_by_whoever_reads_units():
    for box in (OLD, NEW, DOCKER):
        parser = configparser.RawConfigParser(strict=False)
        parser.read_string(text_of(box, 1))
        assert "Unit" in parser and "Service" in parser
