# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registrars of several hosts against the emulated cloud: killed anywhere, throttled, at the same time, and told nonsense."""

from __future__ import annotations

import itertools
import json
import typing as t
import uuid

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.engines import Engine
from ansible_collections.clusterfront.ha.plugins.module_utils._registrar.service import Registrar, Rules
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.client import Client
from conftest import OTHER_VPC
from containers import SimulatedEngine, labelled, running
from documents import group, listener
from emulator_harness import inventory
from simulation import Cut, Ended, Job, Simulation

HOSTS = {f"host-{number}": f"192.0.2.{number + 10}" for number in range(1, 22)}
LAB = {"address_type": "intranet", "vpc_id": "vpc-ut-lab", "vswitch_id": "vsw-ut-lab"}
THERE = inventory(HOSTS)
FAR = inventory({"far-1": "198.51.100.11"}, **OTHER_VPC)
#: Somebody's front end: a listener of the default pool, which has a server added by hand, and one of a group.
FRONT = {
    "name": "prod",
    "load_balancer": LAB,
    "default_pool": {"purge": "none", "backends": [{"server_id": "i-ut-host-21", "weight": 7}]},
    "server_groups": [group("api", {"server_id": "i-ut-host-21", "port": 9000, "weight": 7}, purge="none")],
    "listeners": [listener(8888, None, "http", backend_port=8888), listener(9000, "api")],
}


class Host(t.NamedTuple):
    """A host with its engine."""

    name: str
    engine: SimulatedEngine

    def job(self, seconds: float = 5.0, start: float = 0.0, cut: Cut | None = None, **rules: t.Any) -> Job:
        """A registrar of this host that lives for so long."""
        server = {"private_ip": HOSTS[self.name]}
        return Job(
            {
                "rules": {"owner": f"registrar/{self.name}", "server": server, "drain_time": 10.0, **rules},
                "socket": self.engine.path,
                "seconds": seconds,
            },
            cut=cut,
            work=live,
            start=start,
        )


def live(options: dict[str, t.Any], client: Client) -> Ended:
    """The service's loop with the time of the simulation: it looks at its containers every second."""
    lines: list[str] = []
    registrar = Registrar(
        Rules(**options["rules"]), client, [Engine("podman", options["socket"])],
        token=lambda: str(uuid.uuid4()), log=lines.append, jitter=lambda: 1.0,
    )  # fmt: skip
    end = client.clock() + options["seconds"]
    while True:
        found = registrar.run_pass()
        if client.clock() >= end:
            return Ended(diff=found.to_plain() | {"log": lines})
        client.sleep(max(0.1, min(1.0, registrar.due - client.clock())))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = Simulation(tmp_path_factory.mktemp("registrars"), {key: THERE[key] + FAR[key] for key in THERE})
    yield made
    made.close()


@pytest.fixture
def cloud(world):
    world.reset()
    world.misbehave()
    assert world.run(FRONT).done.changed
    return world


@pytest.fixture
def hosts(tmp_path):
    made = [Host(name, SimulatedEngine(tmp_path / f"{name}.sock")) for name in HOSTS]
    yield made
    for host in made:
        host.engine.close()


def web(name="prod", **more):
    return labelled("web", 8888, name, **more)


def api(name="prod", **more):
    return labelled("api", 9000, name, **more)


class Member(t.NamedTuple):
    """An entry as the emulator keeps it."""

    name: str
    port: int
    weight: int
    owner: str


def members(servers):
    return sorted(
        Member(one[0].removeprefix("i-ut-"), one[1], one[2], one[3].removeprefix("clusterfront:")) for one in servers
    )


def balancer(cloud):
    return next(one for one in cloud.picture()["load_balancers"] if one["attributes"]["LoadBalancerName"] == "prod")


def entries(cloud):
    """The members of the default pool and of the group."""
    shown = balancer(cloud)
    return members(shown["pool"]), next(members(group[3]) for group in shown["groups"] if group[0] == "api")


def ours(found):
    return [one for one in found if one.owner.startswith("registrar/")]


def foreign(found):
    return [one for one in found if one not in ours(found)]


def names(found):
    return [one.name for one in ours(found)]


def weights(found):
    return {one.name: one.weight for one in ours(found)}


