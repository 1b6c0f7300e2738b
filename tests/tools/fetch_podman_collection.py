# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the collection containers.podman into a directory, with nothing but pip's own package index.

The community's wheel is the only package that carries the collection. It is fetched once, and only the collection
is kept. The directory then belongs on ANSIBLE_COLLECTIONS_PATH.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "ansible==12.3.0"
COLLECTION = "ansible_collections/containers/podman"
MARKER = ".fetched-from"


def fetch(directory: Path) -> bool:
    """Fetch the collection unless this version of it is there. Tell whether anything was done."""
    target = directory / COLLECTION
    marker = target / MARKER
    if marker.is_file() and marker.read_text() == WHEEL:
        return False
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".fetch-") as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--only-binary=:all:", "--dest", scratch, WHEEL], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch, [name for name in archive.namelist() if name.startswith(f"{COLLECTION}/")])
        fetched = Path(scratch) / COLLECTION
        (fetched / MARKER).write_text(WHEEL)
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        fetched.rename(target)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path, help="where to put ansible_collections/containers/podman")
    directory = parser.parse_args().directory
    try:
        changed = fetch(directory)
    except subprocess.CalledProcessError as error:
        print(f"pip could not download {WHEEL} (exit code {error.returncode}); its message is above.", file=sys.stderr)
        return 1
    print(f"{directory / COLLECTION}: {'fetched from' if changed else 'already there from'} {WHEEL}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
