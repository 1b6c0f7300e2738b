# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let ansible-test make its virtual environments from the package index alone.

ansible-test wants a get-pip script from a host of its own. It looks into its cache first; this puts a script there that
installs the wanted pip from its wheel. What a sanity test wants from elsewhere, as an archive of a commit, it takes from the
index as well. Run it with the Python that has ansible-core, in a virtual environment of its own.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import ansible_test

CACHE = pathlib.Path.home() / ".ansible/test/cache"
SCRIPT = '''\
import os
import sys

here = os.path.dirname(os.path.abspath(os.environ["GET_PIP"]))
sys.path.insert(0, os.path.join(here, "pip-{version}-py3-none-any.whl"))
from pip._internal.cli.main import main

arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "--no-index", "--find-links", here, *arguments]))
'''


def wanted_pip() -> str:
    """The version of pip that this ansible-test asks for."""
    source = pathlib.Path(ansible_test.__path__[0], "_internal/python_requirements.py").read_text(encoding="utf-8")
    found = re.search(r"default_packages = dict\(\s*pip='([^']+)'", source)
    if found is None:
        raise SystemExit("this ansible-test does not say which pip it wants")
    return found[1]


def use_releases() -> None:
    """Want the newest release where a commit is wanted. ansible-core 2.22 does so for Python 3.15 only, which nobody runs here."""
    for path in pathlib.Path(ansible_test.__path__[0], "_data/requirements").glob("sanity.*.txt"):
        wanted = path.read_text(encoding="utf-8")
        released = re.sub(r"^([\w.-]+) *@ *https?://.*$", r"\1", wanted, flags=re.MULTILINE)
        if released != wanted:
            path.write_text(released, encoding="utf-8")


def main() -> None:
    use_releases()
    version = wanted_pip()
    CACHE.mkdir(parents=True, exist_ok=True)
    if not (CACHE / f"pip-{version}-py3-none-any.whl").exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", CACHE, f"pip=={version}"],
            check=True,
        )
    (CACHE / f"get_pip_{version.replace('.', '_')}.py").write_text(SCRIPT.format(version=version), encoding="utf-8")


if __name__ == "__main__":
    main()
