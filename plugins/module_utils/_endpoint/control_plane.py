# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a control plane: its certificates, its names, its versions, its etcd. Pure.

What nobody could tell is no finding: a stand-in, a fresh machine and one that Ansible can't reach know nothing of these layers.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from .diagnosis import EXPECTED, PROBLEM, Finding

Facts = t.Mapping[str, t.Any]
#: Days before its end from which a certificate is told of.
CERTIFICATE_DAYS = 30
#: How many of many a sentence names.
NAMED = 3
#: The newest kubelet that may be only two minor versions older than the apiserver, https://kubernetes.io/releases/version-skew-policy/.
TWO_MINORS = 24

ALARMS = {
    "NOSPACE": "its database is full and takes nothing new; compact and defragment it, then run 'etcdctl alarm disarm'",
    "CORRUPT": "its data differ from those of other members; remove this member, clear its data and add it again",
}


@dataclasses.dataclass(frozen=True)
class Master:
    """A master, as the report knows it. facts are those of kubeadm_node_info with health, empty where nobody could ask."""

    name: str
    address: str
    facts: Facts = dataclasses.field(default_factory=dict)
    #: What the certificate says that it serves: not_after, days_left, subject_alt_names. Empty where nothing was served.
    served: Facts = dataclasses.field(default_factory=dict)

    @property
    def apiserver(self) -> Facts:
        return self.facts.get("apiserver") or {}

    @property
    def etcd(self) -> Facts:
        return self.facts.get("etcd") or {}

    @property
    def certificates(self) -> list[Facts]:
        """Its files, and the one that it serves where that is none of them."""
        files = [one for one in self.facts.get("certificates") or () if one["days_left"] is not None]
        ends = [one["not_after"] for one in files]
        if self.served.get("days_left") is None or self.served["not_after"] in ends:
            return files
        return [{**self.served, "name": "the one that it serves"}, *files]


def findings(masters: t.Sequence[Master], host: str, days: int = CERTIFICATE_DAYS) -> list[Finding]:
    """All that is wrong. host is what clients call the endpoint by."""
    return [
        *_certificates(masters, days),
        *_names(masters, host),
        *_checks(masters),
        *_versions(masters),
        *_etcd(masters),
    ]


