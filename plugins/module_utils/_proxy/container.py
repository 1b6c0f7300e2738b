# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program in a container: its command lines and its unit. Pure.

The container sees the parent of the releases: a mount of the link's own target would keep showing the old release after a
flip. It runs as root, as the package's unit does, and the program drops to its user.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass

LABEL = "clusterfront.unit"


@dataclass(frozen=True)
class Container:
    """What runs the program, and from what."""

    engine: str  # the program, podman or docker
    version: str  # of the engine
    name: str
    image: str
    mounts: tuple[str, ...] = ()  # source:target[:options]

    @property
    def podman(self) -> bool:
        return self.engine.endswith("podman")

    @property
    def quadlet(self) -> bool:
        """Quadlets came with podman 4.4."""
        return self.podman and self.release >= (4, 4)

    @property
    def release(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split(".")[:2] if part.isdigit())

    @property
    def log_driver(self) -> str:
        """What leads the program's lines into the journal of the unit: podman's own way came with 4.0.

        Docker's client prints what the container says, and the unit runs the client.
        """
        if not self.podman:
            return "none"
        return "passthrough" if self.release >= (4, 0) else "journald"


@dataclass(frozen=True)
class Job:
    """What a container of ours does."""

    title: str
    role: str
    #: The program's name in the image; the images that there are have it in different directories.
    program: str
    arguments: tuple[str, ...]
    check: tuple[str, ...]  # how it is told to read its live configuration and end
    signal: str  # what makes its master process load it anew
    directory: str  # of the releases and the link
    runtime_directory: str  # its name below /run
    mounts: tuple[str, ...]
    facts: tuple[t.Any, ...]  # what a running container is made from; a change of it takes a new container
    ports: tuple[str, ...] = ()  # that are published; a container without any shares the host's network


def quoted(words: t.Iterable[str]) -> str:
    """Words as systemd has them."""
    return " ".join(f'"{word}"' if " " in word else word for word in words)


def options(job: Job, volumes: t.Iterable[str], ports: t.Sequence[str] = ()) -> list[str]:
    """What every container of ours has. Whoever wants an image pulled does that before, and sees it fail."""
    return [
        *([f"--publish={port}" for port in ports] or ["--network=host"]),
        "--user=0:0",
        "--pull=never",
        f"--entrypoint={job.program}",
        *(f"--volume={volume}" for volume in volumes),
    ]


def check_command(container: Container, job: Job, directory: str, release: str) -> list[str]:
    """Let the container's own binary read the configuration in a directory."""
    volumes = [f"{directory}:{directory}:ro,z", *container.mounts]
    if not release.startswith(f"{directory}/"):
        volumes.append(f"{release}:{release}:ro,z")
    return [container.engine, "run", "--rm", *options(job, volumes), container.image]


def fingerprint(job: Job) -> str:
    """What a running container was made from."""
    return hashlib.sha256(json.dumps(job.facts).encode()).hexdigest()[:12]


def unit_text(container: Container, job: Job, limit: int | None) -> str:
    """The unit, as a quadlet or as systemd has it.

    A signal makes the master process load the configuration anew, in the container that runs.
    """
    engine, name = container.engine, container.name
    extra = [f"--log-driver={container.log_driver}", "--stop-signal=TERM", f"--label={LABEL}={fingerprint(job)}"]
    # Podman gives plenty, or what containers.conf says; a limit of ours would displace all limits that stand there.
    extra += [f"--ulimit=nofile={limit}:{limit}"] if limit and not container.podman else []
    unit = [
        f"# Managed by Ansible (clusterfront.ha.{job.role}).",
        "[Unit]",
        f"Description={job.title} in a container (clusterfront.ha)",
        "Wants=network-online.target",
        "After=network-online.target",
    ]
    service = [
        f"ExecReload={quoted([engine, 'exec', name, job.program, *job.check])}",
        f"ExecReload={engine} kill --signal={job.signal} {name}",
        f"RuntimeDirectory={job.runtime_directory}",
        "RuntimeDirectoryMode=0755",
        "RuntimeDirectoryPreserve=yes",
        "Restart=always",
        "RestartSec=1",
        "TimeoutStartSec=60",
        *([f"LimitNOFILE={limit}"] if limit else []),
    ]
    install = ["[Install]", "WantedBy=multi-user.target"]
    if container.quadlet:
        quadlet = [
            "[Container]",
            f"ContainerName={name}",
            f"Image={container.image}",
            f"Exec={quoted(job.arguments)}",
            *([f"PublishPort={port}" for port in job.ports] or ["Network=host"]),
            *(f"Volume={volume}" for volume in job.mounts),
            f"PodmanArgs={' '.join(['--user=0:0', '--pull=never', f'--entrypoint={job.program}', *extra])}",
        ]
        return "\n".join([*unit, "", *quadlet, "", "[Service]", *service, "", *install]) + "\n"
    run = [engine, "run", "--rm", f"--name={name}", *extra, *options(job, job.mounts, job.ports), container.image]
    run += job.arguments
    if container.podman:
        # conmon tells systemd when the container runs, and that conmon is the process to watch.
        run[3:3] = ["--replace", "--detach", "--sdnotify=conmon", "--cgroups=no-conmon"]
        kind = ["Type=notify", "NotifyAccess=all", "Environment=PODMAN_SYSTEMD_UNIT=%n"]
        stop = [
            f"ExecStop={engine} stop --ignore --time=10 {name}",
            f"ExecStopPost={engine} rm --force --ignore {name}",
        ]
    else:
        unit += ["Requires=docker.service", "After=docker.service"]
        kind = ["Type=exec", f"ExecStartPre=-{engine} rm --force {name}"]
        stop = [f"ExecStop={engine} stop --time=10 {name}"]
    start = [*kind, f"ExecStart={quoted(run)}", *stop]
    return "\n".join([*unit, "", "[Service]", *start, *service, "", *install]) + "\n"


def inspect_command(container: Container) -> list[str]:
    """Ask for the process and the label of the container."""
    template = '{{.State.Running}} {{.State.Pid}} {{index .Config.Labels "%s"}}' % LABEL
    return [container.engine, "container", "inspect", "--format", template, container.name]


def parse_inspect(code: int, output: str) -> tuple[int, str]:
    """The process of a running container on the host, and what it was made from; 0 where none runs."""
    # an engine may warn before it answers: podman 5 does under cgroup v1
    fields = (output.splitlines() or [""])[-1].split()
    if code != 0 or len(fields) < 2 or fields[0] != "true":
        return 0, ""
    return int(fields[1]), fields[2] if len(fields) > 2 else ""
