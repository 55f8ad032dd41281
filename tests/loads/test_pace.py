"""A rate is kept over any time, whoever takes."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.loads.pace import Pace


class Clock:
    """A clock that sleeping moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.floats(1.0, 1e6))
def test_what_was_taken_is_no_more_than_the_rate_and_one(sizes: list[int], rate: float) -> None:
    clock = Clock()
    pace = Pace(lambda: rate, clock=lambda: clock.now, sleep=clock.sleep)

    async def take() -> None:
        before = 0
        for size in sizes:
            await pace.take(size)
            assert before <= rate * (clock.now - 100.0) + 1e-3
            before += size
        # And no less: the last may just have begun.
        assert clock.now - 100.0 <= before / rate + 1e-6

    asyncio.run(take())


def test_without_a_rate_nobody_waits() -> None:
    clock = Clock()
    pace = Pace(lambda: 0.0, clock=lambda: clock.now, sleep=clock.sleep)
    asyncio.run(pace.take(1 << 40))
    assert clock.now == 100.0