def _some(words: t.Sequence[str]) -> str:
    """The first of many, and how many more there are."""
    more = len(words) - NAMED
    return ", ".join(words[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _certificates(masters: t.Sequence[Master], days: int) -> t.Iterator[Finding]:
    for master in masters:
        ending = sorted(
            (one for one in master.certificates if one["days_left"] < days), key=lambda one: one["days_left"]
        )
        over = [one for one in ending if one["days_left"] < 0]
        shown = over or ending
        if not shown:
            continue
        names = [str(one["name"]) for one in shown]
        if over:
            begin = f"Certificates of {master.name} have ended: {_some(names)}"
        else:
            begin = f"Certificates of {master.name} end within {shown[0]['days_left'] + 1} days: {_some(names)}"
        # kubeadm renews what a CA has signed, never the CA
        own = [name for name in names if name.endswith("ca.crt")]
        cure = "run 'kubeadm certs renew all' there and restart the control plane's pods"
        if own:
            cure = f"{_some(own)} has to be replaced by hand, which kubeadm does not do; for the others {cure}"
        yield Finding(
            "certificate_ended" if over else "certificate_ends",
            PROBLEM if over else EXPECTED,
            f"{begin}; {cure}.",
            (master.name,),
        )


def has_name(names: t.Iterable[str], host: str) -> bool:
    """Whether a certificate's names have a name or an address; a star stands for one label, RFC 6125 6.4.3."""
    try:
        wanted = str(ipaddress.ip_address(host))
    except ValueError:
        wanted = host.lower().rstrip(".")
        if "*." + wanted.partition(".")[2] in (name.lower() for name in names):
            return True
    return wanted in (name.lower() for name in names)


def _names(masters: t.Sequence[Master], host: str) -> t.Iterator[Finding]:
    without = [
        master.name
        for master in masters
        if master.served.get("not_after") and not has_name(master.served.get("subject_alt_names") or (), host)
    ]
    if without:
        yield Finding(
            "certificate_lacks_name",
            PROBLEM,
            f"What {_some(without)} {'serves' if len(without) == 1 else 'serve'} as certificate does not have the name {host}, so clients of the"
            " endpoint refuse it; set kubeadm_endpoint_name or kubeadm_endpoint_extra_sans to hold it, and renew apiserver.crt.",
            tuple(without),
        )


def _checks(masters: t.Sequence[Master]) -> t.Iterator[Finding]:
    for master in masters:
        failed, livez = list(master.apiserver.get("failed_checks") or ()), master.apiserver.get("livez")
        # who may not ask learns nothing of it
        if livez in (None, 200, 401, 403) and not failed:
            continue
        dead = livez != 200
        yield Finding(
            "apiserver_not_live" if dead else "apiserver_checks_fail",
            PROBLEM,
            f"The apiserver of {master.name} fails its own checks{' of being alive' if dead else ''}:"
            f" {', '.join(failed) or f'it answers {livez}'}.",
            (master.name,),
        )


def _minor(version: str) -> int | None:
    found = re.match(r"v?1\.(\d+)\.", version)
    return int(found[1]) if found else None


def _versions(masters: t.Sequence[Master]) -> t.Iterator[Finding]:
    """https://kubernetes.io/releases/version-skew-policy/: apiservers one minor apart, kubelets never newer, up to three minors older."""
    told = [(master.name, str(master.apiserver.get("version") or "")) for master in masters]
    known = sorted((minor, name, version) for name, version in told for minor in [_minor(version)] if minor is not None)
    if not known:
        return
    (oldest, oldest_name, oldest_version), (newest, newest_name, newest_version) = known[0], known[-1]
    if newest - oldest > 1:
        yield Finding(
            "apiserver_versions_differ",
            PROBLEM,
            f"The apiserver of {newest_name} is {newest_version} and that of {oldest_name} {oldest_version}; they may be one minor version"
            " apart and no more.",
            (newest_name, oldest_name),
        )
    for node in next((master.facts["nodes"] for master in masters if master.facts.get("nodes")), ()):
        minor = _minor(node["version"])
        if minor is None:
            continue
        if minor > oldest:
            why = f"newer than the apiserver of {oldest_name} ({oldest_version}), which it may never be; upgrade that one first"
        elif minor < newest - (2 if minor <= TWO_MINORS else 3):
            why = f"too old for the apiserver of {newest_name} ({newest_version}); upgrade the kubelet"
        else:
            continue
        yield Finding(
            "kubelet_version", PROBLEM, f"The kubelet of {node['name']} is {node['version']}, {why}.", (node["name"],)
        )


def _etcd(masters: t.Sequence[Master]) -> t.Iterator[Finding]:
    """A member that belongs to a master which nobody could ask is neither well nor sick."""
    asked = [master for master in masters if master.etcd]
    well = [master for master in asked if master.etcd["healthy"]]
    # what one that is well tells counts more
    source = next((master for master in [*well, *asked] if master.etcd["members"]), None)
    if source is None:
        if asked:
            told = "; ".join(f"{master.name}: {master.etcd['error'] or 'no members'}" for master in asked)
            yield Finding("etcd_silent", PROBLEM, f"No etcd answers ({told}).", tuple(one.name for one in asked))
        return
    members = source.etcd["members"]
    ids = {master.etcd["member_id"] for master in well}
    silent = [master for master in masters if not master.facts]
    unknown = [one for one in members if any(_is(one, master) for master in silent)]
    sick = [one for one in members if one["id"] not in ids and one not in unknown]
    if len(members) - len(sick) <= len(members) // 2:
        yield Finding(
            "etcd_no_quorum",
            PROBLEM,
            f"etcd has lost its majority: of {len(members)} members {_sick(sick)}; nothing can be written until"
            f" {len(members) // 2 + 1} are.",
        )
    elif sick:
        yield Finding(
            "etcd_member_sick",
            PROBLEM,
            f"Of etcd's {len(members)} members {_sick(sick)}; bring it back, or remove it from etcd where its machine is gone for good, for"
            " it counts for the majority.",
        )
    known = {one["id"] for one in members}
    for master in well:
        if master.etcd["member_id"] not in known:
            yield Finding(
                "etcd_stranger",
                PROBLEM,
                f"The etcd of {master.name} is no member of the one that {source.name} belongs to: these are two clusters.",
                (master.name,),
            )
    yield from _leaders(well)
    alarms = {(one["member"], one["alarm"]) for master in well for one in master.etcd["alarms"]}
    for member, alarm in sorted(alarms):
        what = ALARMS.get(alarm, "see the log of etcd there")
        yield Finding("etcd_alarm", PROBLEM, f"etcd has the alarm {alarm} of the member {member}: {what}.", (member,))


def _is(member: Facts, master: Master) -> bool:
    host = f"[{master.address}]" if ":" in master.address else master.address
    return member["name"] == master.name or any(url.startswith(f"https://{host}:") for url in member["peer_urls"])


def _sick(members: t.Sequence[Facts]) -> str:
    """One that was added and never started has no name."""
    names = [member["name"] or f"{', '.join(member['peer_urls'])} (never started)" for member in members]
    return f"{', '.join(sorted(names))} {'is' if len(names) == 1 else 'are'} not well"


def _leaders(well: t.Sequence[Master]) -> t.Iterator[Finding]:
    leaders = {master.etcd["leader_id"]: master.name for master in well if master.etcd["leader_id"]}
    if len(leaders) > 1:
        told = " and ".join(f"{name} takes {leader}" for leader, name in leaders.items())
        yield Finding(
            "etcd_leaders_differ", PROBLEM, f"etcd's members disagree on who leads: {told}.", tuple(leaders.values())
        )


def line(master: Master) -> str:
    """The deeper layers of one master in a few words."""
    found = [str(master.apiserver["version"])] if master.apiserver.get("version") else []
    failed = master.apiserver.get("failed_checks") or ()
    found += [f"failed checks: {_some(list(failed))}"] if failed else []
    ends = sorted((one["days_left"], one["name"]) for one in master.certificates)
    found += [f"certificates: {ends[0][0]} days ({ends[0][1]})"] if ends else ["certificates: not known"]
    if master.etcd:
        leads = ", leads" if master.etcd["leader_id"] and master.etcd["leader_id"] == master.etcd["member_id"] else ""
        size = master.etcd["db_size"] / 2**20
        found.append(f"etcd: well{leads}, {size:.1f} MiB" if master.etcd["healthy"] else "etcd: not well")
    else:
        found.append("etcd: not known")
    return "; ".join(found)
