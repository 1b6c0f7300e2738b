# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of a real Kubernetes, built as ordinary Go module tools, and the image that a host's containerd runs them from.

Finished products are kept, Go's own caches are not: they are fifty times as large. A product lies under the name of its version and
a hash of its recipe, so it is built once, and again when the recipe changes.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping

from lab_common import LabError, run

#: The oldest Go that builds what follows.
GO = (1, 24)
REGISTRY = "local.test/k8s"
#: Names under which kubeadm of the main version asks for images. kube-proxy and coredns are names only: nothing runs them here.
MAIN, ETCD, PAUSE, COREDNS, OLDER_ETCD = "1.33.13", "3.5.24", "3.10", "v1.12.0", "3.5.21"
IN_IMAGE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
#: Programs that watch many files; they run by way of as-user.
WATCHERS = ("kubelet", "kube-apiserver", "kube-controller-manager")
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Product:
    """Some programs of one version of a Go module."""

    name: str
    version: str
    module: str
    commands: Mapping[str, str]  # program -> package

    @property
    def key(self) -> str:
        recipe = [platform.machine(), self.name, self.version, self.module, dict(self.commands), FLAGS, self.ldflags]
        recipe.append(self.source.read_text() if self.module == OWN else "")
        return f"{self.name}-{self.version}-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]}"

    @property
    def source(self) -> Path:
        """The code of a program of our own."""
        return HERE / "programs" / self.name / "main.go"

    @property
    def ldflags(self) -> str:
        # without its version kubeadm ends in preflight
        version = f" -X k8s.io/component-base/version.gitVersion=v{self.version}" if self.module == KUBERNETES else ""
        return f"-s -w{version}"


KUBERNETES, OWN = "k8s.io/kubernetes", "lab"
FLAGS = ("-mod=mod", "-trimpath", "-buildvcs=false")


def kubernetes(name: str, version: str, *commands: str) -> Product:
    return Product(name, version, KUBERNETES, {command: f"{KUBERNETES}/cmd/{command}" for command in commands})