def test_two_hosts_appear_and_leave_again(cloud, hosts):
    before = entries(cloud)
    one, two = hosts[:2]
    for host in (one, two):
        host.engine.has(web(), api())
    for run in cloud.together(one.job(), two.job(), seed=1, slowest=0.2):
        assert run.done.diff["problems"] == []
        assert {(entry["port"], entry["state"]) for entry in run.done.diff["entries"]} == {
            (None, "registered"),
            (9000, "registered"),
        }
    pool, api_group = entries(cloud)
    assert names(pool) == names(api_group) == ["host-1", "host-2"]
    assert (foreign(pool), foreign(api_group)) == before
    # another life finds all as it is
    again = cloud.run(one.job().options, work=live)
    assert not again.writes and again.done.diff["log"] == []
    # the last one that needs the entry without a port is gone: weight 0 at once, out after the drain time
    one.engine.has(api())
    half = cloud.run(one.job(3).options, work=live).done.diff
    assert {entry["state"] for entry in half["entries"]} == {"draining", "registered"}
    assert weights(entries(cloud)[0]) == {"host-1": 0, "host-2": 100}
    cloud.run(one.job(15).options, work=live).done
    assert names(entries(cloud)[0]) == ["host-2"] and names(entries(cloud)[1]) == ["host-1", "host-2"]
    one.engine.has()
    two.engine.has()
    for run in cloud.together(one.job(20), two.job(20), seed=2, slowest=0.2):
        assert run.done.diff["entries"] == []
    assert entries(cloud) == before


def scenes(engine):
    """What a host has at first and then."""
    yield "come", [], [web(), api()]
    yield "go", [web(), api()], []
    yield "change", [web(clusterfront_slb_weight="1"), api()], [api(started=1)]


@pytest.mark.parametrize("moment", ["before", "after", "on the way"])
@pytest.mark.parametrize("scene", ["come", "go"])
def test_a_registrar_that_was_killed_at_any_call(cloud, hosts, scene, moment):
    host = hosts[0]
    first, then = next((first, then) for name, first, then in scenes(host) if name == scene)
    host.engine.has(*first)
    cloud.run(host.job().options, work=live).done
    start = cloud.remember()
    host.engine.has(*then)
    calls = cloud.run(host.job(25).options, work=live).calls
    end = cloud.picture()
    for number in itertools.count(1):
        cloud.restore(start)
        killed = cloud.run(host.job(25).options, work=live, cut=Cut(number, moment))
        if not killed.killed:
            break
        assert cloud.run(host.job(25).options, work=live).done.diff["problems"] == []
        assert cloud.picture() == end, (number, calls[number - 1])
    assert number >= len(calls)
    assert foreign(entries(cloud)[0]) == [Member("host-21", 0, 7, "prod")]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lost_answer(cloud, hosts, moment):
    host = hosts[0]
    host.engine.has(web(), api())
    start = cloud.remember()
    calls = cloud.run(host.job().options, work=live).calls
    end = cloud.picture()
    for number in range(1, len(calls) + 1):
        cloud.restore(start)
        assert (
            cloud.run(host.job(30).options, work=live, cut=Cut(number, moment, kills=False)).done.diff["problems"] == []
        )
        assert cloud.picture() == end, (number, calls[number - 1])


def test_errors_are_said_and_the_others_work(cloud, hosts):
    assert cloud.run({"name": "far", "load_balancer": {"address_type": "intranet", "vpc_id": "vpc-ut-other", "vswitch_id": "vsw-ut-other"},
                      "listeners": [listener(8888, None, "http", backend_port=8888)]}).done  # fmt: skip
    host = hosts[0]
    host.engine.has(
        labelled("lonely", 7000, "prod", started=1),
        labelled("lost", 7001, "lb-nobody", started=2),
        labelled("abroad", 7002, "far", started=3),
        web(started=4),
        labelled("second", 8888, "prod", started=5),
        api(started=6),
    )
    run = cloud.run(host.job(130).options, work=live)
    told = {problem["container"]: problem["sentence"] for problem in run.done.diff["problems"]}
    assert set(told) == {"lonely", "lost", "abroad", "second"}
    assert told["lonely"].startswith("refresh failed: prod has no listener for port 7000")
    assert "'lb-nobody' does not exist in this region" in told["lost"]
    assert "is i-ut-host-1 in vpc-ut-lab, but the load balancer far is in vpc-ut-other" in told["abroad"]
    assert (
        told["second"] == "port 8888 of this host leads to the container web already; give one of the two another port"
    )
    assert [sum(line.startswith("problem: ") and name in line for line in run.done.diff["log"]) for name in told] == [
        1,
        1,
        1,
        1,
    ]
    assert names(entries(cloud)[0]) == names(entries(cloud)[1]) == ["host-1"]
    # a listener that comes is found without a hand, within the interval
    cloud.run({**FRONT, "listeners": [*FRONT["listeners"], listener(7000, None, backend_port=7000)]}).done
    problems = cloud.run(host.job(2).options, work=live).done.diff["problems"]
    assert "lonely" not in {problem["container"] for problem in problems}


