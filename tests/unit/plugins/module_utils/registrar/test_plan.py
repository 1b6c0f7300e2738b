# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wishes x the cloud -> this host's entries, and never those of others."""

from __future__ import annotations

import pytest
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar import plan
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.containers import Port
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.labels import ListenerMeant, Wish
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.plan import Gone, Mine, Place, decide
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import (
    Backend,
    Listener,
    LoadBalancer,
    ServerGroup,
)
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState, Observed

OURS, THEIRS, HAND = "clusterfront:registrar/me", "clusterfront:registrar/you", "added by a person"
MINE = Mine("registrar/me", Backend(server_id="i-me", private_ip="192.0.2.1"))


def member(server="i-me", port=None, weight=100, description=OURS, **more):
    return Backend(port=port, server_id=server, weight=weight, description=description, **more)


def group(name, *backends, listeners=("tcp/1",), rules=None, id=None):
    read = None if backends == (None,) else tuple(backends)
    return Observed(
        ServerGroup(name, read), id=id or f"rsp-{name}", facts={"listeners": list(listeners), "rules": rules or {}}
    )


def listens(port, protocol="tcp", **more):
    return Observed(Listener(port, protocol, **more), id=f"{protocol}/{port}")


def cloud(*groups, pool=(), listeners=()):
    instance = Observed(LoadBalancer(id="lb-1", name="prod"), id="lb-1")
    return CloudState(instance, server_groups=groups, default_pool=tuple(pool), listeners=tuple(listeners))


def wish(*numbers, container="web", ready=True, **more):
    given = {"state": "ready" if ready else "unhealthy", **more}
    return Wish(container, "prod", tuple(map(Port, numbers)), ready=ready, **given)


def lists(decision):
    """place -> (weight, state) of all that the document has; what is purged is not there."""
    found = {
        Place(one.name, b.port): (b.weight, b.state) for one in decision.document.server_groups for b in one.backends
    }
    pool = decision.document.default_pool
    return found | {Place(): (b.weight, b.state) for b in (pool.backends if pool else ())}


WEB = listens(80, "http", backend_port=8888)
API = listens(9000, server_group="api")


@pytest.mark.parametrize(
    ("asked", "there", "found"),
    [
        (wish(8888), cloud(listeners=[WEB]), [Place()]),
        (wish(9000), cloud(group("api"), listeners=[API]), [Place("api", 9000)]),
        # of several ports those that a listener calls
        (wish(8888, 9000, 1), cloud(group("api"), listeners=[WEB, API]), [Place(), Place("api", 9000)]),
        # two listeners of one pool are one place
        (wish(8888), cloud(listeners=[WEB, listens(81, backend_port=8888)]), [Place()]),
        (wish(1, server_group="api"), cloud(group("api")), [Place("api", 1)]),
        (wish(1, server_group="rsp-api"), cloud(group("api", listeners=(), rules={"rule-1": "a"})), [Place("api", 1)]),
        (wish(1, listener=ListenerMeant(9000)), cloud(group("api"), listeners=[API]), [Place("api", 1)]),
        (wish(8888, listener=ListenerMeant(80, "http")), cloud(listeners=[WEB]), [Place()]),
        (wish(), cloud(listeners=[WEB]), []),
        (wish(listener=ListenerMeant(80)), cloud(listeners=[WEB]), []),
    ],
)  # fmt: skip
def test_places(asked, there, found):
    assert plan.places(asked, there) == found


