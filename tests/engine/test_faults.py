# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cloud that misbehaves: every code at every operation, throttling, gateways, batches that break off, late reads."""

from __future__ import annotations

import random

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import CODES, Verdict

from documents import CHANGED, MADE, REMOVED, SCENARIOS

#: Layer 7 has the same engine and more operations; it is killed at every call always.
NAMES = (
    *("make", "change", "remove"),
    *(pytest.param(f"{name} a web", marks=pytest.mark.thorough) for name in ("make", "change", "remove")),
)
#: Every operation that makes, changes and removes the front end, and that a second run reads by.
OPERATIONS = {
    "make": {
        "AddAccessControlListEntry",
        "AddVServerGroupBackendServers",
        "CreateAccessControlList",
        "CreateLoadBalancer",
        "CreateLoadBalancerTCPListener",
        "CreateLoadBalancerUDPListener",
        "CreateVServerGroup",
        "StartLoadBalancerListener",
    },
    "change": {
        "AddAccessControlListEntry",
        "AddVServerGroupBackendServers",
        "CreateLoadBalancerTCPListener",
        "CreateVServerGroup",
        "DeleteLoadBalancerListener",
        "DeleteVServerGroup",
        "RemoveAccessControlListEntry",
        "RemoveVServerGroupBackendServers",
        "SetLoadBalancerModificationProtection",
        "SetLoadBalancerTCPListenerAttribute",
        "SetVServerGroupAttribute",
        "StartLoadBalancerListener",
        "StopLoadBalancerListener",
        "TagResources",
    },
    "remove": {"DeleteAccessControlList", "DeleteLoadBalancer", "DeleteLoadBalancerListener", "DeleteVServerGroup"},
    "make a web": {
        "CreateDomainExtension",
        "CreateLoadBalancer",
        "CreateLoadBalancerHTTPListener",
        "CreateLoadBalancerHTTPSListener",
        "CreateRules",
        "CreateTLSCipherPolicy",
        "CreateVServerGroup",
        "SetRule",
        "StartLoadBalancerListener",
        "UploadCACertificate",
        "UploadServerCertificate",
    },
    "change a web": {
        "CreateDomainExtension",
        "CreateRules",
        "DeleteCACertificate",
        "DeleteDomainExtension",
        "DeleteLoadBalancerListener",
        "DeleteRules",
        "DeleteServerCertificate",
        "DeleteTLSCipherPolicy",
        "SetDomainExtensionAttribute",
        "SetLoadBalancerHTTPSListenerAttribute",
        "SetRule",
        "UploadServerCertificate",
    },
    "remove a web": {
        "DeleteCACertificate",
        "DeleteLoadBalancer",
        "DeleteLoadBalancerListener",
        "DeleteServerCertificate",
        "DeleteTLSCipherPolicy",
        "DeleteVServerGroup",
    },
}
#: Codes of whole families are not in the table one by one.
RETRYABLE = {code: 400 for code, verdict in CODES.items() if verdict is Verdict.RETRY} | {
    "SystemBusy": 449,
    "BackendServer.configuring": 409,
    "ServiceIsStopping": 409,
    "Throttling": 429,
    "Throttling.User": 400,
    "Throttling.Api": 503,
}
#: What says that something is not there, and in the answers of which operations.
ABSENT = {
    ("InvalidLoadBalancerId.NotFound", ""): ("LoadBalancer",),
    ("ListenerNotFound", ""): ("Listener",),
    ("InvalidParameter", "The specified resource does not exist."): ("Listener",),
    ("InvalidParameter", "The specified VServerGroupId does not exist."): ("VServerGroup", "TCPListener"),
    ("AclNotExist", ""): ("AccessControlList", "TCPListener"),
    ("InvalidRuleId.NotFound", ""): ("SetRule", "DeleteRules"),
    ("InvalidParameter.DomainExtensionId", ""): ("SetDomainExtension", "DeleteDomainExtension"),
    ("ServerCertificateId.NotFound", ""): ("DeleteServerCertificate", "HTTPSListener", "DomainExtension"),
    ("CACertificateId.NotFound", ""): ("DeleteCACertificate", "HTTPSListener"),
}
#: A connection that is closed without an answer is in test_interruptions, at every call.
UNANSWERED = {
    "500 before": {"code": "InternalError", "status": 500},
    "503 after": {"code": "ServiceUnavailable", "status": 503, "after": True},
    "gateway after": {"status": 502, "body": "<html>Bad Gateway</html>", "after": True},
}
BREAKS = {"busy": {"code": "SystemBusy", "status": 449}, "500": UNANSWERED["500 before"], "dropped": {"drop": True}}


