"""The program that reads: ``python -m benchmarks.datapath.jobs``, a `Job` as JSON on its input.

Each stream is a process, forked from one that has everything ready; they begin together, and the
time is from the first one's start to the last one's end. No word of its command line names the
folder that it reads, for by that the subjects' processes are known.
"""

import io
import json
import mmap
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import safetensors
import safetensors.numpy
from blake3 import blake3

from meshcache.units import MIB


class Job(msgspec.Struct, frozen=True):
    """What is to be done with a mounted tree."""

    kind: str
    """A name of `KINDS`."""
    root: str = ""
    files: list[str] = []
    """Relative to `root`."""
    streams: int = 1
    """Processes that work at the same time."""
    size: int = MIB
    """Bytes of one read."""
    seconds: float = 60.0
    """After so long no further read is begun; what was done counts."""
    seed: int = 1


class Done(msgspec.Struct):
    """What was done."""

    bytes: int = 0
    operations: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    """Seconds that the reading processes took, the kernel's work for them included."""
    whole: bool = True
    """All of it was done, not only what went into the time."""
    digest: int = 0
    """The sum of all files' digests, by the kind that looks at the bytes."""

    def goes_on(self, clock: "Clock") -> bool:
        """Whether there is time for another read; if not, remembers that not all was done."""
        self.whole = self.whole and not clock.over()
        return self.whole


