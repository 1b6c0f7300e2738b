# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the answers of an apiserver and of etcd say about how they are. Pure."""

from __future__ import annotations

import re
import typing as t

from .state import Member

FAILED = re.compile(r"^\[-\](\S+)", re.MULTILINE)
#: An id that stands for no member.
NOBODY = "0"


def failed_checks(*answers: str) -> t.List[str]:
    """The checks that /livez?verbose or /readyz?verbose find failed, each once and in their order."""
    return list(dict.fromkeys(name for answer in answers for name in FAILED.findall(answer)))


def git_version(answer: t.Any) -> str:
    """What /version tells, nothing where it tells something else."""
    return str(answer.get("gitVersion", "")) if isinstance(answer, dict) else ""


def etcd_facts(
    status: t.Mapping[str, t.Any], members: t.Sequence[Member], alarms: t.Sequence[t.Mapping[str, t.Any]], healthy: bool
) -> t.Dict[str, t.Any]:
    """A member of etcd in its own words.

    status and alarms are answers of the gateway to gRPC, which writes numbers of 64 bits as text and leaves zeros out (proto3 JSON).
    """
    leader = str(status.get("leader", NOBODY))
    names = {member.id: member.name or member.id for member in members}
    return {
        "member_id": str(status.get("header", {}).get("member_id", NOBODY)),
        "leader_id": "" if leader == NOBODY else leader,
        "healthy": healthy,
        "version": str(status.get("version", "")),
        "db_size": int(status.get("dbSize", 0)),
        "alarms": [
            {"member": names.get(str(one.get("memberID")), str(one.get("memberID"))), "alarm": str(one.get("alarm"))}
            for one in alarms
        ],
        "members": [{"id": member.id, "name": member.name, "peer_urls": list(member.peer_urls)} for member in members],
        "error": "",
    }


def silent_etcd(why: str) -> t.Dict[str, t.Any]:
    """The same of an etcd that should run on the machine and does not answer."""
    return {**etcd_facts({}, (), (), False), "error": why}