@pytest.mark.parametrize(
    ("asked", "there", "sentence"),
    [
        (wish(7), cloud(), "refresh failed: prod has no listener for port 7; add one with this backend_port, or publish another port"),
        (wish(7, 8), cloud(), "refresh failed: prod has no listener for port 7 or 8; "),
        (wish(80), cloud(listeners=[WEB]), "no listener for port 80; listener http/80 calls port 8888 of its servers"),
        (wish(53), cloud(listeners=[listens(53, "udp", backend_port=53)]), "has no listener for port 53"),
        (wish(80), cloud(listeners=[listens(80, "http", forward_port=443)]), "has no listener for port 80"),
        (wish(80), cloud(listeners=[listens(80, failover_group="pair")]), "has no listener for port 80"),
        (wish(1, server_group="api"), cloud(), "prod has no server group 'api'; make it first, or correct the label"),
        (wish(1, server_group="api"), cloud(group("api", listeners=())), "no listener and no rule of prod leads to the server group 'api'"),
        (wish(1, server_group="api"), cloud(group("api"), group("api", id="rsp-2")), "has 2 server groups of the name 'api', rsp-api and rsp-2"),
        (wish(1, listener=ListenerMeant(80)), cloud(listeners=[WEB]), "listener 80 of prod calls port 8888 of its servers, not 1; "),
        (wish(1, listener=ListenerMeant(80, "tcp")), cloud(listeners=[WEB]), "listener tcp/80 of prod calls"),
        (wish(1, listener=ListenerMeant(81)), cloud(listeners=[WEB]), "prod has no listener 81 that servers can be given to"),
        (wish(9000), cloud(group("api"), group("api", id="rsp-2"), listeners=[listens(9000, server_group="rsp-2")]), "has 2 server groups"),
    ],
)  # fmt: skip
def test_wishes_that_can_not_be_granted(asked, there, sentence):
    decision = decide(MINE, [asked], there, set())
    (problem,) = decision.problems
    assert sentence in problem.sentence and (problem.container, problem.load_balancer) == ("web", "prod")
    assert not decision.touches and decision.entries == ()


def test_a_new_entry_comes_with_its_weight():
    decision = decide(MINE, [wish(8888, weight=30), wish(9000)], cloud(group("api"), listeners=[WEB, API]), set())
    assert lists(decision) == {Place(): (30, "present"), Place("api", 9000): (100, "present")}
    assert decision.document.server_groups[0].exists and decision.document.default_pool.purge == "owned"
    assert {(entry.state, entry.weight) for entry in decision.entries} == {("registered", 30), ("registered", 100)}


def test_who_is_not_ready_does_not_come_and_has_no_clients():
    asked = wish(8888, ready=False)
    waiting = decide(MINE, [asked], cloud(listeners=[WEB]), set())
    assert not waiting.touches and [(e.state, e.why) for e in waiting.entries] == [("waiting", "unhealthy")]
    out = decide(MINE, [asked], cloud(pool=[member()], listeners=[WEB]), {Place()})
    assert lists(out) == {Place(): (0, "present")} and [(e.state, e.why) for e in out.entries] == [("out", "unhealthy")]
    assert out.draining == ()


def test_two_containers_at_one_place():
    both = [wish(8888, container="a", weight=10), wish(8888, container="b", weight=20)]
    there = cloud(listeners=[WEB, listens(81, backend_port=8888)])
    decision = decide(MINE, [*both, wish(8888, container="c", weight=90, ready=False)], there, set())
    assert lists(decision) == {Place(): (20, "present")}
    (entry,) = decision.entries
    assert set(entry.containers) == {"a", "b", "c"}


def test_the_entry_without_a_port_stays_for_whoever_names_the_instance():
    starting = Wish("web", "prod", (), ready=False, state="starting")
    decision = decide(MINE, [starting], cloud(pool=[member()], listeners=[WEB]), {Place()})
    assert lists(decision) == {Place(): (0, "present")}
    in_a_group = Wish("web", "prod", (), ready=False, state="starting", server_group="api")
    assert decide(MINE, [in_a_group], cloud(group("api"), pool=[member()]), set()).draining == (Place(),)


def test_entries_that_nobody_wants_drain_and_go():
    there = cloud(group("api", member(port=1), member(port=2)), group("unread", None), pool=[member()])
    first = decide(MINE, [], there, set())
    assert lists(first) == dict.fromkeys((Place("api", 1), Place("api", 2), Place()), (0, "present"))
    assert set(first.draining) == set(lists(first)) == plan.own_places(MINE, there)
    assert {entry.load_balancer for entry in first.entries} == {"prod"}
    then = decide(MINE, [], there, {Place("api", 1), Place()})
    assert lists(then) == {Place("api", 2): (0, "present")} and then.document.default_pool.backends == ()


def test_an_entry_of_an_earlier_server_of_this_host_goes_at_once():
    decision = decide(MINE, [wish(8888)], cloud(pool=[member("i-old")], listeners=[WEB]), set())
    assert [b.server_id for b in decision.document.default_pool.backends] == ["i-me"] and decision.draining == ()


