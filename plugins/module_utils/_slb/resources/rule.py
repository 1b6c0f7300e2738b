# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Forwarding rules of a listener of HTTP or HTTPS."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing as t

from ..client import Client
from ..document import HealthCheck, Listener, Rule, differences, merged
from ..errors import DocumentError
from ..protocols import RULE, Field, is_on
from ..state import Each, Json, Observed, Ref, Step

#: What the API takes in one CreateRules or DeleteRules call.
RULES_PER_CALL = 10
NAME_LIMIT = 40
Key = t.Tuple[str, str]
#: From a group's name or id to its id, or to a Ref; fails with a sentence where there is none.
Group = t.Callable[[str, t.Optional[str]], t.Any]


def read(
    client: Client, load_balancer_id: str, config: Listener, group_names: t.Mapping[str, str]
) -> tuple[tuple[Rule, ...], dict[Key, str]]:
    """The rules of a listener, and their ids by domain and URL."""
    answer = client.slb(
        "DescribeRules",
        {"LoadBalancerId": load_balancer_id, "ListenerPort": config.port, "ListenerProtocol": config.protocol},
    )
    entries = (answer.get("Rules") or {}).get("Rule") or ()
    found = {_key(rule): (rule, entry["RuleId"]) for entry in entries for rule in (_observe(entry, group_names),)}
    return tuple(found[key][0] for key in sorted(found)), {key: found[key][1] for key in found}


def _key(rule: Rule) -> Key:
    return rule.domain, rule.url


def _observe(entry: t.Mapping[str, t.Any], group_names: t.Mapping[str, str]) -> Rule:
    group = entry.get("VServerGroupId") or ""
    sync = is_on(entry.get("ListenerSync") or "on")
    rule = Rule(
        domain=(entry.get("Domain") or "").lower(),
        url=entry.get("Url") or "",
        name=entry.get("RuleName"),
        server_group=group_names.get(group, group),
        listener_sync=sync,
        health_check=HealthCheck(**_read(RULE[1], entry)),
        **_read(RULE[0], entry),
    )
    return normalised(rule)


