"""When a member is suspect, when it is failed, and when it is neither. In virtual time."""

from functools import partial

import pytest

from meshcache.gossip import wire
from meshcache.gossip.core.events import (
    MemberFailed,
    MemberJoined,
    MemberSuspect,
    State,
    ViewChanged,
)
from meshcache.gossip.core.links import EXPELLED
from meshcache.gossip.core.settings import LAN, Settings
from meshcache.gossip.core.verdicts import SILENT
from tests.gossip.meshes import (
    agreed,
    all_see,
    cut,
    events,
    mesh,
    observers,
    others,
    stalled,
    state,
    told_of,
)

SIZES = [2, 3, 4, 5, 6, 7, 12, 40]


@pytest.mark.parametrize("size", SIZES)
def test_a_killed_process_is_failed_at_all_within_a_second(size: int) -> None:
    network, processes = mesh(size)
    victim = processes[size // 2]
    network.kill(victim)
    rest = others(processes, victim)
    assert network.run_until(all_see(rest, victim, State.FAILED), network.now + 1.0)
    assert network.run_until(agreed(rest), network.now + 1.0)


@pytest.mark.parametrize("age", [0.01, 0.05, 0.15, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_process_killed_just_after_it_joined_is_failed_at_all_who_knew_it_within_a_second(
    seed: int, age: float
) -> None:
    network, processes = mesh(30, seed=seed)
    late = network.start("late", seeds=["n0:1"])
    network.run(age)
    network.kill(late)
    knew = [one for one in processes if late.uid in one.node.members.table.rows]
    assert network.run_until(all_see(knew, late, State.FAILED), network.now + 0.5)


def test_a_kill_while_the_view_changes_is_failed_at_all_within_a_second() -> None:
    network, processes = mesh(20)
    for victim in processes[15:]:
        network.kill(victim)
        rest = [process for process in processes if process.up]
        assert network.run_until(all_see(rest, victim, State.FAILED), network.now + 0.5)
        network.run(0.05)


def test_a_kill_is_seen_at_once_though_all_others_have_just_stood_still() -> None:
    network, processes = mesh(10)
    victim, rest = processes[4], others(processes, processes[4])
    for process in rest:
        network.stall(process)
    network.run(0.9)
    network.kill(victim)
    network.run(0.1)
    for process in rest:
        network.resume(process)
    assert network.run_until(all_see(rest, victim, State.FAILED), network.now + 0.5)


def test_a_process_that_dies_in_the_middle_of_a_handshake_is_failed_within_a_second() -> None:
    network, processes = mesh(12)
    victim, rest = processes[4], others(processes, processes[4])
    network.hang_up(victim)  # its links end, and the others dial it again
    network.run(0.003)
    network.kill(victim)
    assert network.run_until(all_see(rest, victim, State.FAILED), network.now + 1.0)


@pytest.mark.parametrize("size", SIZES)
def test_a_silent_host_is_suspect_within_2_5_s_and_failed_after_the_hold(size: int) -> None:
    network, processes = mesh(size)
    victim = processes[size // 2]
    rest = others(processes, victim)
    began = network.now
    network.switch_off(victim)
    assert network.run_until(all_see(rest, victim, State.SUSPECT), began + 2.5)
    assert not network.run_until(all_see(rest[:1], victim, State.FAILED), began + 6.0)
    assert network.run_until(all_see(rest, victim, State.FAILED), began + 10.0)


@pytest.mark.parametrize("age", [0.7, 1.0, 1.5])
def test_a_newcomer_that_falls_silent_is_suspect_within_2_5_s(age: float) -> None:
    network, processes = mesh(10)
    late = network.start("late", seeds=["n0:1"])
    network.run(age)
    began = network.now
    network.stall(late)
    assert network.run_until(all_see(processes, late, State.SUSPECT), began + 2.5)


@pytest.mark.parametrize("size", SIZES)
def test_a_stall_of_five_seconds_moves_nothing(size: int) -> None:
    network, processes = mesh(size)
    victim = processes[0]
    network.stall(victim)
    network.run(5)
    network.resume(victim)
    network.run(15)
    assert agreed(processes)()
    assert all(state(process, victim) is State.ALIVE for process in processes)
    assert not any(events(process, MemberFailed) for process in processes)


def test_a_stalled_member_accuses_nobody_when_it_wakes() -> None:
    network, processes = mesh(12)
    victim = processes[3]
    network.stall(victim)
    network.run(5)
    network.resume(victim)
    network.run(5)
    assert told_of(processes, MemberSuspect) <= {victim.name}


def test_a_member_that_was_failed_for_a_long_stall_comes_back_with_the_same_uid() -> None:
    network, processes = mesh(12)
    victim = processes[0]
    rest = others(processes, victim)
    network.stall(victim)
    network.run(20)
    assert all_see(rest, victim, State.FAILED)()
    network.resume(victim)
    assert network.run_until(agreed(processes), network.now + 10)
    assert victim.node.members.me.incarnation > 0
    assert all(len(events(process, MemberJoined)) >= 12 for process in rest)


def test_a_member_that_was_failed_while_it_stalled_learns_so_when_it_wakes_and_fails_nobody() -> (
    None
):
    network, processes = mesh(40)
    victims, rest = processes[:10], processes[10:]
    for _ in range(3):  # from the second time on they have to stay away
        stalled(network, victims, 16)
        network.run(4)
    network.run(20)
    assert not told_of(victims, MemberFailed) & {process.name for process in rest}


def test_who_only_closes_links_is_not_dialled_all_the_time() -> None:
    network, processes = mesh(12)
    one = processes[0]
    before = one.node.context.counts["dials"]
    for _ in range(50):
        link = next(one.node.links.open(), None)
        if link is not None:
            goaway = wire.encode(wire.Goaway(EXPELLED), mesh=one.node.context.mesh, to=one.node.uid)
            network.act(one, partial(one.node.receive, link.number, goaway))
        network.run(0.02)
    assert one.node.context.counts["dials"] - before < 40
    assert network.run_until(agreed(processes), network.now + 5)


def test_two_of_three_that_die_together_are_noticed_by_the_third() -> None:
    network, processes = mesh(3)
    network.switch_off(processes[0])
    network.switch_off(processes[1])
    survivor = processes[2]
    assert network.run_until(agreed([survivor]), network.now + 15)


def test_one_observer_that_cannot_reach_its_subject_makes_no_suspect() -> None:
    network, processes = mesh(12)
    observer = processes[0]
    subject_uid = next(iter(observer.node.members.detection.watch.subjects))
    cut(network, [observer], [one for one in processes if one.uid == subject_uid])
    network.run(30)
    assert agreed(processes)()
    assert not any(events(process, MemberSuspect) for process in processes)


def test_a_restart_at_the_same_address_proves_the_old_process_gone() -> None:
    network, processes = mesh(12)
    victim = processes[5]
    network.kill(victim)
    new = network.start(victim.name, address=victim.address, seeds=["n0:1"])
    rest = others(processes, victim)
    began = network.now
    assert network.run_until(agreed([*rest, new]), began + 2.0)
    assert all_see(rest, victim, State.FAILED)()


def test_a_host_that_comes_back_at_once_after_a_silent_death_is_a_new_member() -> None:
    network, processes = mesh(12)
    victim = processes[5]
    network.switch_off(victim)
    new = network.start(victim.name, address=victim.address, seeds=["n0:1"])
    rest = others(processes, victim)
    assert network.run_until(agreed([*rest, new]), network.now + 3.0)


def test_half_of_the_mesh_can_die_at_once() -> None:
    network, processes = mesh(20)
    for victim in processes[10:]:
        network.kill(victim)
    assert network.run_until(agreed(processes[:10]), network.now + 5.0)


def test_a_third_of_the_mesh_that_falls_silent_at_once_is_failed_after_the_hold() -> None:
    network, processes = mesh(60)
    for victim in processes[40:]:
        network.switch_off(victim)
    assert network.run_until(agreed(processes[:40]), network.now + 12)


def test_many_deaths_at_once_change_the_view_once() -> None:
    network, processes = mesh(20)
    died = network.now
    for victim in processes[15:]:
        network.kill(victim)
    assert network.run_until(agreed(processes[:15]), died + 2)
    network.run(2)
    assert all(len(events(process, ViewChanged, died)) <= 2 for process in processes[:15])


def test_the_dead_are_forgotten_after_a_day_and_do_not_come_back() -> None:
    settings = Settings(forget_members=200.0)
    network, processes = mesh(8, settings=settings)
    victim, rest = processes[3], others(processes, processes[3])
    network.switch_off(victim)
    assert network.run_until(agreed(rest), network.now + 20)
    network.run(150)
    late = network.start("late", seeds=["n0:1"], settings=settings)
    network.run(150)
    for process in (*rest, late):
        assert victim.uid not in process.node.members.table.rows
    network.run(60)
    assert agreed([*rest, late])()
    assert not any(process.node.members.roster.hearsay._early for process in rest)


def test_the_two_sides_of_a_partition_fail_each_other_and_heal() -> None:
    network, processes = mesh(20)
    heal = cut(network, processes[:10])
    began = network.now
    for side in processes[:10], processes[10:]:
        assert network.run_until(agreed(side), began + 10)
    network.run(30)
    heal()
    healed = network.now
    assert network.run_until(agreed(processes), healed + 5)


@pytest.mark.parametrize(("small", "within"), [(1, 41), (2, 45), (5, 20)])
def test_the_small_side_of_a_cut_comes_to_see_itself_alone(small: int, within: float) -> None:
    network, processes = mesh(20)
    cut(network, processes[:small])
    began = network.now
    assert network.run_until(agreed(processes[small:]), began + 10)
    assert network.run_until(agreed(processes[:small]), began + within)


def test_who_dies_together_with_all_its_observers_is_suspect_within_five_seconds() -> None:
    network, processes = mesh(30)
    subject = processes[5]
    dead = [subject, *observers(processes, subject)]
    for process in dead:
        network.switch_off(process)
    rest = others(processes, *dead)
    assert network.run_until(all_see(rest, subject, State.SUSPECT), network.now + 5)


def test_the_view_moves_for_a_suspect_only_once_it_is_failed() -> None:
    network, processes = mesh(20)
    victim, one = processes[5], processes[0]
    network.switch_off(victim)
    assert network.run_until(all_see([one], victim, State.SUSPECT), network.now + 5)
    network.run(2)
    members = one.node.members
    assert victim.uid in members.rings.uids
    assert victim.uid not in members.detection.rings.uids  # it observes nobody
    assert members.detection.verdicts.accusers(victim.uid)  # but is observed
    assert not events(one, ViewChanged, network.now - 5)
    assert network.run_until(all_see([one], victim, State.FAILED), network.now + 8)
    network.run(1)
    assert members.rings is members.detection.rings


def test_who_misses_a_member_goes_on_looking_when_others_come_to_observe_it() -> None:
    network, processes = mesh(12)
    subject = processes[5]
    observer = observers(processes, subject)[0]
    heal = cut(network, [observer], [subject])
    network.run(3)
    for number in range(30):
        network.start(f"late{number}", seeds=["n0:1"])
    network.run(5)
    watch = observer.node.members.detection.watch
    assert subject.uid not in observer.node.members.rings.subjects(observer.uid)
    assert watch.misses(subject.uid)
    heal()
    assert network.run_until(lambda: not watch.misses(subject.uid), network.now + 10)


def test_who_hears_nobody_accuses_and_fails_nobody_for_forty_seconds() -> None:
    network, processes = mesh(20)
    alone, rest = processes[7], others(processes, processes[7])
    network.stall(alone, timers_run=True)
    network.run(35)
    network.resume(alone)
    assert network.run_until(agreed(processes), network.now + 2)
    network.run(10)
    assert alone.node.context.counts["alerts"] == 0
    assert events(alone, MemberSuspect)  # what is on no way to it is routed around
    assert not events(alone, MemberFailed)
    assert told_of(rest, MemberSuspect) == {alone.name}


@pytest.mark.parametrize("size", [2, 3])
def test_of_two_or_three_the_last_one_is_sure_of_it_after_the_hold(size: int) -> None:
    network, processes = mesh(size)
    for victim in processes[1:]:
        network.switch_off(victim)
    assert network.run_until(agreed(processes[:1]), network.now + 9)


def test_a_death_is_not_believed_on_the_word_of_one_observer() -> None:
    network, processes = mesh(20)
    victim = processes[5]
    observer = next(
        one for one in processes if victim.uid in one.node.members.detection.watch.subjects
    )
    members = observer.node.members

    def lie(now: float) -> None:
        members.detection.alerts.say(victim.uid, SILENT)
        observer.node.spread.publish(wire.Dead(victim.uid, victim.node.members.me.incarnation, 1))

    network.act(observer, lie)
    network.run(5)
    assert agreed(processes)()
    assert not any(events(process, MemberFailed) for process in processes)


def test_what_a_lost_member_believed_of_the_others_fails_none_of_them_when_it_comes_back() -> None:
    network, processes = mesh(20)
    alone, rest = processes[7], others(processes, processes[7])
    heal = cut(network, [alone])
    assert network.run_until(agreed([alone]), network.now + 90)
    heal()
    assert network.run_until(agreed(processes), network.now + 5)
    network.run(5)
    assert told_of(rest, MemberFailed) == {alone.name}


def test_a_death_that_nobody_here_saw_is_believed_only_when_the_member_does_not_deny_it() -> None:
    network, processes = mesh(12)
    liar, victim, rest = processes[0], processes[5], others(processes, processes[5])
    lie = wire.Dead(victim.uid, victim.node.members.me.incarnation, 1)
    network.act(liar, lambda now: liar.node.spread.publish(lie))
    network.run(5)
    assert agreed(processes)()
    assert victim.node.members.me.incarnation > 0
    assert not any(events(process, MemberFailed) for process in rest)
    network.switch_off(victim)
    lie = wire.Dead(victim.uid, victim.node.members.me.incarnation, 1)
    network.act(liar, lambda now: liar.node.spread.publish(lie))
    far = others(rest, liar)
    assert not network.run_until(all_see(far, victim, State.FAILED), network.now + LAN.hold - 0.1)
    assert network.run_until(all_see(far, victim, State.FAILED), network.now + 0.5)


def test_a_member_that_stands_still_for_seconds_can_still_deny_what_a_starved_one_says_of_it() -> (
    None
):
    network, processes = mesh(20)
    starved, subject = processes[3], processes[7]
    network.stall(subject)
    network.run(0.9)  # its observers doubt it, and none of them accuses it yet
    network.act(starved, lambda now: starved.node.members.detection.declare(subject.uid, SILENT))
    network.run(3)
    network.resume(subject)
    assert network.run_until(agreed(processes), network.now + 2)
    rest = others(processes, starved)
    assert not any(events(process, MemberFailed) for process in rest)


def test_one_member_cut_off_alone_finds_back_in_five_seconds() -> None:
    network, processes = mesh(20)
    alone = processes[7]
    heal = cut(network, [alone])
    assert network.run_until(agreed(others(processes, alone)), network.now + 20)
    network.run(40)
    heal()
    assert network.run_until(agreed(processes), network.now + 5)


def test_it_is_told_who_observes_a_member_who_accuses_it_and_how_far_it_is() -> None:
    network, processes = mesh(12)
    one, victim = processes[0], processes[5]
    network.run(120)
    standing = one.node.standing(victim.uid)
    assert len(standing.observers) == 5
    assert standing.accusers == ()
    linked = [process for process in processes if process.uid in one.node.links.by_peer]
    trips = [one.node.standing(process.uid).round_trip for process in linked]
    assert all(trip is not None and 0.0004 <= trip <= 0.002 for trip in trips)
    network.switch_off(victim)
    network.run_until(all_see([one], victim, State.SUSPECT), network.now + 3)
    accusers = one.node.standing(victim.uid).accusers
    assert len(accusers) >= 3
    assert set(accusers) <= set(standing.observers)


def test_who_hears_again_after_a_while_alone_gives_those_it_missed_the_whole_hold() -> None:
    network, processes = mesh(12)
    subject = processes[5]
    alone = observers(processes, subject)[0]
    heal = cut(network, [alone])
    network.run(LAN.alone - 2)
    heal()
    network.stall(subject)
    network.run(4)
    network.resume(subject)
    assert network.run_until(agreed(processes), network.now + 10)
    assert subject.name not in told_of([alone], MemberFailed)