def test_what_others_made_is_no_part_of_the_document():
    foreign = [member("i-you", 9000, 5, THEIRS), member("i-x", 9000, 5, HAND)]
    there = cloud(group("api", *foreign), pool=[member(description=HAND, weight=7)], listeners=[WEB, API])
    decision = decide(MINE, [wish(8888)], there, set())
    assert not decision.touches
    assert [(e.state, e.weight, e.why) for e in decision.entries] == [("by others", 7, "added by hand")]
    theirs = decide(MINE, [wish(8888)], cloud(pool=[member(description=THEIRS)], listeners=[WEB]), set())
    assert theirs.entries[0].why == "added by registrar/you" and not theirs.touches


def test_nothing_is_taken_away_while_not_all_is_known():
    there = cloud(group("api", member(port=1)), pool=[member()], listeners=[WEB])
    decision = decide(MINE, [wish(8888)], there, {Place("api", 1)}, keep=True)
    assert lists(decision) == {Place(): (100, "present")}
    assert {one.purge for one in (*decision.document.server_groups, decision.document.default_pool)} == {"none"}
    assert {(e.state, e.place) for e in decision.entries} == {("registered", Place()), ("kept", Place("api", 1))}


def test_a_wish_with_a_problem_keeps_what_it_had():
    there = cloud(group("api", member(port=9000), member(port=1)), pool=[member()])
    decision = decide(MINE, [wish(9000)], there, {Place("api", 9000), Place(), Place("api", 1)})
    assert lists(decision) == {Place("api", 9000): (None, "present"), Place(): (None, "present")}
    assert {e.state for e in decision.entries} == {"kept"} and len(decision.problems) == 1


def test_an_interface_is_known_by_its_address():
    eni = Backend(server_id="eni-1", private_ip="192.0.2.9", type="eni")
    mine = Mine("registrar/me", eni)
    there = cloud(pool=[member("eni-1", type="eni", private_ip="192.0.2.8", description=HAND)], listeners=[WEB])
    decision = decide(mine, [wish(8888)], there, set())
    (made,) = decision.document.default_pool.backends
    assert (made.eni_id, made.private_ip, made.server_id) == ("eni-1", "192.0.2.9", None)


def test_a_name_of_two_groups_is_left_alone():
    twins = (group("api", member(port=1)), group("api", member(port=1), id="rsp-2"))
    assert not decide(MINE, [], cloud(*twins), set()).touches and plan.own_places(MINE, cloud(*twins)) == set()


def test_the_groups_that_have_to_be_read():
    there = cloud(group("api"), listeners=[API, WEB])
    assert plan.wanted_groups([wish(9000), wish(8888), wish(1), wish(2, server_group="api")], there) == {"api"}


def test_entries_of_other_hosts_and_those_that_are_gone():
    you, eni = member("i-you", 9000, 5, THEIRS), member("eni-2", 9000, 5, THEIRS, type="eni")
    other_family = member("i-b", 9000, 5, "clusterfront:prod")
    there = cloud(
        group("api", you, eni, other_family, member(port=9000)),
        pool=[member("i-you", None, 5, THEIRS)],
        listeners=[API],
    )
    found = plan.others(MINE, there)
    assert [(one.place, one.member.server_id) for one in found] == [(Place(), "i-you"), (Place("api", 9000), "i-you")]
    decision = decide(MINE, [wish(9000)], there, set(), gone=[Gone(Place("api", 9000), you)])
    (api,) = decision.document.server_groups
    assert [(b.server_id, b.state) for b in api.backends] == [("i-me", "present"), ("i-you", "absent")]


def test_places_have_names():
    assert (str(Place()), str(Place("api", 80))) == ("the default pool", "group api, port 80")


def test_an_instance_without_a_state_has_no_label():
    assert decide(MINE, [], CloudState(), set()).entries == ()


def test_one_side_of_a_diff():
    there = cloud(group("api", member(port=9000, weight=0), member("i-you", 9000, 5, THEIRS)), pool=[member()])
    assert plan.shown(MINE, there) == {"group api, port 9000": 0, "the default pool": 100}
