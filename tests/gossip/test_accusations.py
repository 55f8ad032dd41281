"""How long what an observer said counts. In virtual time."""

from meshcache.gossip import wire
from meshcache.gossip.core.events import MemberFailed, State
from meshcache.gossip.core.settings import LAN
from meshcache.gossip.core.verdicts import COUNTS, SILENT
from meshcache.gossip.sim.network import Network
from meshcache.gossip.sim.process import Process
from tests.gossip.meshes import all_see, cut, events, mesh, observers, others, stalled, state


def say(network: Network, observer: Process, subject: Process) -> None:
    """Have an observer accuse its subject once, with or without reason."""
    alerts = observer.node.members.detection.alerts
    network.act(observer, lambda now: alerts.say(subject.uid, SILENT))


def hear(network: Network, by: Process, observer: Process, subject: Process, number: int) -> None:
    """Have one member alone hear that an observer accuses its subject."""
    incarnation = by.node.members.table.rows[subject.uid].incarnation
    alert = wire.Alert(subject.uid, incarnation, observer.uid, number, SILENT)
    network.act(by, lambda now: by.node.members.detection.hear(alert))


def accusers(by: Process, subject: Process) -> set[str]:
    """Whose words against it count at this member."""
    return set(by.node.standing(subject.uid).accusers)


def test_a_word_that_is_not_said_again_counts_for_some_time_only() -> None:
    network, processes = mesh(12)
    subject = processes[5]
    liar = observers(processes, subject)[0]
    say(network, liar, subject)
    network.run(COUNTS - 1)
    assert all(accusers(one, subject) == {liar.uid.hex()} for one in processes)
    network.run(2)
    assert not any(accusers(one, subject) for one in processes)


def test_one_that_is_still_so_is_said_again() -> None:
    network, processes = mesh(12)
    subject = processes[5]
    liar, cut_off, *_ = observers(processes, subject)
    cut(network, [cut_off], [subject])
    say(network, liar, subject)
    network.run(4 * COUNTS)
    rest = others(processes, subject)
    assert all(accusers(one, subject) == {cut_off.uid.hex()} for one in rest)
    assert all_see(rest, subject, State.ALIVE)()


def test_what_an_observer_said_before_it_failed_is_over_when_it_comes_back() -> None:
    network, processes = mesh(12)
    subject = processes[5]
    observer = observers(processes, subject)[0]
    say(network, observer, subject)
    network.run(0.5)
    stalled(network, [observer], 10)
    rest = others(processes, observer)
    assert any(events(one, MemberFailed) for one in rest)
    assert network.run_until(all_see(rest, observer, State.ALIVE), network.now + 2)
    assert not any(accusers(one, subject) for one in rest)


def test_a_denial_beyond_the_limit_ends_what_no_observer_says_anew() -> None:
    """One that has missed what observers took back meanwhile."""
    network, processes = mesh(12)
    subject, judge = processes[5], processes[9]
    told = others(observers(processes, subject), judge)[:4]
    for denial in range(LAN.refutations + 1):
        for observer in told:
            hear(network, judge, observer, subject, number=1000 + denial)
        assert state(judge, subject) is State.SUSPECT
        network.act(subject, lambda now: subject.node.set_tags({"denial": str(now)}, now))
        network.run(1)
    assert state(judge, subject) is State.SUSPECT, "the limit does nothing"
    network.run(LAN.reaffirm)
    assert state(judge, subject) is State.ALIVE
    network.run(LAN.hold)
    assert not any(events(one, MemberFailed) for one in processes)


def test_a_member_takes_nothing_that_it_denied_for_true_of_itself() -> None:
    network, processes = mesh(12)
    subject = processes[5]
    for denial in range(LAN.refutations + 2):
        for observer in observers(processes, subject)[:2]:
            hear(network, subject, observer, subject, number=1000 + denial)
        network.run(LAN.vote + 1)  # nobody else says anything, so the two are a majority
        network.act(subject, lambda now: subject.node.set_tags({"denial": str(now)}, now))
        assert accusers(subject, subject) == set()