class Clock:
    """Tells a stream when to stop."""

    def __init__(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds

    def over(self) -> bool:
        """Whether the time is used up."""
        return time.perf_counter() > self._end


# --- what is read: items, of which each stream gets its share -----------------------------------


def in_order(job: Job) -> list[Any]:
    """The files."""
    return list(job.files)


def shuffled(job: Job) -> list[Any]:
    """The files in random order."""
    return random.Random(job.seed).sample(job.files, len(job.files))


def parts_shuffled(job: Job) -> list[Any]:
    """(file, offset) of each part of `size` of each file in random order: none is read twice."""
    parts = [
        (name, offset)
        for name in job.files
        for offset in range(0, Path(name).stat().st_size - job.size + 1, job.size)
    ]
    random.Random(job.seed).shuffle(parts)
    return parts


# --- how it is read -----------------------------------------------------------------------------


def whole(items: list[Any], job: Job, done: Done, clock: Clock) -> None:
    """Files from their beginning to their end."""
    buffer = memoryview(bytearray(job.size))
    for name in items:
        file = os.open(name, os.O_RDONLY)
        while done.goes_on(clock) and (count := os.readv(file, [buffer])):
            done.bytes += count
        os.close(file)
        if not done.whole:
            return
        done.operations += 1


def scattered(items: list[Any], job: Job, done: Done, clock: Clock) -> None:
    """Parts of files, by pread(2)."""
    files = {name: os.open(name, os.O_RDONLY) for name in job.files}
    buffer = memoryview(bytearray(job.size))
    for name, offset in items:
        if not done.goes_on(clock):
            return
        done.bytes += os.preadv(files[name], [buffer], offset)
        done.operations += 1


def mapped(items: list[Any], job: Job, done: Done, clock: Clock) -> None:
    """Parts of files, out of mappings."""
    maps = {}
    for name in job.files:
        file = os.open(name, os.O_RDONLY)
        maps[name] = memoryview(mmap.mmap(file, 0, mmap.MAP_SHARED, mmap.PROT_READ))
        os.close(file)
    buffer = memoryview(bytearray(job.size))
    for name, offset in items:
        if not done.goes_on(clock):
            return
        buffer[:] = maps[name][offset : offset + job.size]
        done.bytes += job.size
        done.operations += 1


def first_byte(items: list[Any], job: Job, done: Done, clock: Clock) -> None:
    """Opens each file and reads its first byte."""
    for name in items:
        file = os.open(name, os.O_RDONLY)
        done.bytes += len(os.pread(file, 1, 0))
        done.operations += 1
        os.close(file)


def stats(items: list[Any], job: Job, done: Done, clock: Clock) -> None:
    """stat(2) of each file."""
    for name in items:
        if not done.goes_on(clock):
            return
        os.stat(name)  # noqa: PTH116 - what is measured
        done.operations += 1


def open_model(items: list[Any], job: Job, done: Done, clock: Clock) -> None:
    """Opens files with safetensors, and asks for each tensor's shape."""
    for name in items:
        with safetensors.safe_open(name, framework="np") as file:
            for key in file.keys():  # noqa: SIM118 - it is no mapping
                file.get_slice(key).get_shape()
        done.operations += 1


def load_model(items: list[Any], job: Job, done: Done, clock: Clock) -> None:
    """Loads all tensors with safetensors, for numpy."""
    for name in items:
        if not done.goes_on(clock):
            return
        done.bytes += sum(tensor.nbytes for tensor in safetensors.numpy.load_file(name).values())
        done.operations += 1


def verify(items: list[Any], job: Job, done: Done, clock: Clock) -> None:
    """All bytes, for their digests."""
    buffer = memoryview(bytearray(job.size))
    for name in items:
        digest = blake3(name.encode())
        file = os.open(name, os.O_RDONLY)
        while done.goes_on(clock) and (count := os.readv(file, [buffer])):
            digest.update(buffer[:count])
            done.bytes += count
        os.close(file)
        if not done.whole:
            return
        done.operations += 1
        done.digest += int.from_bytes(digest.digest(), "big")


def _command(*words: str) -> "Work":
    def run(_items: list[Any], _job: Job, done: Done, clock: Clock) -> None:
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            assert isinstance(process.stdout, io.BufferedReader)
            while chunk := process.stdout.read1(MIB):
                done.operations += chunk.count(b"\n")
                if not done.goes_on(clock):
                    process.kill()
                    return

    return run


Work = Callable[[list[Any], Job, Done, Clock], None]


class Kind(NamedTuple):
    """A way to read."""

    items: Callable[[Job], list[Any]]
    work: Work
    """Works through the share of one stream."""


KINDS = {
    "sequential": Kind(in_order, whole),
    "random": Kind(parts_shuffled, scattered),
    "mapped": Kind(parts_shuffled, mapped),
    "first-byte": Kind(in_order, first_byte),
    "small-files": Kind(shuffled, whole),
    "stats": Kind(shuffled, stats),
    "open-model": Kind(in_order, open_model),
    "load-model": Kind(in_order, load_model),
    "find": Kind(in_order, _command("find", ".", "-type", "f")),
    "ls": Kind(in_order, _command("ls", "-lR", ".")),
    "verify": Kind(in_order, verify),
}


# --- the streams --------------------------------------------------------------------------------


def run(job: Job) -> Done:
    """Do it, in the current directory.

    Raises:
        OSError: a stream failed.
    """
    items = KINDS[job.kind].items(job)
    streams = [_fork(job, items[number :: job.streams]) for number in range(job.streams)]
    for stream in streams:
        os.write(stream.start, b"s")
    parts = [stream.end() for stream in streams]
    for part in parts:
        if "error" in part:
            raise OSError(part["error"])
    took = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Done(
        bytes=sum(part["bytes"] for part in parts),
        operations=sum(part["operations"] for part in parts),
        seconds=max(part["end"] for part in parts) - min(part["began"] for part in parts),
        cpu=took.ru_utime + took.ru_stime,
        whole=all(part["whole"] for part in parts),
        digest=sum(part["digest"] for part in parts),
    )


class _Forked(NamedTuple):
    pid: int
    start: int
    """A byte written here begins it."""
    result: int

    def end(self) -> dict[str, Any]:
        """What it says at its end."""
        os.close(self.start)
        with os.fdopen(self.result, "rb") as file:
            said = file.read()
        os.waitpid(self.pid, 0)
        return json.loads(said) if said else {"error": "a reader was killed"}


def _fork(job: Job, share: list[Any]) -> _Forked:
    waits, start = os.pipe()
    result, tells = os.pipe()
    if pid := os.fork():
        os.close(waits)
        os.close(tells)
        return _Forked(pid, start, result)
    said: dict[str, Any]
    try:
        os.read(waits, 1)
        done, began = Done(), time.perf_counter()
        KINDS[job.kind].work(share, job, done, Clock(job.seconds))
        said = {**msgspec.structs.asdict(done), "began": began, "end": time.perf_counter()}
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    os.write(tells, json.dumps(said).encode())
    os._exit(0)


def main() -> int:
    """Read the job, do it, say what was done."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    os.chdir(job.root)
    try:
        done = run(job)
    except OSError as error:
        print(f"{job.kind}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(msgspec.structs.asdict(done)))  # msgspec refuses large integers
    return 0


if __name__ == "__main__":
    sys.exit(main())
