"""`meshcache bench` reads what the dataset has, counts it, and says where it came from."""

import json
from pathlib import Path
from typing import Any

import pytest

from meshcache.agent.bench import choice, passes
from meshcache.agent.bench.choice import File, choose
from meshcache.errors import InvalidInput
from meshcache.units import GIB, MIB
from tests.support.commands import Run
from tests.support.fake_agent import FakeAgent

TREE: dict[str, list[dict[str, Any]]] = {
    "/": [
        {"name": "config", "type": "file", "size": 100},
        {"name": "empty", "type": "file", "size": 0},
        {"name": "images", "type": "dir", "size": 0},
        {"name": "one.safetensors", "type": "file", "size": 2 * GIB},
    ],
    "images": [
        {"name": "1.jpg", "type": "file", "size": MIB},
        {"name": "2.jpg", "type": "file", "size": 1},
        {"name": "large.tar", "type": "file", "size": 3 * GIB},
    ],
}


async def entries(place: str) -> list[dict[str, Any]]:
    return TREE[place]


async def test_the_largest_file_and_the_first_small_ones_are_chosen() -> None:
    chosen = await choose(entries, "/", 3)
    assert chosen.large == File("images/large.tar", 3 * GIB)
    assert chosen.small == [File("config", 100), File("images/1.jpg", MIB), File("images/2.jpg", 1)]
    assert (await choose(entries, "/images/", 1)).small == [File("images/1.jpg", MIB)]
    # With enough of both, no further directory is asked for.
    assert (await choose(entries, "/", 1)).large == File("one.safetensors", 2 * GIB)


async def test_a_dataset_without_bytes_is_told() -> None:
    async def nothing(_: str) -> list[dict[str, Any]]:
        return [{"name": "empty", "type": "file", "size": 0}]

    with pytest.raises(InvalidInput, match="no file to read below '/x'"):
        await choose(nothing, "/x", 3)


async def test_not_all_directories_of_a_deep_tree_are_asked_for() -> None:
    asked = 0

    async def deep(_: str) -> list[dict[str, Any]]:
        nonlocal asked
        asked += 1
        return [{"name": "d", "type": "dir", "size": 0}, {"name": "f", "type": "file", "size": 1}]

    await choose(deep, "/", 10**6)
    assert asked == choice.MOST_DIRECTORIES


class Source:
    """A way to read that says at once what it was asked for."""

    name = "fake"

    def __init__(self) -> None:
        self.parts: list[passes.Part] = []

    async def read(self, part: passes.Part) -> int:
        self.parts.append(part)
        return part.stop - part.start

    async def status(self) -> dict[str, int]:
        count = sum(part.stop - part.start for part in self.parts)
        return {"store": 7 + count // 4, "origin": count - count // 4, "peer": 5}


async def test_a_pass_reads_each_byte_once_and_counts_by_source() -> None:
    source, files = Source(), [File("a", 40 * MIB), File("b", 8)]
    done = await passes.run("large file", "first", source, files, 3, source.status)
    assert done.bytes == 40 * MIB + 8
    assert sorted(source.parts) == sorted(passes.parts_of(files))
    assert done.sources == {"store": 10 * MIB + 2, "origin": 30 * MIB + 6, "peer": 0}
    assert done.by_source == "origin 75%, store 25%"
    assert done._replace(sources={}).by_source == "-"


async def test_a_mount_is_read_and_looked_at(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_bytes(bytes(3 * MIB + 5))
    files, reader = [File("d/f", 3 * MIB + 5)], passes.MountReader(tmp_path, 2)
    assert [await reader.read(part) for part in passes.parts_of(files)] == [3 * MIB + 5]
    await reader.look(files)


def test_the_table_has_a_line_for_each_pass(agent: FakeAgent, run: Run) -> None:
    agent.on("GET", "/v1/datasets/models/entries/", [{"name": "f", "type": "file", "size": 4}])
    agent.on("GET", "/v1/datasets/models/files/f", b"data")
    agent.on("GET", "/v1/mounts", [])
    reads = [{"store": 0, "peer": 0, "origin": count} for count in (0, 4)]
    after = {"store": 4, "peer": 0, "origin": 4}
    agent.on("GET", "/v1/status", *({"reads": each} for each in (*reads, reads[1], after)))
    table = run("bench", "models")
    assert table.code == 0, table.err
    header, first, again = table.out.splitlines()
    assert header.split() == ["ITEM", "PASS", "VALUE", "COST", "FROM"]
    assert first.startswith("small files   agent, first   ")
    assert first.endswith("origin 100%")
    assert again.endswith("store 100%")
    agent.on("GET", "/v1/status", {"reads": after})
    rows = json.loads(run("bench", "models", "-o", "json").out)
    assert [row["bytes"] for row in rows] == [4, 4]


def test_a_place_without_a_mount_is_told(agent: FakeAgent, run: Run, tmp_path: Path) -> None:
    agent.on("GET", "/v1/datasets/models/entries/", [{"name": "f", "type": "file", "size": 4}])
    told = run("bench", "models", "--mount", str(tmp_path))
    assert told.code == 2
    assert f"nothing is mounted at {tmp_path}" in told.err
