"""Leaf members: served by two full ones, in nobody's table. In virtual time."""

import pytest

from meshcache.gossip.core.events import MemberFailed, State
from meshcache.gossip.core.statemap import ANY
from meshcache.gossip.core.table import LEAF
from tests.gossip.meshes import agreed, cut, events, mesh, others


def test_a_leaf_gets_the_table_and_its_changes_and_is_in_no_table() -> None:
    network, processes = mesh(8)
    leaf = network.start("leaf", seeds=["n0:1"], role=LEAF)
    network.run(5)
    assert agreed(processes)()
    assert leaf.node.members.table.living == {process.uid for process in processes}
    assert sum(leaf.uid in process.node.host.leases for process in processes) == 2
    shown = leaf.node.members.all()
    assert [member.name for member in shown if member.role == "leaf"] == ["leaf"]
    victim = next(process for process in processes if leaf.uid not in process.node.host.leases)
    network.kill(victim)
    network.run(2)
    assert leaf.node.members.view(victim.uid).state is State.FAILED


def test_a_leaf_reads_and_writes_the_map_through_its_hosts() -> None:
    network, processes = mesh(8)
    processes[3].node.write("s", "before", b"1", ANY, network.now)
    network.act(processes[3], lambda now: None)
    leaf = network.start("leaf", seeds=["n0:1"], role=LEAF)
    network.run(5)
    assert leaf.node.map.get("s", "before") is not None
    leaf.node.write("s", "by leaf", b"2", ANY, network.now)
    network.act(leaf, lambda now: None)
    network.run(2)
    assert all(process.node.map.get("s", "by leaf") for process in processes)


def test_a_leaf_prefers_hosts_of_its_zone() -> None:
    network, processes = mesh(8)
    for process in processes[4:]:
        process.node.set_tags({"zone": "b"}, network.now)
        network.act(process, lambda now: None)
    network.run(1)
    leaf = network.start("leaf", seeds=["n0:1"], role=LEAF, tags={"zone": "b"})
    network.run(45)
    hosts = [process for process in processes if leaf.uid in process.node.host.leases]
    assert all(host in processes[4:] for host in hosts)
    assert len(hosts) == 2


def test_a_leaf_whose_host_dies_finds_another() -> None:
    network, processes = mesh(8)
    leaf = network.start("leaf", seeds=["n0:1"], role=LEAF)
    network.run(5)
    first = next(process for process in processes if leaf.uid in process.node.host.leases)
    network.switch_off(first)
    network.run(20)
    rest = others(processes, first)
    assert sum(leaf.uid in process.node.host.leases for process in rest) == 2
    assert leaf.node.members.table.living == {process.uid for process in rest}


def test_a_leaf_that_dies_is_forgotten_when_its_lease_ends() -> None:
    network, processes = mesh(8)
    leaf = network.start("leaf", seeds=["n0:1"], role=LEAF)
    network.run(5)
    network.switch_off(leaf)
    network.run(8)
    assert not any(process.node.host.leases for process in processes)


@pytest.mark.parametrize(
    ("end", "within", "failed"), [("kill", 1.0, 1.0), ("switch_off", 4.0, 10.0)]
)
def test_a_leaf_that_loses_both_hosts_finds_others_at_once_or_when_they_are_silent(
    end: str, within: float, failed: float
) -> None:
    network, processes = mesh(8)
    leaf = network.start("leaf", seeds=["n0:1"], role=LEAF)
    network.run(5)
    hosts = [process for process in processes if leaf.uid in process.node.host.leases]
    lost = network.now
    for host in hosts:
        getattr(network, end)(host)
    rest = others(processes, *hosts)
    uids = {process.uid for process in rest}
    assert network.run_until(
        lambda: sum(leaf.uid in process.node.host.leases for process in rest) == 2, lost + within
    )
    assert network.run_until(lambda: leaf.node.members.table.living == uids, lost + failed)


def test_the_tags_of_a_leaf_reach_its_hosts_when_they_change() -> None:
    network, processes = mesh(8)
    leaf = network.start("leaf", seeds=["n0:1"], role=LEAF)
    network.run(5)
    network.act(leaf, lambda now: leaf.node.set_tags({"version": "2"}, now))
    network.run(0.1)
    leases = [process.node.host.leases.get(leaf.uid) for process in processes]
    tags = [lease.record.tags for lease in leases if lease is not None]
    assert tags == [{"version": "2"}] * 2


def test_a_leaf_that_starts_anew_as_a_full_member_is_one() -> None:
    network, processes = mesh(8)
    leaf = network.start("leaf", seeds=["n0:1"], role=LEAF)
    network.run(5)
    network.kill(leaf)
    full = network.start("leaf", address=leaf.address, seeds=["n0:1"])
    assert network.run_until(agreed([*processes, full]), network.now + 3)
    assert not any(process.node.host.leases for process in processes)


def test_leaves_cost_members_that_do_not_serve_them_nothing() -> None:
    quiet, with_leaves = mesh(12, seed=5), mesh(12, seed=5)
    network, processes = with_leaves
    leaves = [network.start(f"leaf{n}", seeds=["n0:1"], role=LEAF) for n in range(10)]
    uids = {leaf.uid for leaf in leaves}
    network.run(30)
    frames = [process.frames_sent for process in processes]
    quiet[0].run(30)
    baseline = [process.frames_sent for process in quiet[1]]
    for process, mine, plain in zip(processes, frames, baseline, strict=True):
        if not uids & process.node.host.leases.keys() and process.name != "n0":
            assert mine <= plain * 1.2
    assert agreed(processes)()


def test_a_host_cut_off_together_with_its_leaf_fails_nobody_any_sooner() -> None:
    network, processes = mesh(12)
    leaf = network.start("leaf", seeds=["n0:1"], role=LEAF)
    network.run(2)
    host = next(process for process in processes if leaf.uid in process.node.host.leases)
    cut(network, [host, leaf])
    network.run(30)
    assert leaf.uid in host.node.host.leases
    assert not events(host, MemberFailed)