@pytest.fixture(params=NAMES)
def scene(request, simulation):
    """(name, what is wanted, the operations of an undisturbed run, back to the start, the end)."""
    before, wanted = SCENARIOS[request.param]
    if before:
        simulation.run(before).done
        simulation.pause(60)
    start = simulation.remember()
    calls = simulation.run(wanted).calls
    return request.param, wanted, sorted(set(calls)), lambda: simulation.restore(start), simulation.picture()


def ends_well(simulation, wanted, end):
    """All faults were met, the run succeeded, there is what there should be, once, and the next run does nothing."""
    run = simulation.run(wanted)
    assert run.done.changed and simulation.misbehaving == []
    assert simulation.picture() == end
    again = simulation.run(wanted)
    assert not again.done.changed and not again.writes
    return run


def test_the_list_of_operations_is_whole(scene):
    name, dummy, operations, *dummies = scene
    assert {operation for operation in operations if not operation.startswith(("Describe", "List"))} == OPERATIONS[name]


def test_every_retryable_code_once_at_every_operation(simulation, scene):
    dummy, wanted, operations, start_again, end = scene
    for code, status in RETRYABLE.items():
        start_again()
        simulation.misbehave(*({"action": action, "code": code, "status": status} for action in operations))
        run = ends_well(simulation, wanted, end)
        assert run.calls.count("StartLoadBalancerListener") == (
            run.done.steps_of("StartLoadBalancerListener") + ("StartLoadBalancerListener" in operations)
        )


@pytest.mark.parametrize("code", [code for code, verdict in CODES.items() if verdict is Verdict.STALE])
def test_a_code_of_a_faster_run_is_looked_into(simulation, scene, code):
    """At every write, though nobody was faster."""
    dummy, wanted, operations, start_again, end = scene
    for action in operations:
        if not action.startswith(("Describe", "List")):
            start_again()
            simulation.misbehave({"action": action, "code": code})
            ends_well(simulation, wanted, end)


@pytest.mark.parametrize(("code", "message"), ABSENT)
def test_what_is_not_there_is_looked_for_again(simulation, scene, code, message):
    """Of what is to go it is good news; of all else it means that the plan is an old one."""
    dummy, wanted, operations, start_again, end = scene
    for action in operations:
        if any(part in action for part in ABSENT[code, message]) and action != "DescribeLoadBalancers":
            start_again()
            fault = {"code": code, "message": message, "status": 404, "after": action.startswith("Delete")}
            simulation.misbehave({"action": action, **fault})
            ends_well(simulation, wanted, end)


@pytest.mark.parametrize("fault", UNANSWERED.values(), ids=UNANSWERED)
def test_a_lost_answer_at_every_operation(simulation, scene, fault):
    dummy, wanted, operations, start_again, end = scene
    for action in operations:
        start_again()
        simulation.misbehave({"action": action, **fault})
        ends_well(simulation, wanted, end)


@pytest.mark.parametrize("partial", [1, 19])
@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS)
def test_a_batch_that_breaks_off_is_made_whole(simulation, scene, fault, partial):
    dummy, wanted, operations, start_again, end = scene
    for action in operations:
        if "VServerGroup" in action or "Entry" in action or action.endswith("Rules"):
            start_again()
            simulation.misbehave({"action": action, "partial": partial, **fault})
            assert simulation.run(wanted).done.changed and simulation.picture() == end
            simulation.misbehave()
            assert not simulation.run(wanted).done.changed


def test_a_batch_that_is_refused_half_way_is_made_whole_by_the_next_run(simulation):
    simulation.run(MADE).done
    haproxy, ingress = MADE["server_groups"]
    more = {**MADE, "server_groups": [{**haproxy, "backends": CHANGED["server_groups"][0]["backends"]}, ingress]}
    simulation.misbehave({"action": "AddVServerGroupBackendServers", "partial": 1, "code": "ObtainIpFail"})
    dummy, sentence, error = simulation.run(more).result.failure
    assert (error["code"], error["operation"]) == ("ObtainIpFail", "AddVServerGroupBackendServers")
    again = simulation.run(more)
    assert again.writes.count("AddVServerGroupBackendServers") == 1 and not simulation.run(more).done.changed


