"""Run a measuring process (`benchmarks.read`, `benchmarks.direct`) and hear its progress."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

import msgspec

from benchmarks.mesh import CommandFailed, guarded


class Measured(msgspec.Struct, frozen=True):
    """What a measuring process says at its end."""

    bytes: int
    seconds: float
    """Of the reading alone, without the start of the process."""
    wrong: list[str]
    """Files whose hash is not the right one."""


async def measure(
    module: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Measured:
    """Run ``python -m MODULE ARGUMENTS``; `progress` is told of the bytes read since last time.

    Raises:
        CommandFailed: it failed; with the last line of what it said.
    """
    process = await asyncio.create_subprocess_exec(
        *guarded(sys.executable, "-m", module, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    result: Measured | None = None
    done = 0
    try:
        async for line in process.stdout:
            said = json.loads(line)
            if "result" in said:
                result = msgspec.convert(said["result"], Measured)
                said["done"] = result.bytes
            progress(said["done"] - done)
            done = said["done"]
        errors = (await process.stderr.read()).decode(errors="replace").strip()
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or result is None:
        last = errors.splitlines()[-1] if errors else "it said nothing"
        raise CommandFailed(f"{module} ended with {process.returncode}: {last}")
    return result
