# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forwarding rules of HTTP and HTTPS listeners."""

from __future__ import annotations

import re
from typing import Any

from ..cloud import Answer, Call, Cloud, find_listener
from ..errors import ApiError, invalid, missing_group
from ..parameters import json_list
from ..store import Listener, LoadBalancer, Rule
from .listener_settings import ON_OFF, http_check, stickiness
from .registry import operation

BATCH = 10  # rules of one call
NAME = r"[A-Za-z0-9/._-]{1,40}"
DOMAIN = r"(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
URL = r"/[A-Za-z0-9/.%?#&=_-]{1,79}"


def _layer_7(cloud: Cloud, call: Call) -> tuple[LoadBalancer, Listener]:
    balancer, listener = find_listener(cloud, call)
    if not listener.layer_7 or listener.redirects:
        raise ApiError("RuleNotSupport")
    return balancer, listener


def _found(cloud: Cloud, region: str, rule_id: str) -> tuple[LoadBalancer, Listener, Rule]:
    for balancer in cloud.state.load_balancers.values():
        for listener in balancer.listeners.values() if balancer.region == region else ():
            for rule in listener.rules:
                if rule.id == rule_id:
                    return balancer, listener, rule
    raise ApiError("InvalidRuleId.NotFound")


def _group(cloud: Cloud, balancer: LoadBalancer, group_id: str) -> str:
    group = cloud.state.server_groups.get(group_id)
    if group is None or group.load_balancer != balancer.id:
        raise missing_group()
    return group_id


def _given(cloud: Cloud, call: Call, balancer: LoadBalancer) -> list[Rule]:
    entries = call.parameters.json_list("RuleList", "RuleListMalformed")
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ApiError("RuleListMalformed")
    if len(entries) > BATCH:
        raise ApiError("TooManyRules", f"At most {BATCH} rules can be created in one call.")
    found = []
    for entry in entries:
        texts = {name: str(entry.get(name) or "") for name in ("RuleName", "Domain", "Url", "VServerGroupId")}
        for name, pattern, code in (("Domain", DOMAIN, "DomainMalformed"), ("Url", URL, "UrlMalformed")):
            if texts[name] and not re.fullmatch(pattern, texts[name]):
                raise ApiError(code)
        if not texts["Domain"] and not texts["Url"]:
            raise ApiError("RuleListMalformed", "A rule needs a Domain or a Url.")
        if not re.fullmatch(NAME, texts["RuleName"]):
            raise invalid(f"The specified RuleName is invalid: {texts['RuleName']!r}.")
        group = _group(cloud, balancer, texts["VServerGroupId"])
        found.append(Rule("", texts["RuleName"], texts["Domain"].lower(), texts["Url"], group))
    return found


@operation("CreateRules")
def create(cloud: Cloud, call: Call) -> Answer:
    balancer, listener = _layer_7(cloud, call)
    cloud.lifecycle.ready(listener, "rule")
    new = _given(cloud, call, balancer)
    everything = [*listener.rules, *new]
    if len({(rule.domain, rule.url) for rule in everything}) < len(everything):
        raise ApiError("DomainExist")
    if len({rule.name for rule in everything}) < len(everything):
        raise invalid("The specified RuleName already exists.")  # the code is not documented
    if len(everything) > cloud.quotas["rules"]:
        raise ApiError("TooManyRules")
    if call.parameters.flag("DryRun"):
        raise ApiError("DryRunOperation")
    for rule in new:
        rule.id = cloud.new_id("rule")
    listener.rules = everything
    cloud.lifecycle.configure(listener)
    return {"Rules": {"Rule": [{"RuleId": rule.id, "RuleName": rule.name} for rule in new]}}


@operation("SetRule")
def set_rule(cloud: Cloud, call: Call) -> Answer:
    parameters = call.parameters
    balancer, listener, rule = _found(cloud, call.region, parameters.needed("RuleId"))
    cloud.lifecycle.ready(listener, "rule")
    name = parameters.matching("RuleName", NAME, rule.name)
    if any(other.name == name for other in listener.rules if other is not rule):
        raise invalid("The specified RuleName already exists.")
    group = _group(cloud, balancer, parameters.text("VServerGroupId", rule.group))
    settings: Answer = {}
    if (
        parameters.choice(
            "ListenerSync", ON_OFF, "on" if "ListenerSync" not in parameters and not rule.settings else "off"
        )
        == "off"
    ):
        for needed in ("Scheduler", "StickySession", "HealthCheck") if not rule.settings else ():
            parameters.needed(needed)
        old = rule.settings if cloud.switches["set_omission"] == "keep" else {}
        settings = {
            "Scheduler": parameters.choice("Scheduler", ("wrr", "rr"), str(old.get("Scheduler", "wrr"))),
            **stickiness(parameters, old),
            **http_check(parameters, old),
        }
    if parameters.flag("DryRun"):
        raise ApiError("DryRunOperation")
    rule.name, rule.group, rule.settings = name, group, settings
    cloud.lifecycle.configure(listener)
    return {}


@operation("DeleteRules")
def delete(cloud: Cloud, call: Call) -> Answer:
    ids = json_list(call.parameters.needed("RuleIds")) or []
    if not ids or len(ids) > BATCH:
        raise invalid(f"The specified RuleIds is invalid: it takes 1 to {BATCH} ids in JSON.")
    found = [_found(cloud, call.region, str(rule_id)) for rule_id in ids]
    listeners = {id(listener): listener for dummy, listener, rule in found}
    if len(listeners) > 1:
        raise ApiError("Operation.NotAllowed", "The rules belong to several listeners.")
    (listener,) = listeners.values()
    cloud.lifecycle.ready(listener, "rule")
    listener.rules = [rule for rule in listener.rules if rule.id not in ids]
    cloud.lifecycle.configure(listener)
    return {}


def _described(rule: Rule) -> dict[str, Any]:
    return {
        "RuleId": rule.id,
        "RuleName": rule.name,
        "Domain": rule.domain,
        "Url": rule.url,
        "VServerGroupId": rule.group,
        "ListenerSync": "off" if rule.settings else "on",
        **rule.settings,
    }


@operation("DescribeRules")
def describe_all(cloud: Cloud, call: Call) -> Answer:
    dummy, listener = find_listener(cloud, call)
    if not listener.layer_7:
        raise ApiError("RuleNotSupport")
    return {"Rules": {"Rule": [_described(rule) for rule in listener.rules]}}


@operation("DescribeRuleAttribute")
def describe(cloud: Cloud, call: Call) -> Answer:
    balancer, listener, rule = _found(cloud, call.region, call.parameters.needed("RuleId"))
    # a text, in this answer alone
    return call.answer({**_described(rule), "LoadBalancerId": balancer.id, "ListenerPort": str(listener.port)})
