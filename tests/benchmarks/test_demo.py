"""The demo tells a wrong byte from a right one, and its table has what was measured."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.demo_table import Step, print_table
from benchmarks.measure import measure
from benchmarks.mesh import CommandFailed, run
from benchmarks.model import generate
from meshcache.units import MIB


def step(**changes: object) -> Step:
    fields = {
        "name": "cold",
        "seconds": 2.0,
        "bytes": 100 * MIB,
        "unique": 100 * MIB,
        "asked": 100 * MIB,
        "wrong": [],
    }
    return Step(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [[], ["--hash-after"]])
async def test_a_reader_names_the_files_that_are_wrong(tmp_path: Path, after: list[str]) -> None:
    manifest = generate(tmp_path / "model", 2 * MIB)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    arguments = [str(tmp_path / "model"), str(tmp_path / "manifest.json"), *after]
    seen: list[int] = []
    good = await measure("benchmarks.read", arguments, progress=seen.append)
    total = sum(size for size, _ in manifest.values())
    assert (good.bytes, good.wrong, sum(seen)) == (total, [], total)
    name = "model-00002-of-00004.safetensors"
    data = bytearray((tmp_path / "model" / name).read_bytes())
    data[-1] ^= 1
    (tmp_path / "model" / name).write_bytes(data)
    assert (await measure("benchmarks.read", arguments)).wrong == [name]
    (tmp_path / "model" / name).unlink()
    with pytest.raises(CommandFailed, match="No such file"):
        await measure("benchmarks.read", arguments)


async def test_a_command_that_fails_or_hangs_is_told() -> None:
    with pytest.raises(CommandFailed, match="ended with 3: no"):
        await run("sh", "-c", "echo no >&2; exit 3")
    with pytest.raises(CommandFailed, match="not done"):
        await run("sleep", "60", within=0.2)
    assert await run("echo", "yes") == "yes\n"


def test_a_step_is_right_when_each_reader_read_all_and_each_hash_was_right() -> None:
    assert step().right
    assert step(bytes=200 * MIB).right
    assert not step(bytes=150 * MIB).right
    assert not step(bytes=0).right
    assert not step(wrong=["f"]).right


def test_the_table_fits_a_terminal_and_has_the_figures() -> None:
    console = Console(width=80, file=io.StringIO())
    steps = [
        step(name="origin, no cache", seconds=64.0),
        step(name="cold, node-a", seconds=65.0),
        step(name="node-b + node-c at once", seconds=3.2, bytes=200 * MIB, asked=0),
        step(name="warm, node-a", seconds=0.64, asked=0, wrong=["f"]),
    ]
    print_table(console, steps, size=100 * MIB, rate=int(18.5 * MIB))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    for line in ("node-b + node-c at once", "62.5 MiB/s", "20.0x", "100.0x", "wrong: 1", "10.4x"):
        assert line in text
    assert "by all nodes: 1.00" in text
