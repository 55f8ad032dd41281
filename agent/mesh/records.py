"""The replicated records, kept in the cache folder: a mesh that ended remembers its datasets.

Entries keep their clocks, so a member that comes back with old records changes nothing that was
written or deleted in the mesh meanwhile.
"""

import asyncio
import os
from collections.abc import Collection
from pathlib import Path

import structlog

from meshcache.gossip import Event, Gossip, GossipError, MapChanged
from meshcache.tasks import TaskSet

log = structlog.get_logger()


class Records:
    """Loads the map at the start, and saves it after each change."""

    def __init__(
        self, gossip: Gossip, path: Path, tasks: TaskSet, *, fleeting: Collection[str] = ()
    ) -> None:
        """Load and save nothing yet.

        Args:
            path: the file; it is written whole, beside itself, and renamed.
            fleeting: namespaces whose changes alone are no reason to save.
        """
        self._fleeting = fleeting
        self._gossip = gossip
        self._path = path
        self._tasks = tasks
        self._saving = False
        self._changed = False

    def load(self) -> None:
        """Take in what the file has; one that cannot be read is left alone, and said."""
        try:
            self._gossip.map.load(self._path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, GossipError) as error:
            log.warning("the saved records cannot be read", file=str(self._path), error=str(error))

    def on_event(self, event: Event) -> None:
        """Save soon, if it was the map that changed."""
        if isinstance(event, MapChanged) and event.namespace not in self._fleeting:
            self._changed = True
            if not self._saving:
                self._saving = True
                self._tasks.start(self._save(), name="save records")

    async def _save(self) -> None:
        # One save at a time; what changes meanwhile is saved by the next turn.
        try:
            while self._changed:
                self._changed = False
                await asyncio.to_thread(_replace, self._path, self._gossip.map.dump())
        except OSError as error:
            log.warning("records not saved", file=str(self._path), error=str(error))
        finally:
            self._saving = False


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
