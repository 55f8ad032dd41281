"""What observers ask each other before one of them tells the mesh that it misses a member."""

from functools import partial

import pytest

from meshcache.gossip import wire
from meshcache.gossip.core.events import MemberFailed, MemberSuspect, State
from meshcache.gossip.core.inquiries import Inquiry
from meshcache.gossip.core.verdicts import SILENT
from meshcache.gossip.sim.process import Process
from tests.gossip.meshes import agreed, all_see, cut, events, mesh, observers, others


def total(processes: list[Process], what: str) -> int:
    return sum(process.node.context.counts[what] for process in processes)


def subjects(processes: list[Process], observer: Process) -> list[Process]:
    watched = observer.node.members.detection.watch.subjects
    return [one for one in processes if one.uid in watched]


def inquiry(*answers: bool | None, arbiters: bool = False) -> Inquiry:
    return Inquiry(1, 0.0, {bytes([n]): answer for n, answer in enumerate(answers)}, arbiters)


@pytest.mark.parametrize(
    ("answers", "soon", "late"),
    [
        ([], True, True),  # nobody else observes it
        ([False], True, True),
        ([True], False, False),
        ([None], None, None),
        ([False, False, None, None], True, True),
        ([False, True, True, True], False, False),
        ([False, None, None, None], None, True),
        ([True, None, None, None], None, False),
        ([True, False, None, None], None, False),
        ([True, True, False, None], None, False),
        ([None, None, None, None], None, None),
    ],
)
def test_a_majority_of_the_observers_or_in_the_end_two_if_none_reaches_the_member(
    answers: list[bool | None], soon: bool | None, late: bool | None
) -> None:
    asked = inquiry(*answers)
    assert asked.agrees(late=False) is soon
    assert asked.agrees(late=True) is late
    asked.absent = asked.waits  # none of them can be dialled: nobody waits for them
    assert asked.agrees(late=False) is late


def test_who_could_not_be_dialled_is_awaited_again_once_somebody_reaches_the_member() -> None:
    _network, processes = mesh(12)
    observer = processes[0]
    inquiries = observer.node.members.detection.inquiries
    subject = processes[5].uid
    asked = inquiries._begin(subject, dict.fromkeys([one.uid for one in processes[6:9]]))
    inquiries.unreachable(processes[7].uid)
    inquiries.unreachable(processes[8].uid)
    assert asked.waits == {processes[6].uid}
    link = observer.node.links.of(processes[6].uid) or observer.node.links.accepted(-99)
    link.peer = processes[6].uid
    inquiries.on_reached(link, wire.Reached(asked.number, True))
    assert asked.waits == {processes[7].uid, processes[8].uid}


@pytest.mark.parametrize(
    ("answers", "agrees"),
    [
        ([], True),  # alone
        ([False], True),
        ([False, None], None),
        ([True, None], False),
        ([False, False, True], False),
    ],
)
def test_one_arbiter_that_reaches_the_member_is_enough(
    answers: list[bool | None], agrees: bool | None
) -> None:
    assert inquiry(*answers, arbiters=True).agrees(late=False) is agrees


def test_where_a_fifth_of_the_segments_is_lost_doubts_stay_among_the_observers() -> None:
    network, processes = mesh(40)
    network.faults.loss = 0.2
    network.run(60)
    assert total(processes, "observers_asked") > 20
    assert total(processes, "alerts_held_back") > 5
    assert total(processes, "alerts") <= 2
    assert not any(events(process, MemberFailed) for process in processes)


def test_who_misses_all_its_subjects_but_one_accuses_none_that_others_hear() -> None:
    network, processes = mesh(20)
    observer = processes[0]
    cut(network, [observer], subjects(processes, observer)[1:])  # it still hears one
    network.run(40)
    assert observer.node.context.counts["observers_asked"] > 0
    assert total(processes, "alerts") == 0
    assert agreed(processes)()


def test_where_no_other_observer_answers_arbiters_that_reach_the_member_keep_one_silent() -> None:
    network, processes = mesh(30)
    observer = processes[0]
    subject = subjects(processes, observer)[0]
    circle = others(observers(processes, subject), observer)
    cut(network, [observer], [subject, *circle])
    network.run(15)
    assert observer.node.context.counts["arbiters_asked"] > 0
    accused = observer.node.standing(subject.uid).accusers
    assert accused == ()
    assert agreed(processes)()


def test_who_is_dead_with_its_other_observers_is_accused_on_the_word_of_arbiters() -> None:
    network, processes = mesh(30)
    observer = processes[0]
    subject = subjects(processes, observer)[0]
    dead = [subject, *others(observers(processes, subject), observer)]
    for process in dead:
        network.switch_off(process)
    assert network.run_until(agreed(others(processes, *dead)), network.now + 20)


def test_who_is_asked_about_a_member_that_it_does_not_observe_looks_for_itself() -> None:
    network, processes = mesh(40, settle=15)
    asked = processes[7]
    members = asked.node.members
    far = next(
        one
        for one in others(processes, asked)
        if one.uid not in members.detection.watch.subjects
        and one.uid not in asked.node.links.by_peer
    )
    dead = next(
        one
        for one in others(processes, asked, far)
        if one.uid not in members.detection.watch.subjects
    )
    asker = next(one for one in processes if one.uid in asked.node.links.by_peer)
    network.switch_off(dead)
    inquiries = asker.node.members.detection.inquiries
    for subject in far, dead:
        inquiry = inquiries._begin(subject.uid, {asked.uid: None})
        network.act(asker, lambda now, s=subject, i=inquiry: inquiries._send(s.uid, i, asked.uid))  # type: ignore[misc]
    network.run(1.8)
    assert inquiries.open[far.uid].answers == {asked.uid: True}
    assert inquiries.open[dead.uid].answers == {asked.uid: False}


def test_who_is_asked_does_not_answer_from_memory_but_looks() -> None:
    network, processes = mesh(12)
    victim = processes[5]
    first = observers(processes, victim)[0]
    network.switch_off(victim)
    network.run(0.3)
    began = network.now
    # As if a dial had failed: it misses the victim a second before the others would.
    subject = first.node.members.detection.watch.subjects[victim.uid]
    network.act(
        first, lambda now: first.node.members.detection.watch._miss(victim.uid, subject, SILENT)
    )
    rest = others(processes, victim)
    assert network.run_until(all_see(rest, victim, State.SUSPECT), began + 0.7)


def test_lies_to_an_observer_that_asks_make_no_suspect() -> None:
    network, processes = mesh(20)
    observer, foe = processes[0], processes[1]
    subject = others(subjects(processes, observer), foe)[0]
    cut(network, [observer], [subject])
    for number in range(1, 200):
        link = observer.node.links.of(foe.uid)
        if link is not None:
            frame = wire.encode(
                wire.Reached(number % 20, False), mesh=observer.node.context.mesh, to=observer.uid
            )
            network.act(observer, partial(observer.node.receive, link.number, frame))
        network.run(0.1)
    assert not any(events(process, MemberSuspect) for process in processes)
    assert agreed(processes)()
