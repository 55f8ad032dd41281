"""Tasks that somebody owns.

The event loop keeps only weak references to tasks, and a task that nobody awaits swallows its
exception. A `TaskSet` keeps its tasks, hands an unexpected exception to one function, and ends
them all together. The linter bans `asyncio.create_task` everywhere else.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class TaskSet:
    """Background tasks of one owner, ended by `close`."""

    def __init__(self, on_error: Callable[[str, BaseException], None]) -> None:
        """Make an empty set; `on_error` gets (task name, exception) for each task that fails."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_error = on_error

    def start(self, work: Coroutine[Any, Any, T], *, name: str) -> "asyncio.Task[T]":
        """Run `work` until it ends or the set is closed."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(task.get_name(), error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel every task and wait until each has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
