"""Blocks ahead: reads of a file that go forward are followed, several at once."""

from collections import OrderedDict
from collections.abc import Hashable

from meshcache.errors import MeshcacheError
from meshcache.readahead import Readahead
from meshcache.reader import Reader
from meshcache.tasks import TaskSet
from meshcache.wanted import Wanted

MAX_FILES = 256
"""Files whose streams are remembered; the one touched longest ago is forgotten."""


class Prefetcher:
    """Asks the reader for the blocks that the streams it sees will want next."""

    def __init__(self, reader: Reader, *, window: int = 8) -> None:
        """`window` is how many blocks ahead of a stream are asked for at most."""
        self._reader = reader
        self._window = window
        self._files: OrderedDict[Hashable, Readahead] = OrderedDict()
        self._tasks = TaskSet(on_error=lambda name, error: None)
        self._under_way: set[Wanted] = set()

    def touch(self, wanted: Wanted) -> None:
        """Note that a reader asks for this block now, and ask for those that follow."""
        file = wanted.block.file
        streams = self._files.setdefault(file.id, Readahead(window=self._window))
        self._files.move_to_end(file.id)
        if len(self._files) > MAX_FILES:
            self._files.popitem(last=False)
        for index in streams.on_read(wanted.block.index):
            if index * wanted.block.block_size >= file.size:
                break
            ahead = Wanted(wanted.dataset, file.block(wanted.block.block_size, index))
            if ahead not in self._under_way:
                self._under_way.add(ahead)
                self._tasks.start(self._fetch(ahead), name=f"prefetch {ahead.block.id}")

    async def _fetch(self, wanted: Wanted) -> None:
        try:
            await self._reader.read_ahead(wanted)
        except MeshcacheError:
            pass  # the reader that really wants the block meets the error, and shows it
        finally:
            self._under_way.discard(wanted)

    async def close(self) -> None:
        """End what is under way."""
        await self._tasks.close()