#: What a cluster needs.
PRODUCTS = (
    kubernetes("kubernetes", MAIN, "kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
    Product("etcd", ETCD, "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Product("pause", PAUSE, OWN, {"pause": "."}),
    Product("as-user", "1", OWN, {"as-user": "."}),
)  # fmt: skip
#: A kubeadm whose init needs the endpoint; a kubeadm that knows the older format of its configuration only. Tests want them.
EXTRAS = (
    kubernetes("kubeadm", "1.33.4", "kubeadm"),
    kubernetes("kubeadm", "1.30.4", "kubeadm"),
)  # fmt: skip


def image_names() -> list[str]:
    """All that kubeadm and containerd ask for."""
    version = f"v{MAIN}"
    names = {f"kube-{part}": version for part in ("apiserver", "controller-manager", "scheduler", "proxy")}
    names |= {"pause": PAUSE, "coredns": COREDNS, "etcd": f"{ETCD}-0"}
    # the older patch level of kubeadm asks for an older patch level of etcd
    return [f"{REGISTRY}/{name}:{tag}" for name, tag in names.items()] + [f"{REGISTRY}/etcd:{OLDER_ETCD}-0"]


@dataclass(frozen=True)
class Bundle:
    """What hosts mount: all programs, and the image. One directory for each set of products."""

    cache: Path
    extras: bool = False

    @property
    def products(self) -> tuple[Product, ...]:
        return PRODUCTS + (EXTRAS if self.extras else ())

    @property
    def path(self) -> Path:
        keys = [*(product.key for product in self.products), image_names(), IN_IMAGE, WATCHERS]
        return self.cache / f"bundle-{MAIN}-{hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:12]}"

    def product(self, product: Product) -> Path:
        return self.cache / product.key

    @property
    def made(self) -> bool:
        return self.path.exists()

    @property
    def missing(self) -> list[Product]:
        return [] if self.made else [product for product in self.products if not self.product(product).exists()]


def go_version(shown: str) -> tuple[int, int]:
    """What 'go env GOVERSION' says, as numbers."""
    found = re.match(r"go(\d+)\.(\d+)", shown)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def checked_go() -> None:
    """Refuse a machine that can't build, before it has tried for minutes."""
    wanted = f"Go {GO[0]}.{GO[1]} or newer"
    if not shutil.which("go"):
        raise LabError(
            f"Kubernetes is built from its Go modules, and there is no go on this machine; install {wanted}."
        )
    shown = run("go", "env", "GOVERSION").stdout.strip()
    if go_version(shown) < GO:
        raise LabError(
            f"Kubernetes is built from its Go modules, and the go of this machine is {shown}; install {wanted}."
        )


def staging(go_mod: Mapping[str, object], version: str) -> dict[str, str]:
    """The modules that Kubernetes replaces by directories of its own tree, at the version by which they are published."""
    replaced = go_mod.get("Replace") or []
    assert isinstance(replaced, list)
    published = f"v0.{version.partition('.')[2]}"
    return {one["Old"]["Path"]: published for one in replaced if one["New"]["Path"].startswith("./staging/")}


def go_mod_text(product: Product, replaced: Mapping[str, str]) -> str:
    """A module whose only purpose is to need another one."""
    lines = ["module lab/build", "", f"go {GO[0]}.{GO[1]}.0", "", f"require {product.module} v{product.version}"]
    lines += [f"replace {path} => {path} {version}" for path, version in sorted(replaced.items())]
    return "\n".join(lines) + "\n"


class Builder:
    """Builds products in a scratch directory with caches of its own, which go with it."""

    def __init__(self, bundle: Bundle, say: Callable[[str], None]) -> None:
        self.bundle = bundle
        self.cache = bundle.cache
        self.say = say

    def build(self, key: str = "") -> list[str]:
        """Build what is missing, or of that only the product of a key, and tell what was built."""
        self.cache.mkdir(parents=True, exist_ok=True)
        bundle = self.bundle
        with (self.cache / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            missing = [product for product in bundle.missing if key in ("", product.key)]
            # a killed build leaves its caches, and the next one goes on with them
            caches = self.cache / "go"
            if missing:
                checked_go()
                for number, product in enumerate(missing, 1):
                    self.say(f"{number} of {len(missing)}: {product.name} {product.version}")
                    self.build_product(product, caches)
            if not bundle.missing and not bundle.made:
                self.say("the image")
                self.make_bundle(bundle)
                if not os.environ.get("CFHA_KEEP_GO_CACHES"):
                    shutil.rmtree(caches, ignore_errors=True)
        return [product.key for product in missing]

    def go(self, log: Path, where: Path, caches: Path, *arguments: str) -> str:
        environment = {
            **os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-modcacherw", "GOMODCACHE": str(caches / "mod"),
            "GOCACHE": str(caches / "build"), "GOWORK": "off",
        }  # fmt: skip
        with log.open("ab") as file:
            done = subprocess.run(
                ["go", *arguments], cwd=where, env=environment, stdout=subprocess.PIPE, stderr=file, check=False
            )
        if done.returncode:
            words = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise LabError(f"go {arguments[0]} failed: {words[-1]}; read {log}.")
        return done.stdout.decode()

    def build_product(self, product: Product, caches: Path) -> None:
        log = self.cache / f"{product.key}.log"
        log.write_bytes(b"")
        with tempfile.TemporaryDirectory(dir=self.cache, prefix="scratch-") as scratch:
            source, made = Path(scratch, "source"), Path(scratch, "made")
            source.mkdir()
            made.mkdir()
            replaced: dict[str, str] = {}
            if product.module == OWN:
                (source / "go.mod").write_text(f"module {OWN}/{product.name}\n\ngo {GO[0]}.{GO[1]}.0\n")
                shutil.copy(product.source, source / "main.go")
            else:
                if product.module == KUBERNETES:
                    (source / "go.mod").write_text("module lab/build\n")
                    at = f"{product.module}@v{product.version}"
                    found = json.loads(self.go(log, source, caches, "mod", "download", "-json", at))
                    read = self.go(log, source, caches, "mod", "edit", "-json", found["GoMod"])
                    replaced = staging(json.loads(read), product.version)
                (source / "go.mod").write_text(go_mod_text(product, replaced))
            for command, package in product.commands.items():
                target = str(made / command)
                self.go(log, source, caches, "build", *FLAGS, "-ldflags", product.ldflags, "-o", target, package)
            made.rename(self.cache / product.key)

    def make_bundle(self, bundle: Bundle) -> None:
        """Put programs and image together; the directory gets its name when it is whole."""
        with tempfile.TemporaryDirectory(dir=self.cache, prefix="scratch-") as scratch:
            place = Path(scratch, "bundle")
            place.mkdir()
            (place / "real").mkdir()
            programs = {
                command: bundle.product(product) / command for product in PRODUCTS for command in product.commands
            }
            for product in bundle.products:
                for command in product.commands:
                    # a further kubeadm has its version in its name
                    name = f"{command}-{product.version}" if product.name == command == "kubeadm" else command
                    target = place / "real" / name if command in WATCHERS else place / name
                    os.link(bundle.product(product) / command, target)
            os.link(programs["as-user"], place / "kubelet")
            files = {"pause": programs["pause"]}
            for name in IN_IMAGE:
                files[f"usr/local/bin/{'real/' if name in WATCHERS else ''}{name}"] = programs[name]
            for name in WATCHERS:
                if name in IN_IMAGE:
                    files[f"usr/local/bin/{name}"] = programs["as-user"]
            write_image(place / "images.tar", files, image_names())
            place.chmod(0o755)
            place.rename(bundle.path)


def write_image(path: Path, files: Mapping[str, Path], names: list[str]) -> None:
    """One image of one layer under all names, as 'docker save' writes it; so no engine and no registry is needed."""
    layer_path = path.with_suffix(".layer")
    with tarfile.open(layer_path, "w") as layer:
        for directory in ("usr", "usr/local", "usr/local/bin", "usr/local/bin/real", "tmp", "etc"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            layer.addfile(entry)
        for name, source in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o755, source.stat().st_size
            with source.open("rb") as content:
                layer.addfile(entry, content)
    with layer_path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    text = json.dumps(config).encode()
    config_name, layer_name = f"{hashlib.sha256(text).hexdigest()}.json", f"{digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": names, "Layers": [layer_name]}]
    with tarfile.open(path, "w") as archive:
        for name, content_bytes in ((config_name, text), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content_bytes)
            archive.addfile(entry, io.BytesIO(content_bytes))
        archive.add(layer_path, layer_name)
    layer_path.unlink()


def main() -> int:
    """For scripts that show how far it is."""
    parser = argparse.ArgumentParser(prog="lab_kubernetes.py", description=main.__doc__)
    parser.add_argument("what", choices=["missing", "build", "path"])
    parser.add_argument("--extras", action="store_true", help="also the programs that only tests want")
    parser.add_argument("cache", type=Path)
    parser.add_argument("key", nargs="?", default="", help="build this product alone")
    options = parser.parse_args()
    bundle = Bundle(options.cache, options.extras)
    try:
        if options.what == "missing":
            print("\n".join(product.key for product in bundle.missing))
        elif options.what == "path":
            print(bundle.path)
        else:
            Builder(bundle, lambda text: print(text, flush=True)).build(options.key)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