def test_a_listener_that_went_harms_nobody(cloud, hosts):
    host = hosts[0]
    host.engine.has(web(), api())
    cloud.run(host.job().options, work=live).done
    before = entries(cloud)
    cloud.run({**FRONT, "listeners": [{**one, "state": "absent"} for one in FRONT["listeners"]]}).done
    found = cloud.run(host.job(60).options, work=live).done.diff
    assert {problem["container"] for problem in found["problems"]} == {"web", "api"}
    assert entries(cloud) == before and {entry["state"] for entry in found["entries"]} == {"kept"}


def test_an_unhealthy_container_gets_no_clients_and_stays(cloud, hosts):
    host = hosts[0]
    host.engine.has(web(health="starting"))
    (waiting,) = cloud.run(host.job().options, work=live).done.diff["entries"]
    assert (waiting["state"], waiting["why"]) == ("waiting", "starting") and names(entries(cloud)[0]) == []
    host.engine.has(web(health="healthy"))
    cloud.run(host.job().options, work=live).done
    assert weights(entries(cloud)[0]) == {"host-1": 100}
    host.engine.has(web(health="unhealthy"))
    (out,) = cloud.run(host.job(60).options, work=live).done.diff["entries"]
    assert (out["state"], out["why"]) == ("out", "unhealthy") and weights(entries(cloud)[0]) == {"host-1": 0}


def test_a_silent_engine_takes_nobody_out(cloud, hosts):
    host = hosts[0]
    host.engine.has(web(), api())
    cloud.run(host.job().options, work=live).done
    before = entries(cloud)
    host.engine.silent = True
    host.engine.has()
    found = cloud.run(host.job(60).options, work=live)
    assert not found.writes and entries(cloud) == before
    assert "status 500" in found.done.diff["engines"]["podman"]
    assert {entry["state"] for entry in found.done.diff["entries"]} == {"kept"}


def test_an_entry_of_others_is_left_alone(cloud, hosts):
    host = hosts[20]
    host.engine.has(web(), api())
    before = entries(cloud)
    found = cloud.run(host.job(5).options, work=live)
    assert not found.writes and entries(cloud) == before
    assert {(entry["state"], entry["why"]) for entry in found.done.diff["entries"]} == {("by others", "added by prod")}


def test_our_own_labels(cloud, hosts):
    host = hosts[0]
    host.engine.has(
        running("api", 9000, 9001, clusterfront_slb_load__balancer="prod", clusterfront_slb_port="9001",
                clusterfront_slb_server__group="api", clusterfront_slb_weight="30"),
        running("both", 8888, clusterfront_slb_web_load__balancer="prod", clusterfront_slb_web_listener="http/8888"),
    )  # fmt: skip
    assert cloud.run(host.job().options, work=live).done.diff["problems"] == []
    pool, api_group = entries(cloud)
    assert weights(pool) == {"host-1": 100} and weights(api_group) == {"host-1": 30}
    assert ours(api_group)[0].port == 9001


def machines(**changes):
    """The inventory with changes of single machines."""
    everything = {key: THERE[key] + FAR[key] for key in THERE}
    return {
        "vpcs": everything["vpcs"],
        "machines": [{**one, **changes.get(one["name"].replace("-", "_"), {})} for one in everything["machines"]],
    }


def test_a_host_by_its_eip_and_by_an_interface(cloud, hosts):
    extra = [{"eni_id": "eni-ut-1", "private_ip": "192.0.2.101"}]
    cloud.inventory(machines(host_1={"eip": "203.0.113.77"}, host_2={"interfaces": extra}))
    one, two = hosts[:2]
    for host in (one, two):
        host.engine.has(web(), api())
    for run in cloud.together(one.job(server={"eip": "203.0.113.77"}), two.job(server={"private_ip": "192.0.2.101"})):
        assert run.done.diff["problems"] == []
    pool, api_group = entries(cloud)
    assert names(pool) == names(api_group) == ["eni-ut-1", "host-1"]
    for server in ({"eip": "203.0.113.78"}, {"private_ip": "192.0.2.200"}):
        problem, *dummy = cloud.run(one.job(2, server=server).options, work=live).done.diff["problems"]
        assert f"{next(iter(server.values()))} matches" in problem["sentence"]
    two.engine.has()
    cloud.run(two.job(20, server={"eni_id": "eni-ut-1"}).options, work=live).done
    assert names(entries(cloud)[0]) == ["host-1"]


