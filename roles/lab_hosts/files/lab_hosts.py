# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the hosts of a lab to the wanted state: their image, and one podman container per machine.

Reads one JSON object on standard input (the options of the role), writes one on standard output (what was done).
One process does it all, because a task of its own for each host would cost more than the host.
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import json
import os
import resource
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lab_network
from lab_common import LabError, run
from lab_images import Archive, Recipe, build, default_release, image_exists, remove_images
from lab_kubernetes import Builder, Bundle
from lab_network import Network, Port

SANDBOX_LABEL = "cfha.sandbox"
IMAGE_LABEL = "cfha.image"
# mount and sysctl, addresses and packet filters, ping, names of other users' processes in ss, sudo's log
CAPABILITIES = "SYS_ADMIN,NET_ADMIN,NET_RAW,SYS_PTRACE,AUDIT_WRITE"
# a host that runs containers makes their devices, and keeps their images on a disk that takes overlays
CONTAINER_OPTIONS = ("--cap-add=MKNOD", "--volume=/var/lib/containers")
#: A node's pods have them too, and containerd, kubelet and etcd need a file system that is none of layers.
NODE_OPTIONS = (
    "--cap-add=MKNOD", "--device-cgroup-rule=c 5:1 rwm",
    "--volume=/var/lib/containerd", "--volume=/var/lib/kubelet", "--volume=/var/lib/etcd",
)  # fmt: skip
CAP_SYS_RESOURCE = 24
# where a host sees the keys of its sandbox
SSH_MOUNT = "/etc/lab-ssh"


@dataclass(frozen=True)
class Machine:
    """A host that should run."""

    name: str  # of its container and its namespace
    hostname: str
    image: str
    containers: bool  # whether it runs containers itself
    kubernetes: str = ""  # the programs that make it a node, where it is one

    @property
    def made_of(self) -> str:
        """A host that was made of something else is made anew."""
        return f"{self.image} {Path(self.kubernetes).name}".strip()


@dataclass(frozen=True)
class Options:
    state: str
    check: bool
    sandbox: str
    machines: list[dict[str, Any]]
    network: dict[str, Any]
    image_state: str
    image_name: str
    images: dict[str, dict[str, Any]]
    archives: list[dict[str, Any]]
    release: str
    packages: list[str]
    system_packages: list[str]
    apt_sources: list[str]
    cache_directory: str
    ssh_directory: str
    boot_timeout: float
    kubernetes_extras: bool = False

    def recipe(self, machine: dict[str, Any]) -> Recipe:
        """What the image of a machine is made from."""
        image = machine.get("image", "")
        extra = self.images.get(image, {})
        if image and image not in self.images:
            raise LabError(
                f"There is no image '{image}' in lab_hosts_images; it has {', '.join(self.images) or 'none'}."
            )
        release = extra.get("release") or self.release
        return Recipe(
            release,
            tuple(extra.get("packages", self.packages)),
            (*self.system_packages, *extra.get("system_packages", [])),
            tuple(self.apt_sources) if release == self.release else (),
            machine.get("kubernetes", False),
        )

    @property
    def running(self) -> list[dict[str, Any]]:
        """Machines that have a network namespace and are not switched off."""
        return [
            machine
            for machine in self.machines
            if machine.get("attached", True) and machine.get("status", "Running") == "Running"
        ]

    @property
    def recipes(self) -> list[Recipe]:
        """The images that are needed; that of the role where there are no machines."""
        return list(dict.fromkeys(self.recipe(machine) for machine in self.running or [{}]))

    @property
    def hosts(self) -> list[Machine]:
        return [
            Machine(
                f"{self.sandbox}-{machine['name']}",
                machine["name"],
                f"{self.image_name}:{self.recipe(machine).tag}",
                machine.get("containers", False),
                str(self.bundle.path) if machine.get("kubernetes") else "",
            )
            for machine in self.running
        ]

    @property
    def bundle(self) -> Bundle:
        """The programs of Kubernetes."""
        return Bundle(Path(self.cache_directory, "kubernetes"), self.kubernetes_extras)

    @property
    def wanted_archives(self) -> list[Archive]:
        return [
            Archive(Path(one["path"]), one["image"], one.get("release") or self.release, tuple(one["packages"]))
            for one in self.archives
        ]

    @property
    def lan(self) -> Network | None:
        """The network that the role makes itself; None where somebody else does."""
        if not self.network:
            return None
        try:
            return Network(self.sandbox, ipaddress.IPv4Network(self.network["cidr"]))
        except (KeyError, ValueError):
            raise LabError(
                f"lab_hosts_network has the cidr '{self.network.get('cidr', '')}'; it has to be a network like 198.51.100.0/24."
            ) from None

    @property
    def ports(self) -> list[Port]:
        return [Port(machine["name"], machine.get("private_ip", "")) for machine in self.running]


def containers() -> dict[str, dict[str, Any]]:
    return {item["Names"][0]: item for item in json.loads(run("podman", "ps", "--all", "--format", "json").stdout)}


def label(container: dict[str, Any], name: str) -> str:
    return str((container.get("Labels") or {}).get(name, ""))


