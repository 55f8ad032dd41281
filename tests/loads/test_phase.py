"""How a load is, computed from what the members wrote: by anybody, alike."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.loads.phase import (
    CATCH_UP,
    Present,
    Run,
    Subject,
    run_of,
    verdict,
    view_of,
)
from meshcache.agent.loads.record import End, Load, Progress, Report
from meshcache.agent.loads.selection import Selection
from meshcache.agent.loads.status import look
from meshcache.agent.mesh import Peer

NOW = 1_800_000_000.0  # 08:00:00 UTC
SUBJECT = Subject("5" * 64, 100, 1)
NOTHING: Mapping[str, Report] = {}


def load(**more: object) -> Load:
    fields: dict[str, object] = {
        "name": "l",
        "uid": "u1",
        "dataset": "d",
        "dataset_uid": "x",
        "selection": Selection(),
        "created": NOW - 100,
        "bytes": 1000,
    }
    return Load(**(fields | more))  # type: ignore[arg-type]


def peer(store: str, zone: str = "") -> Peer:
    return Peer(
        uid=store,
        name=f"n-{store}",
        state="alive",
        role="cache",
        zone=zone,
        store_id=store,
        address="",
        gossip="",
        capacity=1,
        store_created=0.0,
        version="",
        incarnation=0,
        since=0.0,
        leaf=False,
    )


def present(*stores: str, view: str = "v1", owners: str | None = None) -> Present:
    members = {store: peer(store, zone=store[-1]) for store in stores}
    return Present(members, frozenset(stores if owners is None else owners), view)


def report(mesh: Present, *, uid: str = "u1", run: int = 0, **more: object) -> Report:
    fields = {"planned": True, "blocks": 1, "bytes": 500, "started": NOW - 10, "updated": NOW}
    progress = Progress(uid, run, view_of(mesh, SUBJECT), **(fields | more))  # type: ignore[arg-type]
    return Report("n", (progress,))


def done(mesh: Present, **more: object) -> Report:
    return report(mesh, **({"bytes_done": 500, "blocks_done": 1, "ended": NOW - 1} | more))  # type: ignore[arg-type]


def test_it_is_pending_until_somebody_works_and_executing_until_all_have_ended() -> None:
    mesh = present("a", "b")
    run = Run(0, NOW - 100)
    assert verdict(load(), run, NOTHING, mesh, SUBJECT, NOW).phase == "Pending"
    half = {"a": done(mesh)}
    assert verdict(load(), run, half, mesh, SUBJECT, NOW).phase == "Executing"
    both = half | {"b": done(mesh, ended=NOW - 3)}
    end = verdict(load(), run, both, mesh, SUBJECT, NOW)
    assert (end.phase, end.ended, end.bytes_done) == ("Complete", NOW - 1, 1000)


def test_what_a_dead_member_did_is_done_anew_by_the_others() -> None:
    before, after = present("a", "b"), present("a", view="v2")
    run = Run(0, NOW - 100)
    reports = {"a": done(before), "b": done(before)}
    assert verdict(load(), run, reports, before, SUBJECT, NOW).phase == "Complete"
    assert verdict(load(), run, reports, after, SUBJECT, NOW).phase == "Executing"
    assert verdict(load(), run, {"a": done(after)}, after, SUBJECT, NOW).phase == "Complete"


def test_another_snapshot_or_generation_asks_for_other_shares() -> None:
    mesh = present("a")
    run = Run(0, NOW - 100)
    for other in (Subject("6" * 64, 100, 1), Subject("5" * 64, 100, 2)):
        assert verdict(load(), run, {"a": done(mesh)}, mesh, other, NOW).phase == "Executing"


def test_progress_of_another_load_or_run_does_not_count() -> None:
    mesh = present("a")
    for other in (done(mesh, uid="u2"), done(mesh, run=7)):
        assert verdict(load(), Run(0, NOW), {"a": other}, mesh, SUBJECT, NOW).phase == "Pending"


def test_one_failure_makes_it_failed_once_all_have_ended() -> None:
    mesh = present("a", "b")
    reports = {"a": done(mesh, failed=2, message="503"), "b": report(mesh)}
    run = Run(0, NOW - 100)
    assert verdict(load(), run, reports, mesh, SUBJECT, NOW).phase == "Executing"
    end = verdict(load(), run, reports | {"b": done(mesh)}, mesh, SUBJECT, NOW)
    assert (end.phase, end.failed, end.message) == ("Failed", 2, "503")


def test_a_written_end_stays_whatever_members_come_and_go() -> None:
    end = End(0, "Complete", NOW - 50, NOW - 40, bytes=1000, bytes_done=1000)
    ended = load(end=end)
    for mesh in (present(), present("z", view="v9")):
        assert verdict(ended, Run(0, NOW - 50), NOTHING, mesh, SUBJECT, NOW) == end
        status = look(ended, Run(0, NOW - 50), NOTHING, mesh, SUBJECT, NOW)
        assert (status.phase, status.percentage, status.duration) == ("Complete", 100.0, 10.0)


def test_a_cancelled_load_and_one_whose_dataset_is_gone_end() -> None:
    mesh = present("a")
    run = Run(0, NOW - 100)
    cancelled = verdict(load(cancelled=NOW - 5), run, NOTHING, mesh, SUBJECT, NOW)
    assert (cancelled.phase, cancelled.ended) == ("Cancelled", NOW - 5)
    gone = verdict(load(), run, NOTHING, mesh, Subject(problem="dataset 'd' was deleted"), NOW)
    assert (gone.phase, gone.message) == ("Failed", "dataset 'd' was deleted")


@pytest.mark.parametrize(
    ("named", "stores"),
    [
        ({}, {"a", "b"}),
        ({"nodes": ("n-c",)}, {"a", "b", "c"}),
        ({"zones": ("b",)}, {"a", "b"}),
        ({"all": True}, {"a", "b"}),
    ],
)
def test_owners_are_targets_and_who_is_named(named: dict[str, object], stores: set[str]) -> None:
    mesh = present("a", "b", "c", owners="ab")  # c is a guest
    one = load(**named)
    assert mesh.targets(one) == stores
    takes_all = {store for store in "abc" if mesh.takes_all(one, mesh.members[store])}
    assert takes_all == {"nodes": {"c"}, "zones": {"b"}, "all": {"a", "b"}}.get(
        next(iter(named), ""), set()
    )


class TestCron:
    """Runs are named by when they are due, by everybody's own clock."""

    hourly = load(policy="Cron", schedule="0 * * * *", created=NOW - 2 * 3600 + 60)

    def test_before_the_first_run_it_waits(self) -> None:
        new = load(policy="Cron", schedule="0 * * * *", created=NOW - 60)
        run = run_of(new, None, [], NOW - 1)
        assert run.waits
        assert verdict(new, run, NOTHING, present("a"), SUBJECT, NOW - 1).phase == "Pending"

    def test_the_run_that_is_due_counts_until_the_next_is(self) -> None:
        for after in (0.0, 1.0, CATCH_UP):
            assert run_of(self.hourly, None, [], NOW + after) == Run(int(NOW), NOW)
        assert run_of(self.hourly, None, [int(NOW)], NOW + 3599) == Run(int(NOW), NOW)
        assert run_of(self.hourly, None, [], NOW + 3600).number == int(NOW) + 3600

    def test_a_run_that_nobody_began_in_time_is_left_out(self) -> None:
        assert run_of(self.hourly, None, [], NOW + CATCH_UP + 1).waits
        ended = load(
            policy="Cron",
            schedule="0 * * * *",
            created=NOW - 9000,
            end=End(int(NOW) - 3600, "Complete", NOW - 3600, NOW - 3500),
        )
        run = run_of(ended, None, [], NOW + CATCH_UP + 1)
        assert run == Run(int(NOW) - 3600, ended.created)
        assert verdict(ended, run, NOTHING, present("a"), SUBJECT, NOW + CATCH_UP + 1) == ended.end

    def test_a_run_that_has_ended_stays_so_until_the_next(self) -> None:
        end = End(int(NOW), "Complete", NOW, NOW + 5)
        ended = load(policy="Cron", schedule="0 * * * *", created=NOW - 7000, end=end)
        mesh = present("a")
        run = run_of(ended, None, [], NOW + 3000)
        assert verdict(ended, run, NOTHING, mesh, SUBJECT, NOW + 3000) == end
        later = run_of(ended, None, [], NOW + 3601)
        assert verdict(ended, later, NOTHING, mesh, SUBJECT, NOW + 3601).phase == "Pending"
        status = look(ended, run, NOTHING, mesh, SUBJECT, NOW + 3000)
        assert status.next_run == NOW + 3600

    def test_cancelling_ends_the_schedule_for_good(self) -> None:
        end = End(int(NOW), "Complete", NOW, NOW + 5)
        one = load(policy="Cron", schedule="0 * * * *", created=NOW - 7000, end=end)
        cancelled = load(
            policy="Cron", schedule="0 * * * *", created=NOW - 7000, end=end, cancelled=NOW + 10
        )
        mesh = present("a")
        run = run_of(one, None, [], NOW + 20)
        last = verdict(cancelled, run, NOTHING, mesh, SUBJECT, NOW + 20)
        assert last.phase == "Cancelled"
        written = load(
            policy="Cron", schedule="0 * * * *", created=NOW - 7000, end=last, cancelled=NOW + 10
        )
        later = run_of(written, None, [], NOW + 4000)
        assert verdict(written, later, NOTHING, mesh, SUBJECT, NOW + 4000) == last
        assert look(written, later, NOTHING, mesh, SUBJECT, NOW + 4000).next_run is None