def many(name, ports):
    """A front end with a group and a listener for each port."""
    return {
        "name": name,
        "load_balancer": LAB,
        "server_groups": [group(f"g{port}") for port in ports],
        "listeners": [listener(port, f"g{port}") for port in ports],
    }


@pytest.mark.parametrize("throttled", [False, True], ids=["free", "throttled"])
def test_twenty_hosts_with_ten_containers_each_start_at_once(cloud, hosts, throttled):
    # an instance takes 200 entries, so two share them
    second, third = range(9100, 9105), range(9200, 9204)
    cloud.run(many("second", second)).done
    cloud.run(many("third", third)).done
    for host in hosts[:20]:
        host.engine.has(
            web(),
            *(labelled(f"c{port}", port, "second") for port in second),
            *(labelled(f"c{port}", port, "third") for port in third),
        )
    # so many calls a second for the account, and no more
    cloud.misbehave(*([{"rate": 20.0, "burst": 40, "count": 0}] if throttled else []))
    begin = cloud.clock()
    runs = cloud.together(*(host.job(60 if throttled else 10) for host in hosts[:20]), seed=3, slowest=0.2)
    cloud.misbehave()
    calls, writes = ([call for run in runs for call in getattr(run, kind)] for kind in ("calls", "writes"))
    print(f"\n{'throttled' if throttled else 'free'}: {len(calls)} calls, {len(writes)} of them write")
    assert [problem for run in runs for problem in run.done.diff["problems"]] == []
    assert cloud.clock() - begin < 200 and len(calls) < 200 * (10 if throttled else 6)
    assert len(ours(entries(cloud)[0])) == 20
    groups = [one for balancer in cloud.picture()["load_balancers"] for one in balancer["groups"]]
    assert {one[0]: len(ours(members(one[3]))) for one in groups} == {
        "api": 0, **{f"g{port}": 20 for port in (*second, *third)}
    }  # fmt: skip


def test_a_host_that_is_gone_is_taken_out_by_another(cloud, hosts):
    one, two, three = hosts[:3]
    for host in (one, two, three):
        host.engine.has(web(), api())
    cloud.together(one.job(), two.job(), three.job())
    rules = {"take_over_gone": True, "grace_time": 30.0, "interval": 5.0}

    def health(**statuses):
        """What the cloud finds of hosts; normal where nothing is said."""
        names = [one.name for one in members(balancer(cloud)["pool"])]
        told = [
            {"ListenerPort": 8888, "Port": 8888, "Protocol": "http", "ServerId": f"i-ut-{name}", "ServerIp": "",
             "ServerHealthStatus": statuses.get(name.replace("-", "_"), "normal")}
            for name in names
        ]  # fmt: skip
        return {"action": "DescribeHealthStatus", "count": 0, "status": 200,
                "body": json.dumps({"RequestId": "r", "BackendServers": {"BackendServer": told}})}  # fmt: skip

    # abnormal, but it runs; stopped, but well; and a foreign one that is both
    cloud.inventory(machines(host_3={"status": "Stopped"}, host_21={"status": "Stopped"}))
    cloud.misbehave(health(host_2="abnormal", host_21="abnormal"))
    assert not cloud.run(one.job(60, **rules).options, work=live).writes
    # for a moment only
    cloud.inventory(machines(host_2={"status": "Stopped"}))
    assert not cloud.run(one.job(20, **rules).options, work=live).writes
    foreign_before = [foreign(found) for found in entries(cloud)]
    found = cloud.run(one.job(60, **rules).options, work=live)
    assert names(entries(cloud)[0]) == names(entries(cloud)[1]) == ["host-1", "host-3"]
    assert [foreign(found) for found in entries(cloud)] == foreign_before
    assert "i-ut-host-2 was abnormal and did not run for 30 seconds" in " ".join(found.done.diff["log"])
    # who does not exist any more
    gone = machines()
    gone["machines"] = [machine for machine in gone["machines"] if machine["name"] != "host-3"]
    cloud.misbehave(health(host_3="abnormal"))
    cloud.service.switches.set({"released_server": "stay"})
    cloud.inventory(gone)
    cloud.run(one.job(60, **rules).options, work=live).done
    cloud.service.switches.set({"released_server": "leave"})
    assert names(entries(cloud)[0]) == names(entries(cloud)[1]) == ["host-1"]
