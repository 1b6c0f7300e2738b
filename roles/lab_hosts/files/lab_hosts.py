# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the hosts of a lab to the wanted state: their image, and one podman container per machine.

Reads one JSON object on standard input (the options of the role), writes one on standard output (what was done).
One process does it all, because a task of its own for each host would cost more than the host.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import resource
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterator

HERE = Path(__file__).resolve().parent
SANDBOX_LABEL = "cfha.sandbox"
IMAGE_LABEL = "cfha.image"
# mount and sysctl, addresses and packet filters, ping, names of other users' processes in ss, sudo's log
CAPABILITIES = "SYS_ADMIN,NET_ADMIN,NET_RAW,SYS_PTRACE,AUDIT_WRITE"
CAP_SYS_RESOURCE = 24
# where a host sees the keys of its sandbox
SSH_MOUNT = "/etc/lab-ssh"
# the hook needs apt, which is in the minimal set of Debian, but not in Ubuntu's
MAKE_OPTIONS = ("--mode=root", "--variant=minbase", "--include=apt", "--format=tar", "--skip=cleanup/apt")
IMPORT_OPTIONS = (
    "--change=ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    '--change=CMD ["/usr/local/sbin/host-init"]',
)


class LabError(Exception):
    """One sentence for the user."""


@dataclass(frozen=True)
class Options:
    state: str
    check: bool
    sandbox: str
    machines: list[dict[str, Any]]
    image_state: str
    image_name: str
    release: str
    packages: list[str]
    system_packages: list[str]
    apt_sources: list[str]
    cache_directory: str
    ssh_directory: str
    boot_timeout: float

    @property
    def names(self) -> list[str]:
        """Containers that should run: machines that have a network namespace and are not switched off."""
        return [
            f"{self.sandbox}-{machine['name']}"
            for machine in self.machines
            if machine.get("attached", True) and machine.get("status", "Running") == "Running"
        ]

    @property
    def image(self) -> str:
        """The image's full name. Its tag is a hash of all that decides what is in it."""
        chosen = [platform.machine(), self.release, self.packages, self.system_packages, self.apt_sources]
        scripts = [(HERE / name).read_text() for name in ("customize_image.sh", "host_init.sh")]
        recipe = json.dumps([chosen, MAKE_OPTIONS, IMPORT_OPTIONS, scripts])
        return f"{self.image_name}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def run(*command: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError(f"The command {command[0]} is missing; install the package that brings it.") from None
    if done.returncode and not may_fail:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise LabError(f"{command[0]} failed: {words[-1]}")
    return done


# --- image ---------------------------------------------------------------------------------------------------------


def image_exists(image: str) -> bool:
    return run("podman", "image", "exists", image, may_fail=True).returncode == 0


def os_release() -> dict[str, str]:
    """What this machine runs."""
    lines = (line.partition("=") for line in Path("/etc/os-release").read_text().splitlines())
    return {key: value.strip('"') for key, dummy, value in lines}


def default_release() -> str:
    """Debian 12, which the tests run on, where the machine's mirrors are Debian's; else the machine's own release."""
    return "bookworm" if os_release().get("ID") == "debian" else os_release().get("VERSION_CODENAME", "")


def apt_sources(release: str) -> list[str]:
    """The machine's own mirrors of its distribution, moved to the wanted release."""
    codename = os_release().get("VERSION_CODENAME", "")
    wanted = {codename + part: release + part for part in ("", "-updates", "-security")}
    components: dict[tuple[str, str], list[str]] = {}
    fields = "$(SITE)\t$(RELEASE)\t$(COMPONENT)"
    for line in run("apt-get", "indextargets", "--format", fields, "Created-By: Packages").stdout.splitlines():
        site, suite, component = line.split("\t")
        if suite in wanted and component in ("main", "universe"):
            known = components.setdefault((site, wanted[suite]), [])
            if component not in known:
                known.append(component)
    if not any(suite == release for dummy, suite in components):
        raise LabError(
            f"apt on this machine knows no mirror of {codename or 'its release'}; "
            "run 'apt-get update' or set lab_hosts_apt_sources."
        )
    return [f"deb {site} {suite} {' '.join(parts)}" for (site, suite), parts in components.items()]


def apt_options() -> Iterator[str]:
    """Proxies, certificates and the like of the machine's apt; the environment's proxies need no help."""
    for line in run("apt-config", "dump").stdout.splitlines():
        if line.startswith(("Acquire::http", "Acquire::https")) and not line.endswith(' "";'):
            yield f"--aptopt={line}"
    keyrings = sorted(Path("/usr/share/keyrings").glob("*-archive-keyring.[gp]*"))
    for keyring in [Path("/etc/apt/trusted.gpg.d"), *keyrings]:
        if keyring.exists():
            yield f"--keyring={keyring}"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build_image(options: Options) -> None:
    """Pipe a new root file system into the image store. The tag is set last, so a broken image never gets one."""
    cache = Path(options.cache_directory)
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lab-hosts-image.lock"):
        if image_exists(options.image):
            return
        log_path = cache / f"lab-hosts-image-{options.image.rpartition(':')[2]}.log"
        hook = f'"{HERE}/customize_image.sh" "$1" {shlex.join(options.packages)}'
        credentials = 'for f in /etc/apt/auth.conf*; do test ! -e "$f" || cp -r "$f" "$1/etc/apt/"; done'
        command = [
            "mmdebstrap", *MAKE_OPTIONS, f"--include={','.join(options.system_packages)}", *apt_options(),
            f"--setup-hook={credentials}", f"--customize-hook={hook}",
            options.release, "-", "\n".join(options.apt_sources or apt_sources(options.release)),
        ]  # fmt: skip
        with log_path.open("wb") as log:
            try:
                maker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
            except FileNotFoundError:
                raise LabError("The command mmdebstrap is missing; install the package mmdebstrap.") from None
            importer = ["podman", "import", "--quiet", *IMPORT_OPTIONS, "-"]
            store = subprocess.run(importer, stdin=maker.stdout, stdout=subprocess.PIPE, stderr=log, check=False)
            assert maker.stdout is not None
            maker.stdout.close()  # so that mmdebstrap ends when podman gave up
            failed = maker.wait() != 0
        image_id = store.stdout.decode().strip()
        if failed or store.returncode:
            if store.returncode == 0:
                run("podman", "rmi", image_id, may_fail=True)
            raise LabError(f"The host image for release {options.release} could not be made; read {log_path}.")
        run("podman", "tag", image_id, options.image)