def namespace(name: str) -> Path:
    return Path("/run/netns", name)


def in_namespace(container: dict[str, Any], name: str) -> bool:
    """Whether the container runs in the namespace that has its name now; one made anew leaves the host cut off."""
    try:
        return os.path.samefile(f"/proc/{container['Pid']}/ns/net", namespace(name))
    except FileNotFoundError:
        return False


def is_good(container: dict[str, Any] | None, name: str, image: str) -> bool:
    return (
        container is not None
        and container["State"] == "running"
        and label(container, IMAGE_LABEL) == image
        and in_namespace(container, name)
    )


def run_command() -> list[str]:
    """'podman run' with what this machine needs beyond the usual. All that depends on the machine is decided here."""
    # crun refuses the mixed tree of cgroup v1 and v2; runc takes it
    runtime = ["--runtime=runc"] if Path("/sys/fs/cgroup/unified").exists() else []
    found = ["podman", *runtime, "run"]
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    if not int(status["CapBnd"], 16) >> CAP_SYS_RESOURCE & 1:
        # podman asks for higher limits than this machine may give; the runtime then refuses to start anything
        for limit, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
            hard = resource.getrlimit(number)[1]
            value = 10000 if hard == resource.RLIM_INFINITY else min(10000, hard)
            found.append(f"--ulimit={limit}={value}:{value}")
    apparmor = Path("/sys/module/apparmor/parameters/enabled")
    if apparmor.exists() and apparmor.read_text().strip() == "Y":
        # podman's AppArmor profile denies every mount, also those that host-init makes within the host
        found.append("--security-opt=apparmor=unconfined")
    return found


SSHD_CONFIG = f"""\
HostKey {SSH_MOUNT}/host_key
AuthorizedKeysFile {SSH_MOUNT}/authorized_keys
PasswordAuthentication no
PermitRootLogin prohibit-password
# the files belong to the machine's root, whatever their modes
StrictModes no
UsePAM no
UseDNS no
LogLevel ERROR
Subsystem sftp internal-sftp
"""


def make_ssh_keys(directory: Path) -> None:
    """The key that Ansible comes with, and what the hosts' sshd needs. Nothing listens: sshd runs on a pipe of podman exec."""
    shared = directory / "hosts"
    shared.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    for key in (directory / "key", shared / "host_key"):
        if not key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(key))
    (shared / "authorized_keys").write_text((directory / "key.pub").read_text())
    (shared / "sshd_config").write_text(SSHD_CONFIG)


def start_host(host: Machine, options: Options, command: list[str]) -> None:
    run(
        *command, "--detach", "--systemd=always", "--cgroupns=private",
        f"--name={host.name}", f"--hostname={host.hostname}", f"--network=ns:{namespace(host.name)}",
        "--no-hosts", "--dns=none", f"--cap-add={CAPABILITIES}", *(CONTAINER_OPTIONS if host.containers else ()),
        *((*NODE_OPTIONS, f"--volume={host.kubernetes}:/opt/kubernetes:ro") if host.kubernetes else ()),
        f"--volume={options.ssh_directory}/hosts:{SSH_MOUNT}:ro",
        f"--label={SANDBOX_LABEL}={options.sandbox}", f"--label={IMAGE_LABEL}={host.made_of}", host.image,
    )  # fmt: skip


def bring_up(host: Machine, container: dict[str, Any] | None, options: Options, command: list[str]) -> None:
    """A host that was only stopped keeps its files; one of another image, or of a lost namespace, is made anew."""
    stopped = container is not None and container["State"] != "running"
    if container is not None and stopped and label(container, IMAGE_LABEL) == host.made_of:
        run("podman", "start", host.name)
        return
    if container is not None:
        run("podman", "rm", "--force", "--time=0", "--volumes", host.name)
    start_host(host, options, command)


def why_it_ended(name: str) -> str:
    """What a host said last. systemd says nothing where it gets no inotify instance, of which a machine gives a user so many."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(os.O_CLOEXEC)
    if handle < 0 and ctypes.get_errno() == errno.EMFILE:
        limit = Path("/proc/sys/fs/inotify/max_user_instances").read_text(encoding="ascii").strip()
        return f"all {limit} inotify instances of this machine are in use; stop other hosts, or raise fs.inotify.max_user_instances"
    if handle >= 0:
        os.close(handle)
    words = run("podman", "logs", name, may_fail=True).stderr.strip().splitlines()
    return words[-1] if words else "it left no message"


def wait_for_boot(name: str, timeout: float) -> None:
    """Wait until systemd has started all it wants. A unit that a role put there may fail; that is the role's affair."""
    deadline = time.monotonic() + timeout
    state, attempts = "not reachable", 5
    while (left := deadline - time.monotonic()) > 0:
        limited = ("timeout", f"{left:.1f}", "systemctl", "is-system-running", "--wait")
        asked = run("podman", "exec", name, *limited, may_fail=True)
        state = asked.stdout.strip() or state
        if state in ("running", "degraded"):
            return
        if "not running" in asked.stderr or "running containers" in asked.stderr:
            # a systemd that gets no watch of files from the kernel ends without a word, and the next moment there may be one
            said = run("podman", "logs", name, may_fail=True).stderr.strip()
            if not said and attempts:
                attempts -= 1
                time.sleep(2)
                run("podman", "start", name, may_fail=True)
                continue
            raise LabError(f"The host {name} ended while it came up: {why_it_ended(name)}")
        time.sleep(0.1)
    raise LabError(f"The host {name} did not come up within {timeout:g} s: systemd is {state}; see 'podman logs'.")


