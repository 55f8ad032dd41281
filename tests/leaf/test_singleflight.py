"""Single flight: one piece of work per key, and nobody's leaving hurts the others."""

import asyncio

import pytest

from meshcache.singleflight import SingleFlight


class Work:
    """Work that ends when it is told to, and counts how often it was begun and cancelled."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.begun += 1
        try:
            return await asyncio.shield(self.done)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_come_meanwhile_share_one_result() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    work = Work()
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(flights.run("key", work)) for _ in range(5)]
        await settle()
        assert len(flights) == 1
        assert "key" in flights
        work.done.set_result("value")
    assert [waiter.result() for waiter in waiters] == ["value"] * 5
    assert work.begun == 1
    assert len(flights) == 0


async def test_who_comes_afterwards_starts_anew() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    count = 0

    async def work() -> int:
        nonlocal count
        count += 1
        return count

    assert [await flights.run("key", work) for _ in range(3)] == [1, 2, 3]


async def test_different_keys_do_not_wait_for_each_other() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    stuck, quick = Work(), Work()
    quick.done.set_result("quick")
    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(flights.run("a", stuck))
        await settle()
        assert await flights.run("b", quick) == "quick"
        stuck.done.set_result("late")
    assert waiter.result() == "late"


async def test_a_cancelled_waiter_leaves_the_others_undisturbed() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    work = Work()
    async with asyncio.TaskGroup() as group:
        # The first to come is no more than the others: its leaving ends nothing either.
        first, second = (group.create_task(flights.run("key", work)) for _ in range(2))
        await settle()
        first.cancel()
        await settle()
        assert first.cancelled()
        assert not second.done()
        work.done.set_result("value")
    assert second.result() == "value"
    assert work.cancelled == 0


async def test_the_last_waiters_leaving_cancels_the_work() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    work = Work()
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(flights.run("key", work)) for _ in range(2)]
        await settle()
        for waiter in waiters:
            waiter.cancel()
    assert len(flights) == 0
    await settle()
    assert work.cancelled == 1


async def test_who_comes_after_the_last_has_left_does_not_get_the_cancelled_work() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    abandoned, fresh = Work(), Work()
    async with asyncio.TaskGroup() as group:
        leaver = group.create_task(flights.run("key", abandoned))
        await settle()
        leaver.cancel()
        await asyncio.sleep(0)
        fresh.done.set_result("fresh")
        comer = group.create_task(flights.run("key", fresh))
    assert comer.result() == "fresh"


async def test_an_exception_reaches_every_waiter_and_is_not_kept() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    work = Work()

    async def expect() -> None:
        with pytest.raises(KeyError, match="gone"):
            await flights.run("key", work)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(expect())
        await settle()
        work.done.set_exception(KeyError("gone"))
    good = Work()
    good.done.set_result("value")
    assert await flights.run("key", good) == "value"


async def test_work_that_is_cancelled_from_within_is_an_error_that_waiters_can_see() -> None:
    flights: SingleFlight[str, str] = SingleFlight()

    async def cancelled() -> str:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled from within"):
        await flights.run("key", cancelled)


async def test_a_result_that_must_be_given_back_is_taken_once_per_waiter() -> None:
    taken: list[str] = []
    discarded: list[str] = []

    def take(value: str) -> str:
        taken.append(value)
        return value + "'"

    flights: SingleFlight[str, str] = SingleFlight(take=take, discard=discarded.append)
    work = Work()
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(flights.run("key", work)) for _ in range(3)]
        await settle()
        waiters[0].cancel()
        work.done.set_result("loan")
    assert [waiter.result() for waiter in waiters[1:]] == ["loan'", "loan'"]
    await settle()
    assert taken == ["loan"] * 2
    assert discarded == ["loan"]


async def test_a_result_that_nobody_waited_for_any_more_is_discarded() -> None:
    discarded: list[str] = []
    flights: SingleFlight[str, str] = SingleFlight(take=str, discard=discarded.append)

    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "loan"
        return "never"

    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(flights.run("key", stubborn))
        await settle()
        waiter.cancel()
    await settle()
    assert discarded == ["loan"]
