"""Read a directory's files one after the other, as `cat` does, and compare their hashes.

Run as ``python -m benchmarks.read FOLDER MANIFEST``, with a JSON file of name -> [bytes, blake3].
The time is that of the reads and, unless ``--hash-after``, of the hashing between them; with it the
files are read a second time for their hashes, out of the kernel's page cache, untimed.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from blake3 import blake3

from benchmarks.progress import Progress
from meshcache.units import MIB


def _read(path: Path, buffer: memoryview, use: Callable[[memoryview], object]) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while count := os.readv(descriptor, [buffer]):
            use(buffer[:count])
    finally:
        os.close(descriptor)


def main() -> None:
    """Read, hash, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.read", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--hash-after", action="store_true")
    given = parser.parse_args()
    manifest = json.loads(given.manifest.read_text())
    buffer = memoryview(bytearray(MIB))
    digests = {name: blake3() for name in manifest}
    progress = Progress()

    def count(name: str, data: memoryview) -> None:
        if not given.hash_after:
            digests[name].update(data)
        progress.add(len(data))

    for name in manifest:
        _read(given.folder / name, buffer, partial(count, name))
    seconds = time.monotonic() - progress.start
    if given.hash_after:
        for name in manifest:
            _read(given.folder / name, buffer, digests[name].update)
    wrong = [name for name, (_, digest) in manifest.items() if digests[name].hexdigest() != digest]
    progress.end(seconds, wrong)


if __name__ == "__main__":
    main()
