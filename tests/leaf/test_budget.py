"""The memory budget: never above its total, first come first served, and nobody takes it along."""

import asyncio
import random
from pathlib import Path

import pytest

from meshcache.budget import Budget, memory_limit


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Taker:
    """A task that takes, and gives back when told to."""

    def __init__(self, group: asyncio.TaskGroup, budget: Budget, size: int) -> None:
        self._has = False
        self.leave = asyncio.Event()
        self.task = group.create_task(self._run(budget, size))

    async def _run(self, budget: Budget, size: int) -> None:
        async with budget.take(size):
            self._has = True
            await self.leave.wait()

    def has(self) -> bool:
        return self._has


async def test_what_fits_is_taken_at_once_and_given_back_on_errors_too() -> None:
    budget = Budget(100)
    with pytest.raises(ZeroDivisionError):
        async with budget.take(60), budget.take(40):
            assert budget.taken == 100
            raise ZeroDivisionError
    assert budget.taken == 0


async def test_small_requests_do_not_overtake_a_large_one() -> None:
    budget = Budget(100)
    async with asyncio.TaskGroup() as group:
        first = Taker(group, budget, 60)
        await settle()
        large, small = Taker(group, budget, 80), Taker(group, budget, 10)
        await settle()
        assert (first.has(), large.has(), small.has()) == (True, False, False)
        assert budget.waiting == 2
        first.leave.set()
        await settle()
        assert (large.has(), small.has()) == (True, True)
        large.leave.set()
        small.leave.set()
    assert budget.taken == 0


async def test_a_request_above_the_total_is_served_alone() -> None:
    budget = Budget(100)
    async with asyncio.TaskGroup() as group:
        first = Taker(group, budget, 1)
        await settle()
        giant, after = Taker(group, budget, 1000), Taker(group, budget, 1)
        await settle()
        assert not giant.has()
        first.leave.set()
        await settle()
        assert giant.has()
        assert not after.has()
        giant.leave.set()
        await settle()
        assert after.has()
        after.leave.set()
    assert budget.taken == 0


async def test_a_waiter_that_is_cancelled_lets_those_behind_it_pass() -> None:
    budget = Budget(100)
    async with asyncio.TaskGroup() as group:
        first = Taker(group, budget, 60)
        await settle()
        large, small = Taker(group, budget, 80), Taker(group, budget, 40)
        await settle()
        large.task.cancel()
        await settle()
        assert small.has()
        assert budget.waiting == 0
        first.leave.set()
        small.leave.set()
    assert budget.taken == 0


async def test_a_waiter_cancelled_in_the_moment_it_is_served_keeps_nothing() -> None:
    budget = Budget(100)
    async with asyncio.TaskGroup() as group:
        first = Taker(group, budget, 100)
        await settle()
        served, behind = Taker(group, budget, 100), Taker(group, budget, 100)
        await settle()
        first.leave.set()
        while budget.waiting == 2:
            await asyncio.sleep(0)
        served.task.cancel()
        await settle()
        assert not served.has()
        assert behind.has()
        behind.leave.set()
    assert budget.taken == 0


async def test_a_waiter_served_in_the_moment_it_is_cancelled_is_passed_over() -> None:
    budget = Budget(100)
    async with asyncio.TaskGroup() as group:
        first = Taker(group, budget, 100)
        await settle()
        cancelled, behind = Taker(group, budget, 100), Taker(group, budget, 100)
        await settle()
        first.leave.set()
        cancelled.task.cancel()
        await settle()
        assert not cancelled.has()
        assert behind.has()
        behind.leave.set()
    assert budget.taken == 0


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_comes_and_goes_the_total_holds_and_nothing_is_lost(seed: int) -> None:
    rng = random.Random(seed)
    budget = Budget(100)
    async with asyncio.TaskGroup() as group:
        takers: list[Taker] = []
        for _ in range(300):
            move = rng.random()
            if move < 0.5:
                takers.append(Taker(group, budget, rng.choice([0, 1, 30, 60, 100, 150])))
            elif takers and move < 0.75:
                takers.pop(rng.randrange(len(takers))).task.cancel()
            elif takers:
                rng.choice(takers).leave.set()
            if rng.random() < 0.5:
                await asyncio.sleep(0)
            assert budget.taken <= 100 or budget.taken == 150
        for taker in takers:
            taker.leave.set()
    assert budget.taken == 0
    assert budget.waiting == 0


def tree(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root / "cgroup", root / "proc"


MEMINFO = "MemTotal:       16000000 kB\nMemFree:         5000000 kB\n"
MACHINE = 16_000_000 * 1024


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, MACHINE, id="no cgroups"),
        pytest.param(
            {"proc/self/cgroup": "0::/kube/pod/box\n", "cgroup/kube/pod/box/memory.max": "1000\n"},
            1000,
            id="version 2",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/kube/pod/box\n",
                "cgroup/kube/pod/box/memory.max": "max\n",
                "cgroup/kube/pod/memory.max": "3000\n",
                "cgroup/kube/memory.max": "9000\n",
            },
            3000,
            id="version 2, the limit is above us",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/box\n", "cgroup/box/memory.max": "max\n"},
            MACHINE,
            id="version 2 without a limit",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/\n", "cgroup/memory.max": "5000\n"},
            5000,
            id="version 2, inside a namespace",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../../x\n", "cgroup/memory.max": "5000\n"},
            5000,
            id="version 2, joined from outside",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:cpu:/\n4:memory:/docker/abc\n0::/\n",
                "cgroup/memory/docker/abc/memory.limit_in_bytes": "9223372036854771712\n",
                "cgroup/memory/docker/memory.limit_in_bytes": "7000\n",
            },
            7000,
            id="version 1",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:cpu,memory:/docker/abc\n",
                "cgroup/memory/memory.limit_in_bytes": "8000\n",
            },
            8000,
            id="version 1, seen from inside a container",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/box\n",
                "cgroup/unified/box/memory.max": "6000\n",
            },
            6000,
            id="both versions mounted",
        ),
    ],
)
def test_the_memory_limit_is_the_least_of_all_that_hold(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    assert memory_limit(*tree(tmp_path, {"proc/meminfo": MEMINFO, **files})) == expected


def test_this_machine_has_a_memory_limit() -> None:
    assert 1 << 20 < memory_limit() < 1 << 50
