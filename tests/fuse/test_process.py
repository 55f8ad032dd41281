"""A worker's process, as its keeper has it stand still."""

import os
import subprocess
import sys

from meshcache.fuse.process import WorkerProcess
from tests.support.wait import wait_until

COUNT = """
import mmap, sys
count = mmap.mmap(int(sys.argv[1]), 8)
number = 0
while True:
    number += 1
    count[:8] = number.to_bytes(8, "little")
"""


def test_it_does_nothing_while_it_is_to_stand_still_and_goes_on_after_that() -> None:
    counter = os.memfd_create("count")
    os.truncate(counter, 8)

    def count() -> int:
        return int.from_bytes(os.pread(counter, 8, 0), "little")

    command = [sys.executable, "-I", "-S", "-c", COUNT, str(counter)]
    with subprocess.Popen(command, pass_fds=[counter]) as process:
        worker = WorkerProcess()
        try:
            worker.born(process.pid, os.pidfd_open(process.pid), "")
            for _ in range(20):
                before = count()
                wait_until(lambda before=before: count() > before)  # type: ignore[misc]
                with worker.standing_still():
                    seen = {count() for _ in range(1000)}
                assert len(seen) == 1
        finally:
            process.kill()
            worker.close()
            os.close(counter)
