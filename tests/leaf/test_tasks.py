"""Tasks that somebody owns: kept alive, heard when they fail, ended together."""

import asyncio
import gc

from meshcache.tasks import TaskSet


class Errors(list[tuple[str, BaseException]]):
    def __call__(self, name: str, error: BaseException) -> None:
        self.append((name, error))


async def test_a_task_gives_its_result_and_is_forgotten() -> None:
    errors = Errors()
    tasks = TaskSet(errors)

    async def work() -> int:
        return 5

    assert await tasks.start(work(), name="work") == 5
    await asyncio.sleep(0)
    assert len(tasks) == 0
    assert errors == []


async def test_a_failing_task_is_told_by_name() -> None:
    errors = Errors()
    tasks = TaskSet(errors)

    async def fail() -> None:
        raise KeyError("x")

    tasks.start(fail(), name="failing")
    while len(tasks):
        await asyncio.sleep(0)
    [(name, error)] = errors
    assert name == "failing"
    assert isinstance(error, KeyError)


async def test_a_task_that_nobody_refers_to_lives_on() -> None:
    tasks = TaskSet(Errors())
    done = []

    async def wait() -> None:
        await asyncio.sleep(0.01)
        done.append(True)

    tasks.start(wait(), name="wait")
    gc.collect()
    while len(tasks):
        await asyncio.sleep(0.005)
    assert done == [True]


async def test_close_waits_until_each_task_has_ended() -> None:
    errors = Errors()
    tasks = TaskSet(errors)
    ended = []

    async def slow_to_leave(number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append(number)

    for number in range(3):
        tasks.start(slow_to_leave(number), name=str(number))
    await asyncio.sleep(0)
    await tasks.close()
    assert sorted(ended) == [0, 1, 2]
    assert len(tasks) == 0
    assert errors == []
    await tasks.close()