def remove_images(options: Options) -> list[str]:
    """Remove every image of our name that no container uses, and tell which."""
    listed = json.loads(run("podman", "images", "--format", "json", options.image_name).stdout)
    unused = {name for image in listed if not image.get("Containers") for name in image.get("Names") or []}
    ours = sorted(name for name in unused if name.startswith(f"{options.image_name}:"))
    if ours and not options.check:
        run("podman", "rmi", *ours)
    return ours


# --- hosts ---------------------------------------------------------------------------------------------------------


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


def start_host(name: str, options: Options, command: list[str]) -> None:
    run(
        *command, "--detach", "--systemd=always", "--cgroupns=private",
        f"--name={name}", f"--hostname={name[len(options.sandbox) + 1:]}", f"--network=ns:{namespace(name)}",
        "--no-hosts", "--dns=none", f"--cap-add={CAPABILITIES}", f"--volume={options.ssh_directory}/hosts:{SSH_MOUNT}:ro",
        f"--label={SANDBOX_LABEL}={options.sandbox}", f"--label={IMAGE_LABEL}={options.image}", options.image,
    )  # fmt: skip


def bring_up(name: str, container: dict[str, Any] | None, options: Options, command: list[str]) -> None:
    """A host that was only stopped keeps its files; one of another image, or of a lost namespace, is made anew."""
    stopped = container is not None and container["State"] != "running"
    if container is not None and stopped and label(container, IMAGE_LABEL) == options.image:
        run("podman", "start", name)
        return
    if container is not None:
        run("podman", "rm", "--force", "--time=0", "--volumes", name)
    start_host(name, options, command)


def wait_for_boot(name: str, timeout: float) -> None:
    """Wait until systemd has started all it wants. A unit that a role put there may fail; that is the role's affair."""
    deadline = time.monotonic() + timeout
    state = "not reachable"
    while (left := deadline - time.monotonic()) > 0:
        limited = ("timeout", f"{left:.1f}", "systemctl", "is-system-running", "--wait")
        asked = run("podman", "exec", name, *limited, may_fail=True)
        state = asked.stdout.strip() or state
        if state in ("running", "degraded"):
            return
        if "not running" in asked.stderr or "running containers" in asked.stderr:
            words = run("podman", "logs", name, may_fail=True).stderr.strip().splitlines() or ["it left no message"]
            raise LabError(f"The host {name} ended while it came up: {words[-1]}")
        time.sleep(0.1)
    raise LabError(f"The host {name} did not come up within {timeout:g} s: systemd is {state}; see 'podman logs'.")


def checked(options: Options) -> tuple[list[str], dict[str, dict[str, Any]], bool]:
    """Hosts that have to be brought up, the containers that are there, and whether the image has to be made."""
    there = containers()
    missing = [name for name in options.names if not is_good(there.get(name), name, options.image)]
    for name in missing:
        if name in there and label(there[name], SANDBOX_LABEL) != options.sandbox:
            raise LabError(
                f"A container {name} exists that does not belong to the sandbox {options.sandbox}; "
                "remove it or choose another name for the sandbox."
            )
        if not namespace(name).exists() and not options.check:
            raise LabError(
                f"The network namespace {name} does not exist; "
                "start the emulator with this machine in its inventory first."
            )
    # while all hosts run there is no need to look for the image
    return missing, there, bool(missing or not options.names) and not image_exists(options.image)


def start(options: Options) -> dict[str, Any]:
    missing, there, no_image = checked(options)
    done: list[str] = []
    begun = time.monotonic()
    if no_image and not options.check:
        build_image(options)
    if no_image:
        done.append(f"made the image {options.image} in {time.monotonic() - begun:.1f} s")
    begun = time.monotonic()
    if missing and not options.check:
        make_ssh_keys(Path(options.ssh_directory))
        command = run_command()
        for name in missing:
            bring_up(name, there.get(name), options, command)
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda name: wait_for_boot(name, options.boot_timeout), missing))
    if missing:
        done.append(f"started {', '.join(missing)} in {time.monotonic() - begun:.1f} s")
    summary = "; ".join(done) or f"all {len(options.names)} hosts run; nothing to do"
    return {"changed": bool(done), "image": options.image, "started": missing, "summary": summary}


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
    images = remove_images(options) if options.image_state == "absent" else []
    summary = f"removed {', '.join([*ours, *images])}" if ours or images else "nothing to remove"
    return {"changed": bool(ours or images), "removed": ours, "removed_images": images, "summary": summary}


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