class TestRunAfter:
    """A load that waits for another one."""

    waiting = load(policy="OnEvent", run_after="first")

    def test_it_waits_until_the_other_is_complete(self) -> None:
        assert "not there" in run_of(self.waiting, None, [], NOW).waits
        assert run_of(self.waiting, load(name="first"), [], NOW).waits == "load 'first'"
        failed = load(name="first", end=End(0, "Failed", NOW - 50, NOW - 40))
        assert run_of(self.waiting, failed, [], NOW).waits == "load 'first', which is Failed"
        complete = load(name="first", end=End(0, "Complete", NOW - 50, NOW - 40))
        assert run_of(self.waiting, complete, [], NOW) == Run(0, NOW - 40)

    def test_once_released_it_does_not_wait_again_for_who_is_forgotten(self) -> None:
        released = load(policy="OnEvent", run_after="first", released=NOW - 40)
        assert run_of(released, None, [], NOW) == Run(0, NOW - 40)


progresses = st.builds(
    lambda ended, failed, size, part, view: (ended, failed, size, min(part, size), view),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.booleans(),
)


@given(st.dictionaries(st.sampled_from("abcde"), progresses), st.sets(st.sampled_from("abcde")))
def test_complete_means_that_every_living_target_has_ended_for_now_and_lacks_nothing(
    said: dict[str, tuple[bool, bool, int, int, bool]], living: set[str]
) -> None:
    mesh, old = present(*living), present(*living, view="old")
    reports = {
        store: report(
            mesh if now else old,
            ended=NOW if ended else 0.0,
            failed=int(failed),
            message="x" if failed else "",
            bytes=size,
            bytes_done=size if ended and not failed else part,
        )
        for store, (ended, failed, size, part, now) in said.items()
    }
    status = look(load(), Run(0, NOW - 9), reports, mesh, SUBJECT, NOW)
    every = bool(living) and all(
        store in said and said[store][0] and said[store][4] for store in living
    )
    fine = every and not any(said[store][1] for store in living)
    assert (status.phase == "Complete") == fine
    assert (status.phase == "Failed") == (every and not fine)
    assert 0.0 <= status.percentage <= 100.0
    assert (status.percentage == 100.0) == fine
    assert {member.store for member in status.members} == living
