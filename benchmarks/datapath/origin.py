"""Where all subjects read from: SeaweedFS, and before it a proxy that caps its bytes per second."""

import asyncio
import subprocess
import sys
from pathlib import Path

from benchmarks.datapath.trees import Tree
from benchmarks.mesh import guarded, run
from tests.support.seaweed import Seaweed

WEED = str(Path(sys.executable).with_name("weed"))
RCLONE = str(Path(sys.executable).with_name("rclone"))


def rclone_remote(server: Seaweed, bucket: str, endpoint: str = "") -> str:
    """A bucket in rclone's words; by another endpoint than the server's, if one is given."""
    return (
        f":s3,provider=SeaweedFS,endpoint='{endpoint or server.endpoint}',"
        f"access_key_id={server.access_key},secret_access_key={server.secret_key}:{bucket}"
    )


class Origin:
    """The server, its data in a folder, and the proxy."""

    def __init__(self, folder: Path) -> None:
        """Prepare; `folder` is in memory, so that no disk is measured."""
        self.server = Seaweed(folder / "origin")
        self.folder = folder
        self.capped = ""
        """Endpoint of the proxy; known once `cap` was called."""
        self._proxy: asyncio.subprocess.Process | None = None

    @property
    def endpoint(self) -> str:
        """``http://host:port`` of its S3 API."""
        return self.server.endpoint

    def start(self) -> None:
        """Start the server. RuntimeError if it does not get up."""
        self.server.start()

    async def cap(self, rate: int) -> None:
        """Start the proxy, which passes `rate` bytes of objects a second."""
        self._proxy = await asyncio.create_subprocess_exec(
            *guarded(sys.executable, "-m", "benchmarks.cap", "--upstream", self.endpoint),
            *("--rate", str(rate), "--listen", "127.0.0.1:0"),
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._proxy.stdout is not None
        self.capped = (await self._proxy.stdout.readline()).decode().split()[0]

    async def put(self, tree: Tree, source: Path) -> None:
        """Make a bucket of the tree's name with all files of a folder."""
        await asyncio.to_thread(self.server.make_bucket, tree.name)
        await run(
            *(RCLONE, "copy", str(source), self.remote(tree.name), "--config", "/dev/null"),
            *("--transfers", "16", "--no-check-dest", "--no-traverse", "--s3-no-head"),
            *("--s3-no-check-bucket", "--s3-disable-checksum", "--s3-chunk-size", "16M"),
            within=600,
        )

    def remote(self, bucket: str, endpoint: str = "") -> str:
        """A bucket in rclone's words."""
        return rclone_remote(self.server, bucket, endpoint)

    async def remove(self, bucket: str) -> None:
        """Forget a bucket and give its memory back."""
        await asyncio.to_thread(self.server.delete_bucket, bucket)

    async def stop(self) -> None:
        """End both. Idempotent."""
        proxy, self._proxy = self._proxy, None
        if proxy is not None and proxy.returncode is None:
            proxy.kill()
            await proxy.wait()
        await asyncio.to_thread(self.server.stop)
