# Copyright (c) clusterfront.ha contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the lab, made by mmdebstrap: those that hosts run from, and files with images for engines within hosts."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import platform
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator

from lab_common import LabError, run

HERE = Path(__file__).resolve().parent
# the hook needs apt, which is in the minimal set of Debian, but not in Ubuntu's
MAKE_OPTIONS = ("--mode=root", "--variant=minbase", "--include=apt", "--format=tar", "--skip=cleanup/apt")
IMPORT_OPTIONS = (
    "--change=ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    '--change=CMD ["/usr/local/sbin/host-init"]',
)
# an image for an engine holds what its program needs, and nothing to read
LEAN_OPTIONS = (
    "--mode=root", "--variant=essential", "--format=tar", "--customize-hook=rm -rf $1/var/lib/apt/lists $1/var/cache/apt",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")),
)  # fmt: skip
LEAN_IMPORT_OPTIONS = IMPORT_OPTIONS[:1]
KUBERNETES_PACKAGES = ("conntrack", "containerd", "ethtool", "iptables", "kmod", "mount", "runc", "socat")


@dataclass(frozen=True)
class Recipe:
    """All that decides what is in an image of a host."""

    release: str
    packages: tuple[str, ...]  # in the image's own repository
    system_packages: tuple[str, ...]  # installed
    apt_sources: tuple[str, ...]
    kubernetes: bool = False  # whether a host of it can be a node

    @property
    def installed(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.system_packages, *(KUBERNETES_PACKAGES if self.kubernetes else ()))))

    @property
    def tag(self) -> str:
        chosen = [platform.machine(), self.release, self.packages, self.installed, self.apt_sources]
        scripts = [(HERE / name).read_text() for name in ("customize_image.sh", "host_init.sh", "host_crun.sh")]
        if self.kubernetes:
            overlay = sorted(path for path in (HERE / "kubernetes").rglob("*") if path.is_file())
            scripts += [path.read_text() for path in (HERE / "customize_kubernetes.sh", *overlay)]
        return digest([chosen, MAKE_OPTIONS, IMPORT_OPTIONS, scripts])


@dataclass(frozen=True)
class Archive:
    """A file with an image, as 'podman load' takes it."""

    path: Path
    image: str
    release: str
    packages: tuple[str, ...]

    @property
    def mark(self) -> str:
        """What the file was made from; it lies beside the file."""
        chosen = [platform.machine(), self.image, self.release, self.packages]
        return digest([chosen, LEAN_OPTIONS, LEAN_IMPORT_OPTIONS])

    @property
    def mark_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.recipe")

    @property
    def made(self) -> bool:
        return self.path.exists() and self.mark_path.exists() and self.mark_path.read_text() == self.mark


def digest(recipe: object) -> str:
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


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


def imported(
    what: str, release: str, make: Iterable[str], sources: Iterable[str], change: Iterable[str], log_path: Path
) -> str:
    """Pipe a new root file system into the image store, and tell the id that it has there."""
    command = ["mmdebstrap", *make, *apt_options(), release, "-", "\n".join(sources)]
    with log_path.open("wb") as log:
        try:
            maker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        except FileNotFoundError:
            raise LabError("The command mmdebstrap is missing; install the package mmdebstrap.") from None
        importer = ["podman", "import", "--quiet", *change, "-"]
        store = subprocess.run(importer, stdin=maker.stdout, stdout=subprocess.PIPE, stderr=log, check=False)
        assert maker.stdout is not None
        maker.stdout.close()  # so that mmdebstrap ends when podman gave up
        failed = maker.wait() != 0
    image_id = store.stdout.decode().strip()
    if failed or store.returncode:
        if store.returncode == 0:
            run("podman", "rmi", image_id, may_fail=True)
        raise LabError(f"The {what} for release {release} could not be made; read {log_path}.")
    return image_id


def build_image(recipe: Recipe, name: str, cache: Path) -> None:
    """Make the image of hosts. The tag is set last, so a broken image never gets one."""
    full_name = f"{name}:{recipe.tag}"
    with locked(cache / f"lab-hosts-image-{recipe.tag}.lock"):
        if image_exists(full_name):
            return
        hook = f'"{HERE}/customize_image.sh" "$1" {shlex.join(recipe.packages)}'
        credentials = 'for f in /etc/apt/auth.conf*; do test ! -e "$f" || cp -r "$f" "$1/etc/apt/"; done'
        make = [
            *MAKE_OPTIONS, f"--include={','.join(recipe.installed)}",
            f"--setup-hook={credentials}", f"--customize-hook={hook}",
        ]  # fmt: skip
        if recipe.kubernetes:
            make.append(f'--customize-hook="{HERE}/customize_kubernetes.sh" "$1"')
        sources = recipe.apt_sources or apt_sources(recipe.release)
        log_path = cache / f"lab-hosts-image-{recipe.tag}.log"
        run("podman", "tag", imported("host image", recipe.release, make, sources, IMPORT_OPTIONS, log_path), full_name)


def build_archive(archive: Archive, cache: Path) -> None:
    """Make the file, by way of the image store. Its mark is written last, so a broken file is made again."""
    archive.path.parent.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"lab-hosts-archive-{archive.mark}.lock"):
        if archive.made:
            return
        log_path = cache / f"lab-hosts-archive-{archive.mark}.log"
        make = [*LEAN_OPTIONS, f"--include={','.join(archive.packages)}"]
        sources = apt_sources(archive.release)
        image_id = imported(f"image {archive.image}", archive.release, make, sources, LEAN_IMPORT_OPTIONS, log_path)
        try:
            run("podman", "tag", image_id, archive.image)
            archive.mark_path.unlink(missing_ok=True)
            archive.path.unlink(missing_ok=True)
            run("podman", "save", "--quiet", f"--output={archive.path}", archive.image)
            archive.mark_path.write_text(archive.mark)
        finally:
            # the machine's own store is not where it will run
            run("podman", "rmi", "--force", image_id, may_fail=True)


def build(recipes: Iterable[Recipe], archives: Iterable[Archive], name: str, cache: Path) -> None:
    """Make all that is missing, two at a time: mmdebstrap hardly uses more than one core."""
    cache.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = [pool.submit(build_image, recipe, name, cache) for recipe in recipes]
        jobs += [pool.submit(build_archive, archive, cache) for archive in archives]
        for job in jobs:
            job.result()


def remove_images(name: str, check: bool) -> list[str]:
    """Remove every image of our name that no container uses, and tell which."""
    listed = json.loads(run("podman", "images", "--format", "json", name).stdout)
    unused = {tag for image in listed if not image.get("Containers") for tag in image.get("Names") or []}
    ours = sorted(tag for tag in unused if tag.startswith(f"{name}:"))
    if ours and not check:
        run("podman", "rmi", *ours)
    return ours
