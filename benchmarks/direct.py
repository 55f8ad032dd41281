"""Download objects from S3 with range GETs in parallel: how fast the origin is without a cache.

Run as ``python -m benchmarks.direct ENDPOINT BUCKET PREFIX MANIFEST``, keys in S3_ACCESS_KEY and
S3_SECRET_KEY. One file after the other, each in ranges of 4 MiB, sixteen at a time.
"""

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from blake3 import blake3

from benchmarks.progress import Progress
from meshcache.units import KIB, MIB

RANGE = 4 * MIB
PARALLEL = 16


async def _download(
    s3: Any, place: dict[str, str], size: int, turns: asyncio.Semaphore, progress: Progress
) -> bytearray:
    data = bytearray(size)

    async def one(start: int) -> None:
        async with turns:
            at, stop = start, min(start + RANGE, size)
            answer = await s3.get_object(**place, Range=f"bytes={start}-{stop - 1}")
            while chunk := await answer["Body"].read(256 * KIB):
                data[at : at + len(chunk)] = chunk
                at += len(chunk)
                progress.add(len(chunk))

    await asyncio.gather(*(one(start) for start in range(0, size, RANGE)))
    return data


async def _all(given: argparse.Namespace) -> None:
    manifest = json.loads(given.manifest.read_text())
    turns = asyncio.Semaphore(PARALLEL)
    async with get_session().create_client(
        "s3",
        endpoint_url=given.endpoint,
        region_name="us-east-1",
        aws_access_key_id=os.environ["S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["S3_SECRET_KEY"],
        config=AioConfig(
            s3={"addressing_style": "path"},
            max_pool_connections=PARALLEL,
            response_checksum_validation="when_required",
        ),
    ) as s3:
        wrong = []
        progress = Progress()
        for name, (size, digest) in manifest.items():
            place = {"Bucket": given.bucket, "Key": given.prefix + name}
            data = await _download(s3, place, size, turns, progress)
            if blake3(data, max_threads=blake3.AUTO).hexdigest() != digest:
                wrong.append(name)
        progress.end(time.monotonic() - progress.start, wrong)


def main() -> None:
    """Download, hash, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.direct", description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("bucket")
    parser.add_argument("prefix")
    parser.add_argument("manifest", type=Path)
    asyncio.run(_all(parser.parse_args()))


if __name__ == "__main__":
    main()
