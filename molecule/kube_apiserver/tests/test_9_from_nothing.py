# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On an empty cloud and on bare machines, check mode predicts what the run then does, and writes nothing."""

from __future__ import annotations

import json
import re

import pytest
from lab import control, deployed, playbook


def recap(output: str) -> dict[str, int]:
    """How many tasks changed something, by host."""
    return {
        host: int(changed) for host, changed in re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", output, re.MULTILINE)
    }


def cloud_diff(output: str) -> str:
    """What the front end's own task showed of the cloud."""
    return (
        output.split("TASK [Make the cloud as the document says]")[1]
        .split("TASK [")[0]
        .split("changed: [localhost]")[0]
    )


@pytest.mark.thorough
def test_check_mode_predicts_the_run() -> None:
    assert playbook("stop_sandbox").code == 0
    assert playbook("start_sandbox").code == 0
    control("DELETE", "requests")
    predicted = deployed("--check", "--diff")
    requests = control("GET", "requests")
    print(
        f"check mode: {json.dumps(requests['counts'])}, {requests['writes']} writes; changes by host {recap(predicted.output)}"
    )
    assert requests["writes"] == 0
    done = deployed("--diff")
    assert recap(done.output) == recap(predicted.output)
    assert all(recap(done.output).values())
    assert cloud_diff(done.output) == cloud_diff(predicted.output)
    control("DELETE", "requests")
    assert deployed().changed == 0
    requests = control("GET", "requests")
    assert (
        requests["counts"] == dict.fromkeys(requests["counts"], 1)
        and len(requests["counts"]) == 5
        and requests["writes"] == 0
    )
