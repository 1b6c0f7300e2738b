# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front end of Rancher as its tests see it."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

from lab import ROOT, Run, playbook

NODES = ("rancher-1", "rancher-2", "rancher-3")
BALANCERS = ("balancer-1", "balancer-2")
EXAMPLE = ROOT / "examples/rancher"
NAME = "rancher.example.com"
#: What a process of the lab may open is less than what a balancer asks for.
SMALL = {"nginx_maxconn": 1000, "haproxy_maxconn": 1000}


def run(name: str, **variables: t.Any) -> Run:
    """Run a playbook for this front end."""
    return playbook(name, "-e", json.dumps({**SMALL, **variables}), example=EXAMPLE)


def deployed(**variables: t.Any) -> Run:
    """Deploy, which has to go well."""
    done = run("deploy_rancher", **variables)
    assert done.code == 0, done.output
    return done


def refused(sentence: str, **variables: t.Any) -> None:
    """Deploy, which has to be refused with a sentence."""
    done = run("deploy_rancher", **variables)
    assert done.code != 0 and sentence in done.output, done.output


def reported(path: pathlib.Path, **variables: t.Any) -> dict[str, t.Any]:
    """The report as data."""
    done = run("report_frontend", report_frontend_path=str(path), **variables)
    assert done.code == 0, done.output
    report: dict[str, t.Any] = json.loads(path.read_text())
    return report


def make_certificate(file: pathlib.Path) -> None:
    """A certificate of the name, and its key beside it."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "7", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", file.with_suffix(".key"), "-out", file],
        check=True, capture_output=True,
    )  # fmt: skip