def test_throttled_all_the_way(simulation, scene):
    dummy, wanted, dummies, start_again, end = scene
    start_again()
    simulation.misbehave({"rate": 2.0, "burst": 1})
    assert simulation.run(wanted).done.changed
    simulation.misbehave()
    assert simulation.picture() == end


# reads that are late: that of another run's writes, of the own ones, all alike, and each by another time


@pytest.mark.parametrize("made", [False, True], ids=["alone", "after another run"])
@pytest.mark.parametrize("seconds", [0.3, 6.0, 15.0])
def test_late_reads(simulation, scene, seconds, made):
    dummy, wanted, dummies, start_again, end = scene
    start_again()
    if made:
        simulation.run(wanted).done
    simulation.misbehave({"stale_seconds": seconds, "count": 0})
    simulation.run(wanted).done
    assert simulation.picture() == end
    simulation.misbehave()
    assert not simulation.run(wanted).done.changed


@pytest.mark.parametrize("seed", range(8))
def test_reads_that_are_late_now_and_then(simulation, scene, seed):
    chance = random.Random(seed)
    dummy, wanted, dummies, start_again, end = scene
    start_again()
    late = [{"stale_seconds": chance.choice([0.5, 3.0, 9.0]), "skip": skip} for skip in chance.sample(range(60), 25)]
    simulation.misbehave(*late)
    run = simulation.run(wanted)
    assert simulation.picture() == end, run.ended
    simulation.misbehave()
    assert run.done.changed and not simulation.run(wanted).done.changed


def test_late_reads_after_a_lost_answer(simulation, scene):
    """Names are not unique: what is not listed yet must not be made again."""
    name, wanted, dummies, start_again, end = scene
    for action in OPERATIONS[name]:
        start_again()
        simulation.misbehave({"action": action, "after": True, "drop": True}, {"stale_seconds": 8.0, "count": 0})
        run = simulation.run(wanted)
        simulation.misbehave()
        assert run.done.changed and simulation.picture() == end
        for create in ("CreateLoadBalancer", "CreateVServerGroup"):
            if create != action:
                assert run.calls.count(create) == run.done.steps_of(create)


def test_reads_that_are_late_by_more_than_is_waited_for(simulation):
    simulation.misbehave({"stale_seconds": 40.0, "count": 0})
    kind, sentence, dummy = simulation.run(MADE).result.failure
    assert kind == "NotSettled" and "20 seconds later it still does not list it" in sentence
    simulation.misbehave()
    assert simulation.run(MADE).done.changed and not simulation.run(MADE).done.changed
    assert len(simulation.picture()["load_balancers"]) == 1


# what is given up, and what is told of it


def test_a_busy_cloud_is_given_up_after_the_timeout(simulation):
    simulation.misbehave({"action": "CreateVServerGroup", "code": "SystemBusy", "status": 449, "count": 0})
    began = simulation.clock()
    kind, dummy, error = simulation.run(MADE, timeout=60.0).result.failure
    assert kind == "ApiError" and simulation.clock() - began < 70
    assert (error["code"], error["operation"]) == ("SystemBusy", "CreateVServerGroup") and error["request_id"]
    simulation.misbehave()
    assert simulation.run(MADE).done.changed and not simulation.run(MADE).done.changed


@pytest.mark.parametrize("action", ["DescribeLoadBalancers", "CreateVServerGroup", "CreateLoadBalancerTCPListener"])
def test_an_error_of_the_caller_is_not_tried_again(simulation, action):
    simulation.misbehave({"action": action, "code": "Forbidden.RAM", "status": 403, "message": "no", "count": 0})
    run = simulation.run(MADE)
    kind, sentence, error = run.result.failure
    assert kind == "ApiError" and error == {**error, "code": "Forbidden.RAM", "message": "no", "operation": action}
    assert error["request_id"] and run.calls.count(action) == 1
    simulation.misbehave()
    assert simulation.run(MADE).done.changed and not simulation.run(MADE).done.changed


def test_a_removal_that_another_run_finished(simulation):
    """The instance is listed still, but nothing else of it is there."""
    simulation.run(MADE).done
    simulation.pause(60)
    simulation.run(REMOVED).done
    simulation.misbehave({"action": "DescribeLoadBalancers", "stale_seconds": 30.0})
    assert not simulation.run(REMOVED).done.changed and not simulation.run(REMOVED).writes
