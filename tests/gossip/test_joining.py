"""Coming and going. In virtual time."""

from meshcache.gossip.core.events import MapChanged, MemberLeft, MemberUpdated, NameConflict, State
from meshcache.gossip.core.statemap import ANY
from meshcache.gossip.sim.network import Network
from tests.gossip.meshes import agreed, all_see, events, mesh, others, state


def test_a_mesh_of_one_needs_no_seeds() -> None:
    network = Network()
    alone = network.start("alone")
    network.run(30)
    assert agreed([alone])()
    assert not events(alone, MemberLeft)


def test_a_member_that_is_its_own_seed_finds_itself_and_stays_alone() -> None:
    network = Network()
    alone = network.start("n0", seeds=["n0:1"])
    network.run(30)
    assert agreed([alone])()
    assert not alone.node.links.by_number


def test_members_that_start_before_their_seed_find_it_later() -> None:
    network = Network()
    early = [network.start(f"n{index}", seeds=["n0:1"]) for index in range(1, 4)]
    network.run(20)
    assert all(agreed([process])() for process in early)
    late = network.start("n0")
    assert network.run_until(agreed([late, *early]), network.now + 20)


def test_two_meshes_that_began_apart_become_one_when_a_seed_joins_them() -> None:
    network = Network()
    first = [network.start(f"a{index}", seeds=["a0:1"]) for index in range(4)]
    second = [network.start(f"b{index}", seeds=["b0:1", "a0:1"]) for index in range(1, 5)]
    assert network.run_until(agreed(first + second), 30)


def test_another_mesh_with_the_same_seeds_stays_apart() -> None:
    network = Network()
    ours = [network.start(f"n{index}", seeds=["n0:1"]) for index in range(3)]
    theirs = network.start("stranger", seeds=["n0:1"], mesh="other")
    network.run(20)
    assert agreed(ours)()
    assert agreed([theirs])()


def test_a_leave_is_known_to_all_at_once_and_is_no_failure() -> None:
    network, processes = mesh(12)
    leaver = processes[4]
    rest = others(processes, leaver)
    leaver.node.leave(network.now)
    network.act(leaver, lambda now: None)
    assert network.run_until(lambda: leaver.node.left_heard, network.now + 0.2)
    network.kill(leaver)
    assert network.run_until(all_see(rest, leaver, State.LEFT), network.now + 0.5)
    network.run(30)
    assert all_see(rest, leaver, State.LEFT)()


def test_tags_reach_everybody() -> None:
    network, processes = mesh(12)
    processes[3].node.set_tags({"zone": "b"}, network.now)
    network.act(processes[3], lambda now: None)
    network.run(1)
    for process in others(processes, processes[3]):
        assert process.node.members.view(processes[3].uid).tags == {"zone": "b"}
        assert len(events(process, MemberUpdated)) == 1


def test_two_members_of_one_name_are_reported_and_both_stay() -> None:
    network, processes = mesh(3)
    twin = network.start("n1", address="elsewhere:1", seeds=["n0:1"])
    assert network.run_until(agreed([*processes, twin]), network.now + 5)
    assert all(events(process, NameConflict) for process in [*processes, twin])


def test_a_failed_member_is_not_shown_once_its_name_lives_again() -> None:
    network, processes = mesh(5)
    network.kill(processes[2])
    new = network.start("n2", address="elsewhere:1", seeds=["n0:1"])
    rest = others(processes, processes[2])
    assert network.run_until(agreed([*rest, new]), network.now + 5)
    assert [member.name for member in rest[0].node.members.all()].count("n2") == 1


def test_a_member_that_comes_late_gets_the_map() -> None:
    network, processes = mesh(4)
    for number in range(50):
        processes[number % 4].node.write("space", f"k{number}", b"v" * 2000, ANY, network.now)
        network.act(processes[number % 4], lambda now: None)
    network.run(1)
    late = network.start("late", seeds=["n2:1"])
    network.run(3)
    assert len(late.node.map.items("space")) == 50
    assert len(events(late, MapChanged)) == 50


def test_links_stay_few_at_any_size() -> None:
    _network, processes = mesh(60, settle=40)
    assert all(state(process, processes[0]) is State.ALIVE for process in processes)
    assert max(len(process.node.links.by_number) for process in processes) <= 20
    mean = sum(len(process.node.links.by_number) for process in processes) / 60
    assert mean <= 11
