"""A snapshot that no member holds any more is listed anew: once, and only for who needs it."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh


def lose_all_blocks(agent: Agent) -> None:
    agent.kill()
    for folder in (agent.cache / "blocks").iterdir():
        shutil.rmtree(folder)
    agent.start()


def test_looking_at_a_dataset_lists_no_origin_and_many_readers_have_it_listed_once(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"x" * 1000)
    (one,) = mesh.start("one")
    origin.create(one)
    lose_all_blocks(one)
    before = origin.cap.cap.counts.other_requests
    (row,) = one.json("dataset", "list")
    assert (row["phase"], row["cached"], row["files"]) == ("Bound", 0, 1)
    assert origin.cap.cap.counts.other_requests == before
    with ThreadPoolExecutor(6) as threads:
        outputs = list(threads.map(lambda _: one.run("cat", "data", "file").stdout, range(6)))
    assert outputs == ["x" * 1000] * 6
    assert origin.cap.cap.counts.other_requests == before + 1


def test_the_keys_that_were_skipped_are_named(mesh: Mesh, origin: Origin) -> None:
    origin.put("a", b"x")
    origin.put("a/b", b"x")
    (one,) = mesh.start("one")
    origin.create(one)
    lines = [json.loads(line) for line in one.log.read_text().splitlines() if line[:1] == "{"]
    assert [line["examples"] for line in lines if "examples" in line] == [["a"]]
    reason = "hidden by a directory of the same name"
    assert one.json("dataset", "skipped", "data") == [{"key": "a", "reason": reason}]
