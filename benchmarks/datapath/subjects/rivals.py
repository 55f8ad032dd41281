"""Mounts of other makers. Each is told where to cache, how much, and that no data change."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.datapath.origin import RCLONE, WEED
from benchmarks.datapath.subjects.base import Program, first_line
from benchmarks.mesh import run
from meshcache.units import MIB

JUICEFS = str(Path(sys.executable).with_name("juicefs"))
S3FS = "s3fs"


class JuiceFS(Program):
    """A JuiceFS volume: its own layout in a bucket of its own, the metadata in badger here."""

    name = "juicefs"
    settings = "metadata in a local badger, --cache-dir in tmpfs; all else as it is"
    flags: Sequence[str] = ()

    @classmethod
    async def version(cls) -> str:
        """As it names itself."""
        return (await first_line(JUICEFS, "version")).removeprefix("juicefs version ")

    @property
    def bucket(self) -> str:
        """Of the volume of this tree, which all its mounts share."""
        return f"juicefs-{self.tree.name}"

    async def prepare(self) -> None:
        """Write the tree into the volume, once for a tree; then have a copy of the metadata."""
        written = self.origin.folder / self.bucket
        if not written.exists():
            server = self.origin.server
            server.make_bucket(self.bucket)
            meta = f"badger://{written}"
            await run(
                *(JUICEFS, "format", meta, "bench", "--storage", "s3", "--trash-days", "0"),
                *("--bucket", f"{server.endpoint}/{self.bucket}"),
                *("--access-key", server.access_key, "--secret-key", server.secret_key),
            )
            await run(
                *("env", f"BENCH={meta}", JUICEFS, "sync", "--quiet", "--threads", "16"),
                *(f"{self.source}/", "jfs://BENCH/"),
                within=600,
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(written, self.folder / "meta")

    def command(self, endpoint: str) -> Sequence[str]:
        """The mount."""
        return (
            *(JUICEFS, "mount", f"badger://{self.folder / 'meta'}", str(self.root)),
            *("--bucket", f"{endpoint}/{self.bucket}", "--cache-dir", str(self.store)),
            *("--cache-size", str(self.room // MIB), "--free-space-ratio", "0.01"),
            *("--no-usage-report", "--no-bgjob", "--backup-meta", "0", "--read-only"),
            *("--metrics", "127.0.0.1:0"),
            *self.flags,
        )


class TunedJuiceFS(JuiceFS):
    """The same, with what its documentation offers for data that only is read."""

    name = "juicefs tuned"
    settings = (
        "also --max-fuse-io 1M, --buffer-size 1024, metadata cached for an hour "
        "(--attr-cache, --entry-cache, --dir-entry-cache, --open-cache, --readdir-cache)"
    )
    flags = (
        *("--max-fuse-io", "1M", "--buffer-size", "1024", "--readdir-cache"),
        *("--attr-cache", "3600", "--entry-cache", "3600", "--dir-entry-cache", "3600"),
        *("--open-cache", "3600"),
    )


class Rclone(Program):
    """rclone's mount with its file cache."""

    name = "rclone"
    settings = "--vfs-cache-mode full, cache in tmpfs, --dir-cache-time and --attr-timeout 1h"

    @classmethod
    async def version(cls) -> str:
        """As it names itself."""
        return (await first_line(RCLONE, "version")).removeprefix("rclone ")

    def command(self, endpoint: str) -> Sequence[str]:
        """The mount."""
        remote = self.origin.remote(self.tree.name, endpoint)
        return (
            *(RCLONE, "mount", remote, str(self.root), "--config", "/dev/null", "--read-only"),
            *("--vfs-cache-mode", "full", "--cache-dir", str(self.store)),
            *("--vfs-cache-max-size", f"{self.room // MIB}M", "--vfs-cache-max-age", "24h"),
            *("--dir-cache-time", "1h", "--attr-timeout", "1h", "--no-modtime"),
        )


class WeedMount(Program):
    """SeaweedFS' own mount, which reads its volumes without S3."""

    name = "weed mount"
    settings = "-cacheDir in tmpfs, -cacheCapacityMB as large as the others', -cacheMetaTtlSec 3600"
    through_s3 = False

    @classmethod
    async def version(cls) -> str:
        """As it names itself."""
        return " ".join((await first_line(WEED, "version")).split()[2:4])

    def command(self, endpoint: str) -> Sequence[str]:
        """The mount."""
        return (
            *(WEED, f"-logdir={self.folder}", "mount", f"-filer={self.origin.server.filer}"),
            *(f"-dir={self.root}", f"-filer.path=/buckets/{self.tree.name}", "-readOnly"),
            *(f"-cacheDir={self.store}", f"-cacheCapacityMB={self.room // MIB}"),
            *("-cacheMetaTtlSec=3600", "-dirAutoCreate=false"),
        )


class S3fs(Program):
    """s3fs with its cache of files."""

    name = "s3fs"
    settings = (
        "use_cache in tmpfs, parallel_count=16, stat cache of 200,000 entries for an hour, "
        "enable_noobj_cache"
    )

    @classmethod
    async def version(cls) -> str:
        """As it names itself."""
        return (await first_line(S3FS, "--version")).rpartition("System V")[2].split()[0]

    def command(self, endpoint: str) -> Sequence[str]:
        """The mount."""
        options = (
            f"url={endpoint},use_path_request_style,ro,use_cache={self.store},parallel_count=16,"
            "max_stat_cache_size=200000,stat_cache_expire=3600,enable_noobj_cache,"
            "ensure_diskfree=64,umask=022"
        )
        return (S3FS, self.tree.name, str(self.root), "-f", "-o", options)

    def environment(self) -> dict[str, str]:
        """The keys; on the command line all could read them."""
        server = self.origin.server
        return {
            **os.environ,
            "AWSACCESSKEYID": server.access_key,
            "AWSSECRETACCESSKEY": server.secret_key,
        }
