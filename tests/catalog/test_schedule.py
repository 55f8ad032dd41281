"""Datasets are refreshed by the clock by whichever members live, and not by all at once."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.catalog.refreshes import turn_key
from meshcache.agent.catalog.schedule import MIN_GRACE, TURNS, Schedule
from meshcache.dataset import Dataset, Head, Mount
from meshcache.placement import Candidate, Placement

EVERY = 60.0


class Mesh:
    """Members and their shared heads, in virtual time."""

    def __init__(self, names: list[str], datasets: list[Dataset]) -> None:
        self.now = 1000.0
        self.alive = set(names)
        self.broken: set[str] = set()
        """Members that cannot list."""
        self.datasets = datasets
        self.heads = {d.name: _head(self.now) for d in datasets}
        self.listed: list[tuple[float, str, str]] = []
        self.schedules = {name: self._schedule(name) for name in names}
        self.wake = dict.fromkeys(names, self.now)

    def _schedule(self, me: str) -> Schedule:
        def rank(dataset: Dataset) -> int | None:
            placement = Placement([Candidate(name, 1.0, "") for name in sorted(self.alive)])
            ranked = placement.rank_name(turn_key(dataset), TURNS)
            return ranked.index(me) if me in ranked else None

        def refresh(name: str) -> None:
            self.listed.append((self.now, me, name))
            if me not in self.broken:
                self.heads[name] = _head(self.now)
                self.changed()

        return Schedule(
            lambda: self.datasets, self.heads.__getitem__, rank, refresh, now=lambda: self.now
        )

    def changed(self) -> None:
        for name in self.alive:
            self.wake[name] = self.now

    def kill(self, name: str) -> None:
        self.alive.discard(name)
        self.changed()

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            name = min(self.alive, key=lambda each: self.wake[each])
            if self.wake[name] > end:
                self.now = end
                return
            self.now = max(self.now, self.wake[name])
            self.wake[name] = end + 1  # what it does may wake it again
            wait = self.schedules[name].start_due()
            self.wake[name] = min(self.wake[name], self.now + max(wait, 1e-6))

    def age(self, name: str) -> float:
        return self.now - self.heads[name].listed


def _head(now: float) -> Head:
    return Head("uid", "ab" * 32, 1, 1, 1, listed=now)


def _datasets(count: int, every: float = EVERY) -> list[Dataset]:
    return [
        Dataset(f"d{n}", (Mount("s3://bucket"),), uid=f"{n:016x}", refresh_every=every)
        for n in range(count)
    ]


def test_each_dataset_is_refreshed_once_in_each_interval_by_one_member() -> None:
    mesh = Mesh([f"m{n}" for n in range(10)], _datasets(5))
    mesh.run(10 * EVERY)
    for dataset in mesh.datasets:
        by = {member for _, member, name in mesh.listed if name == dataset.name}
        times = [at for at, _, name in mesh.listed if name == dataset.name]
        assert len(by) == 1
        assert 10 <= len(times) <= 11
        assert all(b - a >= 0.9 * EVERY for a, b in pairwise(times))


def test_datasets_of_one_interval_are_refreshed_at_different_times() -> None:
    mesh = Mesh(["m"], _datasets(20))
    mesh.run(EVERY)
    times = {round(at, 3) for at, _, _ in mesh.listed}
    assert len(times) == 20


@pytest.mark.parametrize("every", [2.0, EVERY])
@given(st.randoms())
def test_whoever_dies_the_others_go_on(every: float, chance: object) -> None:
    mesh = Mesh([f"m{n}" for n in range(5)], _datasets(1, every))
    for _ in range(4):
        mesh.run(2.5 * every)
        mesh.kill(mesh.listed[-1][1])
    mesh.run(2.5 * every)
    assert mesh.age("d0") <= every
    assert len({member for _, member, _ in mesh.listed}) == 5


def test_a_member_that_cannot_list_is_passed_over_and_asks_once_in_each_interval() -> None:
    mesh = Mesh([f"m{n}" for n in range(5)], _datasets(1))
    mesh.run(2 * EVERY)
    first = mesh.listed[-1][1]
    mesh.broken = {first}
    del mesh.listed[:]
    mesh.run(10 * EVERY)
    assert mesh.age("d0") <= 1.5 * EVERY
    assert sum(member == first for _, member, _ in mesh.listed) <= 12


def test_an_origin_that_fails_for_all_is_asked_by_three_members_and_no_more() -> None:
    mesh = Mesh([f"m{n}" for n in range(20)], _datasets(1))
    mesh.broken = set(mesh.alive)
    mesh.run(20 * EVERY)
    assert len({member for _, member, _ in mesh.listed}) == TURNS
    assert len(mesh.listed) <= 3 * 23


def test_a_dataset_without_an_interval_is_left_alone() -> None:
    mesh = Mesh(["m"], _datasets(3, 0.0))
    mesh.run(10_000)
    assert mesh.listed == []
    assert MIN_GRACE > 0
