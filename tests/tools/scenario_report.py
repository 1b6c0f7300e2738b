# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plugin of pytest: every Molecule scenario writes a report of its own, though all of them get the same options."""

from __future__ import annotations

import os
import pathlib

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Put the scenario's name into the name of the report."""
    scenario = os.environ.get("MOLECULE_SCENARIO_NAME")
    if scenario and config.option.xmlpath:
        path = pathlib.Path(config.option.xmlpath)
        config.option.xmlpath = str(path.with_name(f"{path.stem}-{scenario}{path.suffix}"))