def checked(options: Options, there: dict[str, dict[str, Any]]) -> list[Machine]:
    """Hosts that have to be brought up."""
    missing = [host for host in options.hosts if not is_good(there.get(host.name), host.name, host.made_of)]
    for host in missing:
        if host.name in there and label(there[host.name], SANDBOX_LABEL) != options.sandbox:
            raise LabError(
                f"A container {host.name} exists that does not belong to the sandbox {options.sandbox}; "
                "remove it or choose another name for the sandbox."
            )
        if not namespace(host.name).exists() and not options.check:
            raise LabError(
                f"The network namespace {host.name} does not exist; "
                "start the emulator with this machine in its inventory first."
            )
    return missing


def start_network(options: Options) -> list[str]:
    """Bring the machines to their switch, where the role makes the network."""
    network = options.lan
    if network is None:
        return []
    lab_network.checked(network, options.ports)
    missing = lab_network.missing(network, options.ports)
    if missing and not options.check:
        lab_network.connect(network, missing)
    return [f"connected {', '.join(port.machine for port in missing)}"] if missing else []


def start_images(options: Options, missing: list[Machine]) -> list[str]:
    """Make the images and files that are not there; while all hosts run there is no need to look for theirs."""
    recipes = options.recipes if missing or not options.machines else []
    recipes = [recipe for recipe in recipes if not image_exists(f"{options.image_name}:{recipe.tag}")]
    archives = [archive for archive in options.wanted_archives if not archive.made]
    begun = time.monotonic()
    if (recipes or archives) and not options.check:
        build(recipes, archives, options.image_name, Path(options.cache_directory))
    names = [f"the image {options.image_name}:{recipe.tag}" for recipe in recipes]
    names += [f"the file {archive.path}" for archive in archives]
    return [f"made {', '.join(names)} in {time.monotonic() - begun:.1f} s"] if names else []


def start_kubernetes(options: Options) -> list[str]:
    """Build the programs of Kubernetes where they are not there and a host is a node. What is built shows on standard error."""
    if options.bundle.made or not any(host.kubernetes for host in options.hosts):
        return []
    begun = time.monotonic()
    if not options.check:
        Builder(options.bundle, lambda text: print(f"building {text}", file=sys.stderr, flush=True)).build()
    return [f"built Kubernetes in {time.monotonic() - begun:.0f} s"]


def start_hosts(options: Options, missing: list[Machine], there: dict[str, dict[str, Any]]) -> list[str]:
    begun = time.monotonic()
    if missing and not options.check:
        make_ssh_keys(Path(options.ssh_directory))
        command = run_command()
        for host in missing:
            bring_up(host, there.get(host.name), options, command)
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda host: wait_for_boot(host.name, options.boot_timeout), missing))
    names = ", ".join(host.name for host in missing)
    return [f"started {names} in {time.monotonic() - begun:.1f} s"] if missing else []


def start(options: Options) -> dict[str, Any]:
    there = containers()
    done = start_network(options)
    missing = checked(options, there)
    done += start_kubernetes(options)
    done += start_images(options, missing)
    done += start_hosts(options, missing, there)
    summary = "; ".join(done) or f"all {len(options.hosts)} hosts run; nothing to do"
    images = [f"{options.image_name}:{recipe.tag}" for recipe in options.recipes]
    return {"changed": bool(done), "images": images, "started": [host.name for host in missing], "summary": summary}


def remove(options: Options) -> dict[str, Any]:
    """Remove the sandbox's hosts, or of these only the machines that were named."""
    named = {f"{options.sandbox}-{machine['name']}" for machine in options.machines}
    ours = sorted(
        name
        for name, container in containers().items()
        if label(container, SANDBOX_LABEL) == options.sandbox and (not named or name in named)
    )
    if ours and not options.check:
        run("podman", "rm", "--force", "--time=0", "--volumes", *ours)
        if not named:
            shutil.rmtree(options.ssh_directory, ignore_errors=True)
    machines = {machine["name"] for machine in options.machines}
    networks = lab_network.disconnect(options.sandbox, machines, options.check)
    images = remove_images(options.image_name, options.check) if options.image_state == "absent" else []
    gone = [*ours, *(f"the network of {name}" for name in networks), *images]
    summary = f"removed {', '.join(gone)}" if gone else "nothing to remove"
    return {"changed": bool(gone), "removed": ours, "removed_images": images, "summary": summary}


def main() -> int:
    options = Options(**json.load(sys.stdin))
    options = replace(options, release=options.release or default_release())
    try:
        if os.geteuid() != 0:
            raise LabError("The lab needs root: network namespaces, and containers that join them.")
        result = start(options) if options.state == "started" else remove(options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    json.dump(result, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
