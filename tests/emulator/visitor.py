# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who visits a front end of layer 7: curl and openssl in a machine of the lab, once, or all the time."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certificates
from emulator_harness import Network

NAMES = ("www", "api", "shop", "a.shop", "b.a.shop")


class Load:
    """What came of requests that go on and on, over a new connection each and over kept ones."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def add(self, lines: Iterator[str]) -> None:
        self._said.extend(line for line in lines if line.strip())

    @staticmethod
    def pause() -> None:
        time.sleep(0.5)

    @property
    def answers(self) -> int:
        return sum('"name"' in line for line in self._said)

    @property
    def wrong(self) -> list[str]:
        """Whatever is no answer of a server."""
        said = [line for line in self._said if "Terminated" not in line]
        return [line for line in said if not line.startswith('{"name"') or "curl:" in line]


class Visitor:
    """A machine that visits one address by the names of example.com."""

    def __init__(self, network: Network, tmp_path: Path, address: str) -> None:
        self.network, self.tmp_path, self.address = network, tmp_path, address
        self.ca = tmp_path / "ca.pem"
        self.ca.write_text(certificates.authority())

    def run(self, *command: str, machine: str = "client-1", stdin: str = "") -> subprocess.CompletedProcess[str]:
        space = f"{self.network.emulator.config['sandbox']}-{machine}"
        return subprocess.run(
            ["ip", "netns", "exec", space, *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.tmp_path,
        )

    def curl(self, url: str, *options: str, machine: str = "client-1") -> subprocess.CompletedProcess[str]:
        """curl, with every name of example.com at the instance."""
        names = [f"{name}.example.com:{port}:{self.address}" for name in NAMES for port in (80, 443, 8080)]
        resolved = [word for name in names for word in ("--resolve", name)]
        return self.run(
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            "10",
            "--cacert",
            str(self.ca),
            *resolved,
            *options,
            url,
            machine=machine,
        )

    def seen(self, url: str, *options: str) -> dict[str, Any]:
        """What the server that answered says that it saw."""
        done = self.curl(url, *options)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def served_by(self, url: str, *options: str) -> str:
        return str(self.seen(url, *options)["name"])

    def name_of(self, url: str, *options: str) -> str:
        """Which server answered; nothing where none did."""
        said = self.curl(url, *options).stdout
        return str(json.loads(said)["name"]) if said.startswith("{") else ""

    def openssl(self, *options: str, port: int = 443) -> subprocess.CompletedProcess[str]:
        return self.run(
            "openssl", "s_client", "-connect", f"{self.address}:{port}", "-CAfile", str(self.ca), *options, stdin="Q\n"
        )

    def subject(self, name: str) -> str:
        """The common name of the certificate that is shown to those who ask for a name."""
        found = re.search(r"subject=CN = (\S+)", self.openssl("-servername", name).stdout)
        return found[1] if found else ""

    def fingerprint(self, name: str = "www.example.com") -> str:
        """The SHA-1 of the certificate that is shown to those who ask for a name, as the API writes it."""
        shown = self.openssl("-servername", name, "-showcerts").stdout
        said = self.run("openssl", "x509", "-noout", "-fingerprint", "-sha1", stdin=shown).stdout
        return said.strip().rpartition("=")[2].lower()

    @contextlib.contextmanager
    def load(self) -> Iterator[Load]:
        """Requests by two curls, until the end of the block."""
        options = f"--silent --show-error --max-time 5 --cacert {self.ca} --resolve www.example.com:443:{self.address}"
        space = f"{self.network.emulator.config['sandbox']}-client-1"
        url = "https://www.example.com/"
        load = Load()
        processes = [
            subprocess.Popen(
                ["ip", "netns", "exec", space, "bash", "-c", f"while :; do curl {options} -w '\\n' {urls}; done"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            for urls in (url, " ".join([url] * 20))
        ]
        readers = [threading.Thread(target=load.add, args=(process.stdout,)) for process in processes]
        for reader in readers:
            reader.start()
        try:
            yield load
        finally:
            for process in processes:
                subprocess.run(["kill", "--", f"-{process.pid}"], check=False)
                process.wait(10)
            for reader in readers:
                reader.join()
