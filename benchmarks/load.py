"""Readers of all kinds on a mount, in processes of their own, that compare every byte.

``python -I benchmarks/load.py KIND MOUNT TRUTH SEED`` opens what it will read below MOUNT, says
``ready``, and reads until its standard input closes, comparing with the same files below TRUTH.
Then it writes a line of JSON: operations, errors, wrong bytes, and each operation that took longer
than `SLOW`, by when it began.
"""

import contextlib
import errno
import json
import mmap
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

SLOW = 0.02
"""Seconds."""

PAGE = 4096
_LONGEST = 512 << 10
"""Bytes of one read."""


class Reader:
    """One process' reading, counted."""

    def __init__(self, mount: Path, truth: Path, seed: int) -> None:
        self.mount, self.truth = mount, truth
        self.random = random.Random(seed)
        below = sorted(truth.rglob("*"))
        self.files = [path.relative_to(truth) for path in below if path.is_file()]
        self.folders = [Path(), *(path.relative_to(truth) for path in below if path.is_dir())]
        self.operations = self.wrong = 0
        self.errors: list[str] = []
        self.slow: list[tuple[float, float]] = []

    def run(self, kind: str) -> None:
        """Read in one way until the standard input closes."""
        operation: Callable[[], bool] = getattr(self, f"prepare_{kind}")()
        os.set_blocking(0, False)
        print("ready", flush=True)
        while not _closed():
            began = time.time()
            try:
                right = operation()
            except OSError as error:
                name = errno.errorcode.get(error.errno or 0, "?")
                self.errors.append(
                    f"{name} at {began:.3f} after {time.time() - began:.3f}: {error}"
                )
            else:
                self.wrong += not right
            took = time.time() - began
            self.operations += 1
            if took > SLOW:
                self.slow.append((began, took))

    def true(self, name: Path, start: int, length: int) -> bytes:
        with (self.truth / name).open("rb") as file:
            return os.pread(file.fileno(), length, start)

    def somewhere(self, name: Path) -> tuple[int, int]:
        size = (self.truth / name).stat().st_size
        start = self.random.randrange(size) // PAGE * PAGE
        return start, min(self.random.randrange(1, _LONGEST // PAGE) * PAGE, size - start)

    # --- the ways ---------------------------------------------------------------------------

    def prepare_buffered(self) -> Callable[[], bool]:
        """Through the page cache, which forgets first what is read."""

        def read() -> bool:
            name = self.random.choice(self.files)
            start, length = self.somewhere(name)
            with (self.mount / name).open("rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), start, length, os.POSIX_FADV_DONTNEED)
                return os.pread(file.fileno(), length, start) == self.true(name, start, length)

        return read

    def prepare_held(self) -> Callable[[], bool]:
        """The same, by descriptors that stay open all the time."""
        held = {name: os.open(self.mount / name, os.O_RDONLY) for name in self.files[:64]}

        def read() -> bool:
            name = self.random.choice(list(held))
            start, length = self.somewhere(name)
            os.posix_fadvise(held[name], start, length, os.POSIX_FADV_DONTNEED)
            return os.pread(held[name], length, start) == self.true(name, start, length)

        return read

    def prepare_direct(self) -> Callable[[], bool]:
        """Past the page cache."""
        held = {
            name: os.open(self.mount / name, os.O_RDONLY | os.O_DIRECT) for name in self.files[:64]
        }
        buffer = mmap.mmap(-1, _LONGEST)

        def read() -> bool:
            name = self.random.choice(list(held))
            start, length = self.somewhere(name)
            count = os.preadv(held[name], [memoryview(buffer)[: -(-length // PAGE) * PAGE]], start)
            return buffer[:count] == self.true(name, start, length)

        return read

    def prepare_mmap(self) -> Callable[[], bool]:
        """By mappings that stay all the time."""
        held, maps = {}, {}
        for name in self.files[:64]:
            held[name] = os.open(self.mount / name, os.O_RDONLY)
            maps[name] = mmap.mmap(held[name], 0, mmap.MAP_SHARED, mmap.PROT_READ)

        def read() -> bool:
            name = self.random.choice(list(maps))
            start, length = self.somewhere(name)
            maps[name].madvise(mmap.MADV_DONTNEED)
            os.posix_fadvise(held[name], 0, 0, os.POSIX_FADV_DONTNEED)
            return maps[name][start : start + length] == self.true(name, start, length)

        return read

    def prepare_names(self) -> Callable[[], bool]:
        """Listings, and names that are there or not."""
        expected = {
            folder: sorted(path.name for path in (self.truth / folder).iterdir())
            for folder in self.folders
        }

        def look() -> bool:
            match self.random.randrange(4):
                case 0:
                    folder = self.random.choice(self.folders)
                    return sorted(os.listdir(self.mount / folder)) == expected[folder]  # noqa: PTH208
                case 1:
                    name = self.random.choice(self.files)
                    return os.stat(self.mount / name).st_size == os.stat(self.truth / name).st_size  # noqa: PTH116
                case 2:
                    name = self.random.choice(self.files)
                    with (self.mount / name).open("rb", buffering=0):
                        return True
            folder = self.random.choice(self.folders)
            try:
                os.stat(self.mount / folder / f"absent-{self.random.getrandbits(64):x}")  # noqa: PTH116
            except FileNotFoundError:
                return True
            return False

        return look


KINDS = tuple(name.removeprefix("prepare_") for name in vars(Reader) if name.startswith("prepare_"))


def _closed() -> bool:
    with contextlib.suppress(BlockingIOError):
        return os.read(0, 1) == b""
    return False


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write what is true, to be compared with; gives the folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


class Report(NamedTuple):
    """What all readers saw."""

    operations: int
    errors: list[str]
    wrong: int
    slow: list[tuple[float, float]]
    """(when it began, seconds it took)."""

    def pauses(self, moments: Sequence[float]) -> list[float]:
        """For each of these moments the longest operation that was under way, in seconds; `SLOW`
        where none took that long."""
        return [
            max((took for began, took in self.slow if began <= at < began + took), default=SLOW)
            for at in moments
        ]


class Load:
    """Readers of all kinds, running. A context manager: they end with it, by force if need be."""

    def __init__(self, mount: Path, truth: Path, seed: int, kinds: tuple[str, ...] = KINDS) -> None:
        command = [sys.executable, "-I", __file__]
        self._readers = [
            subprocess.Popen(
                [*command, kind, str(mount), str(truth), str(seed + number)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number, kind in enumerate(kinds)
        ]
        self._kinds = kinds
        for reader in self._readers:
            assert reader.stdout is not None
            reader.stdout.readline()  # nothing, if it has died: `end` tells

    def __enter__(self) -> Self:
        return self

    def end(self, within: float = 30.0) -> Report:
        """Have them end; gives what they saw. A reader that died, or does not end, is an error."""
        operations, wrong = 0, 0
        errors: list[str] = []
        slow: list[tuple[float, float]] = []
        for reader in self._readers:
            assert reader.stdin is not None
            reader.stdin.close()
            reader.stdin = None
        for kind, reader in zip(self._kinds, self._readers, strict=True):
            try:
                output, said = reader.communicate(timeout=within)
            except subprocess.TimeoutExpired:
                errors.append(f"{kind}: does not end")
                continue
            if reader.returncode:
                errors.append(f"{kind}: ended with {reader.returncode}: {said.strip()[-500:]}")
                continue
            seen = json.loads(output)
            operations += seen["operations"]
            wrong += seen["wrong"]
            errors += [f"{kind}: {error}" for error in seen["errors"]]
            slow += [(began, took) for began, took in seen["slow"]]
        return Report(operations, errors, wrong, slow)

    def __exit__(self, *_: object) -> None:
        for reader in self._readers:
            if reader.poll() is None:
                reader.kill()
            for pipe in (reader.stdin, reader.stdout, reader.stderr):
                if pipe is not None:
                    pipe.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                reader.wait(5)


def main() -> None:
    kind, mount, truth, seed = sys.argv[1:]
    reader = Reader(Path(mount), Path(truth), int(seed))
    reader.run(kind)
    print(
        json.dumps(
            {
                "operations": reader.operations,
                "errors": reader.errors,
                "wrong": reader.wrong,
                "slow": reader.slow,
            }
        )
    )


if __name__ == "__main__":
    main()