def _read(table: t.Sequence[Field], values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {
        field.option: field.default if values.get(field.wire) in (None, "") else field.read(values[field.wire])
        for field in table
    }


def normalised(rule: Rule) -> Rule:
    """Without the options that mean nothing beside the others, so that both sides compare alike."""
    if rule.listener_sync:
        return Rule(rule.domain, rule.url, rule.name, rule.server_group, True)
    check = rule.health_check
    return dataclasses.replace(
        sticky(rule), health_check=HealthCheck(enabled=False) if check.enabled is False else check
    )


S = t.TypeVar("S", Rule, Listener)


def sticky(holder: S) -> S:
    """Without what of stickiness means nothing: all of it where it is off, and what the other type has."""
    kind = holder.sticky_session_type if holder.sticky_session else None
    return dataclasses.replace(
        holder,
        sticky_session_type=kind,
        cookie=holder.cookie if kind == "server" else None,
        cookie_timeout=holder.cookie_timeout if kind == "insert" else None,
    )


def refuse_halves(where: str, holder: Rule | Listener) -> None:
    """Refuse stickiness without what its type needs. holder is the whole, for a part may be there already."""
    if not holder.sticky_session:
        return
    if holder.sticky_session_type is None:
        raise DocumentError(
            f"{where}.sticky_session is true, which needs sticky_session_type: 'insert' for a cookie of the load balancer, 'server'"
            " for one of the application"
        )
    needed = "cookie_timeout" if holder.sticky_session_type == "insert" else "cookie"
    if getattr(holder, needed) is None:
        means = "1 to 86400 seconds" if needed == "cookie_timeout" else "the name of the application's cookie"
        raise DocumentError(
            f"{where}.sticky_session_type is '{holder.sticky_session_type}', which needs {needed} ({means})"
        )


def _defaults() -> Rule:
    return Rule(
        listener_sync=False,
        health_check=HealthCheck(**{field.option: field.default for field in RULE[1]}),
        **{field.option: field.default for field in RULE[0]},
    )


@dataclasses.dataclass(frozen=True)
class Planned:
    """What goes first, what comes later, and all rules that there are then."""

    removals: tuple[Step, ...] = ()
    steps: tuple[Step, ...] = ()
    after: tuple[Rule, ...] | None = None


def plan(
    desired: Listener, has: Observed[Listener] | None, instance_id: t.Any, group: Group, renamed: t.Mapping[str, str]
) -> Planned:
    """Steps that make the rules of a listener as they are wanted. renamed leads from what groups are called to what they will be."""
    if desired.rules is None:
        return Planned(after=has.config.rules if has else None)
    where = f"listeners[{desired.protocol}/{desired.port}].rules"
    ids: t.Mapping[Key, str] = (has.facts.get("rule_ids") or {}) if has else {}
    before = {
        _key(rule): dataclasses.replace(rule, server_group=renamed.get(rule.server_group or "", rule.server_group))
        for rule in ((has.config.rules or ()) if has else ())
    }
    wanted = {_key(rule): rule for rule in desired.rules if rule.state == "present"}
    named_absent = {_key(rule) for rule in desired.rules if rule.state == "absent"}
    gone = [key for key in before if key in named_absent or (desired.purge_rules and key not in wanted)]
    after = {key: rule for key, rule in before.items() if key not in gone}
    prefix = f"rule:{desired.protocol}/{desired.port}/"
    new: list[Rule] = []
    changes: list[Step] = []
    own: list[Step] = []
    for key, rule in wanted.items():
        at = f"{where}[{rule.label}]"
        if key in after:
            made = _changed(at, rule, after[key])
            if made != after[key]:
                changes.append(_set(prefix, made, after[key], ids[key], group(made.server_group or "", at)))
            after[key] = made
            continue
        made = _new(at, rule, [other.name or "" for other in after.values()])
        new.append(made)
        if not made.listener_sync:
            own.append(_set(prefix, made, None, Ref(prefix + made.label), group(made.server_group or "", at)))
        after[key] = made
    _refuse_names(where, after.values())
    target = {"LoadBalancerId": instance_id, "ListenerPort": desired.port, "ListenerProtocol": desired.protocol}
    removals = [_delete(prefix, [(before[key], ids[key]) for key in chunk]) for chunk in _chunks(gone)]
    creates = [_create(prefix, target, chunk, group, where) for chunk in _chunks(new)]
    # a name that a change gives away may be the one that a new rule takes
    return Planned(tuple(removals), (*changes, *creates, *own), tuple(after[key] for key in sorted(after)))


def _chunks(items: t.Sequence[t.Any]) -> t.Iterator[t.Sequence[t.Any]]:
    return (items[start : start + RULES_PER_CALL] for start in range(0, len(items), RULES_PER_CALL))


def _new(at: str, rule: Rule, names: t.Collection[str]) -> Rule:
    if rule.server_group is None:
        raise DocumentError(f"{at} is not there yet, and server_group is missing; a new rule needs one")
    if rule.listener_sync is False:
        rule = merged(rule, _defaults())
        refuse_halves(at, rule)
    else:
        rule = dataclasses.replace(rule, listener_sync=True)
    return normalised(dataclasses.replace(rule, name=rule.name or free_name(rule.label, names)))


def free_name(label: str, names: t.Collection[str]) -> str:
    """A name for a rule that was given none: what it is for, with a few letters of a hash where that is no name, or is taken."""
    name = re.sub(r"[^\w./-]", "_", label, flags=re.ASCII)
    if name == label and len(name) <= NAME_LIMIT and name not in names:
        return name
    return f"{name[: NAME_LIMIT - 9]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def _changed(at: str, rule: Rule, has: Rule) -> Rule:
    base = has if rule.listener_sync is not False or not has.listener_sync else merged(has, _defaults())
    base = dataclasses.replace(base, health_check=merged(base.health_check, _defaults().health_check))
    made = normalised(dataclasses.replace(merged(rule, base), state="present"))
    refuse_halves(at, made)
    return made


def _refuse_names(where: str, rules: t.Iterable[Rule]) -> None:
    known: dict[str, Rule] = {}
    for rule in rules:
        other = known.setdefault(rule.name or "", rule)
        if other is not rule:
            raise DocumentError(
                f"{where}[{rule.label}].name is '{rule.name}', which is the name of the rule {other.label} too; domain and url of a"
                " rule are fixed, so take another name, or let the other rule be absent"
            )


def _create(prefix: str, target: t.Mapping[str, t.Any], rules: t.Sequence[Rule], group: Group, where: str) -> Step:
    entries = [
        {
            "RuleName": rule.name,
            **({"Domain": rule.domain} if rule.domain else {}),
            **({"Url": rule.url} if rule.url else {}),
            "VServerGroupId": group(rule.server_group or "", f"{where}[{rule.label}]"),
        }
        for rule in rules
    ]
    listener = prefix[:-1].partition(":")[2]
    return Step(
        prefix[:-1],
        "create",
        "CreateRules",
        {**target, "RuleList": Json(tuple(entries))},
        f"create {_count(rules)} of {listener}: {', '.join(rule.label for rule in rules)}",
        each=Each(("Rules", "Rule"), "RuleName", "RuleId", {str(rule.name): prefix + rule.label for rule in rules}),
    )


def _count(rules: t.Sequence[t.Any]) -> str:
    return "1 rule" if len(rules) == 1 else f"{len(rules)} rules"


def _delete(prefix: str, rules: t.Sequence[tuple[Rule, str]]) -> Step:
    listener = prefix[:-1].partition(":")[2]
    return Step(
        prefix[:-1],
        "delete",
        "DeleteRules",
        {"RuleIds": json.dumps([rule_id for dummy, rule_id in rules])},
        f"delete {_count(rules)} of {listener}: {', '.join(rule.label for rule, dummy in rules)}",
    )


def _set(prefix: str, rule: Rule, has: Rule | None, rule_id: t.Any, group_id: t.Any) -> Step:
    """The whole of a rule: what a call leaves out might be reset."""
    sent: dict[str, t.Any] = {}
    if not rule.listener_sync:
        for table, holder in ((RULE[0], t.cast(t.Any, rule)), (RULE[1], rule.health_check)):
            for field in table:
                value = getattr(holder, field.option)
                if value is not None and value != field.nothing:
                    sent[field.wire] = field.write(value)
    changes = [] if has is None else differences(rule, has)
    reason = "; ".join(f"change {option} from {old} to {new}" for option, old, new in changes)
    return Step(
        prefix + rule.label,
        "update",
        "SetRule",
        {
            "RuleId": rule_id,
            "RuleName": rule.name,
            "VServerGroupId": group_id,
            "ListenerSync": "on" if rule.listener_sync else "off",
            **sent,
        },
        f"rule {rule.label}: {reason or 'give it settings of its own'}",
    )
