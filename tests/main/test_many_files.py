"""Many files: listed whole or not at all, and mounted from the mesh."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.bucket import NAME, Bucket, Numbered
from tests.main.conftest import Origin
from tests.support.agents import Mesh
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse


@pytest.fixture
def made_up() -> Iterator[Bucket]:
    """A bucket of 20,000 files, served by a thread of its own: these tests block on processes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bucket")
    thread.start()
    bucket = Bucket(Numbered(20_000, per_folder=500), size=1000)
    asyncio.run_coroutine_threadsafe(bucket.start(), loop).result(30)
    yield bucket
    asyncio.run_coroutine_threadsafe(bucket.close(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def names(mount: Path) -> int:
    script = 'find "$1" -type f | wc -l'
    counted = subprocess.check_output(["timeout", "60", "sh", "-c", script, "sh", str(mount)])
    return int(counted)


def test_a_listing_that_breaks_off_leaves_the_head_and_the_next_one_shows_what_changed(
    mesh: Mesh, made_up: Bucket
) -> None:
    one, two = mesh.start("one", "two")
    flags = ("--option", f"endpoint={made_up.url}", "--option", "anonymous=true")
    one.run("dataset", "create", "data", f"s3://{NAME}", *flags)
    wait_until(lambda: two.lists("data"))
    mount = mesh.mount(two, "data")
    assert names(mount) == 20_000
    key = made_up.keys[12_345]
    made_up.versions[key] = 1
    made_up.removed.add(made_up.keys[7])
    pages = made_up.counts["page"]
    made_up.fail_from = pages + 9
    failed = one.run("dataset", "refresh", "data", check=False)
    assert failed.returncode == 1
    assert "InternalError" in failed.stderr
    assert made_up.counts["page"] > pages + 8
    assert len(one.json("dataset", "versions", "data")) == 1
    assert names(mount) == 20_000
    made_up.fail_from = None
    two.run("dataset", "refresh", "data")
    assert len(one.json("dataset", "versions", "data")) == 2
    wait_until(lambda: names(mount) == 19_999)
    read = subprocess.check_output(["timeout", "20", "cat", str(mount / key)])
    assert read == made_up.data(key, 0, 1000)


@pytest.mark.slow
@pytest.mark.timeout(600)  # most of it makes the files
def test_twenty_thousand_files_of_a_real_server_are_mounted_from_the_mesh(
    mesh: Mesh, origin: Origin
) -> None:
    keys = [f"{folder:03}/{number:03}" for folder in range(100) for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: origin.put(key, b"x"), keys))
    one, two = mesh.start("one", "two")
    origin.create(one)
    wait_until(lambda: two.lists("data"))
    before = origin.cap.cap.counts.other_requests
    assert names(mesh.mount(two, "data")) == len(keys)
    assert origin.cap.cap.counts.other_requests == before
