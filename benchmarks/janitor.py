"""Removes what a run has left when it was killed: ``python -m benchmarks.janitor FOLDER...``.

A run starts one at its beginning and holds the other end of its standard input. When that ends,
however the run did, the janitor kills every process whose command line names one of the folders
(their names are random, so they are the run's), unmounts all below them, and removes them.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from meshcache.fuse.mountinfo import mounts

_WITHIN = 10.0


def processes_naming(folder: Path) -> set[int]:
    """Processes whose command line has the folder, or something below it, in a word; not this."""
    found = set()
    for place in Path("/proc").iterdir():
        if not place.name.isdigit() or int(place.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in (place / "cmdline").read_bytes():
                found.add(int(place.name))
    return found


def clean(folders: Sequence[Path]) -> None:
    """Kill, unmount, remove. What is not there is no error."""
    deadline = time.monotonic() + _WITHIN
    for folder in folders:
        while (left := processes_naming(folder)) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for mounted in reversed(mounts()):
            if mounted.path.is_relative_to(folder):
                subprocess.run(["umount", "-l", mounted.path], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def watched(*folders: Path) -> Iterator[None]:
    """Have the folders cleaned at the end, even if this process is killed."""
    janitor = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.janitor"],
        stdin=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert janitor.stdin is not None
    janitor.stdin.write("".join(f"{folder}\n" for folder in folders))
    janitor.stdin.flush()
    try:
        yield
    finally:
        janitor.stdin.close()
        janitor.wait(4 * _WITHIN)


def main() -> None:
    """Read the folders, and clean them when the input ends."""
    # By the input and not by words: else this process would be one that names them.
    clean([Path(line.strip()) for line in sys.stdin if line.strip()])


if __name__ == "__main__":
    main()
