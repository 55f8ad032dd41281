"""The main job: a dataset of remote storage, read through FUSE on every node of a mesh."""

import hashlib
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from meshcache.fuse.mountinfo import mount_at
from meshcache.units import MIB
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh, command, digest, digest_of
from tests.support.wait import wait_until

pytestmark = pytest.mark.fuse


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_dataset_is_read_through_fuse_on_three_nodes_and_asked_of_the_origin_once(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    big = origin.put("models/a.safetensors", rng.randbytes(21 * MIB + 17))
    small = origin.put("models/config.json", b'{"layers": 2}')
    origin.put("empty", b"")
    one, two, three = mesh.start("one", "two", "three")
    origin.create(one)
    wait_until(lambda: three.lists("data"))

    mounts = [mesh.mount(agent, "data") for agent in (one, two, three)]
    origin.cap.cap.reset()
    readers = [digest_of(mount / "models/a.safetensors") for mount in mounts]
    assert {reader.communicate(timeout=60)[0].split()[0] for reader in readers} == {sha256(big)}
    assert origin.cap.cap.counts.object_bytes == len(big)
    assert digest(mounts[1] / "models/config.json") == sha256(small)
    assert digest(mounts[2] / "empty") == sha256(b"")
    listing = subprocess.run(
        ["timeout", "20", "find", str(mounts[0]), "-type", "f", "-printf", "%P %s %m\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(listing.stdout.splitlines()) == [
        "empty 0 444",
        f"models/a.safetensors {len(big)} 444",
        f"models/config.json {len(small)} 444",
    ]

    def all_is_cached() -> bool:
        (row,) = two.json("dataset", "list")
        return (row["cached"], row["cached_percentage"]) == (row["ufs_total"], 100.0)

    wait_until(all_is_cached)


def test_another_user_can_read_the_mount(mesh: Mesh, origin: Origin) -> None:
    data = origin.put("file", b"for all\n" * 1000)
    (one,) = mesh.start("one")
    origin.create(one)
    for folder in (mesh.folder, *mesh.folder.parents):
        if folder.stat().st_mode & 0o005 != 0o005 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    one.folder.chmod(0o755)
    assert digest(mesh.mount(one, "data") / "file", uid=1000) == sha256(data)


def test_an_agent_killed_while_it_serves_a_read_costs_no_error_and_no_byte(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    files = {f"f{i}": origin.put(f"f{i}", rng.randbytes(24 * MIB)) for i in range(4)}
    agents = mesh.start("one", "two", "three")
    one, two, three = agents
    origin.create(one)
    # The other two hold everything; node one holds nothing, and asks them block by block.
    mountpoint = mesh.mount(one, "data")
    wait_until(lambda: three.lists("data"))
    reader = subprocess.Popen(
        [
            "timeout",
            "60",
            "sh",
            "-c",
            f"cat {mountpoint}/f0 {mountpoint}/f1 {mountpoint}/f2 {mountpoint}/f3 | sha256sum",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    victims = [two, three]
    served = {agent.name: agent.metric("meshcache_served_bytes") for agent in victims}

    def serving() -> Agent | None:
        return next(
            (a for a in victims if a.metric("meshcache_served_bytes") > served[a.name]), None
        )

    victim = wait_until(serving, within=30, every=0.005)
    assert victim is not None
    assert reader.poll() is None, "the read was over before the kill: make the files larger"
    victim.kill()
    out, err = reader.communicate(timeout=60)
    assert (reader.returncode, err) == (0, "")
    assert out.split()[0] == sha256(b"".join(files.values()))
    name = victim.name
    wait_until(lambda: one.states()[name] == "failed", within=10)


def test_a_restarted_agent_has_its_blocks_and_its_place_again(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    data = origin.put("file", rng.randbytes(9 * MIB))
    one, two = mesh.start("one", "two")
    origin.create(one)
    wait_until(lambda: two.lists("data"))
    one.run("load", "data", "--wait")
    before = [
        (a.json("status")["store"]["id"], a.json("status")["store"]["blocks"]) for a in (one, two)
    ]
    origin.cap.cap.reset()
    one.kill()
    one.start(join=two.gossip)
    wait_until(lambda: two.states() == {"one": "alive", "two": "alive"})
    wait_until(lambda: one.lists("data"))
    after = [
        (a.json("status")["store"]["id"], a.json("status")["store"]["blocks"]) for a in (one, two)
    ]
    assert after == before
    assert sha256(data) == digest(mesh.mount(one, "data") / "file")
    assert origin.cap.cap.counts.object_bytes == 0


def test_two_readers_of_one_cold_block_cost_one_origin_request_on_one_node_and_across_nodes(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    data = origin.put("block", rng.randbytes(3 * MIB))
    one, two = mesh.start("one", "two")
    origin.create(one)
    wait_until(lambda: two.lists("data"))
    mounts = [mesh.mount(one, "data"), mesh.mount(two, "data")]
    origin.cap.cap.reset()
    held = origin.cap.hold()
    readers = [digest_of(mount / "block") for mount in mounts * 2]
    wait_until(lambda: origin.cap.cap.counts.object_requests >= 1)
    origin.cap.release(held)
    assert {reader.communicate(timeout=60)[0].split()[0] for reader in readers} == {sha256(data)}
    assert origin.cap.cap.counts.object_requests == 1


def test_a_file_replaced_at_the_origin_is_an_error_in_old_opens_and_new_in_a_new_snapshot(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    old = origin.put("file", rng.randbytes(12 * MIB))
    (one,) = mesh.start("one")
    origin.create(one)
    mountpoint = mesh.mount(one, "data")
    script = (
        "import os, sys\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "print(os.pread(fd, 1000, 0).hex(), flush=True)\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    print(len(os.pread(fd, 1000, 11 << 20)), flush=True)\n"
        "except OSError as error:\n"
        "    print(error.errno, flush=True)\n"
        "print(os.pread(fd, 1000, 0).hex(), flush=True)\n"
    )
    with subprocess.Popen(
        ["timeout", "60", "python3", "-c", script, str(mountpoint / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline().strip() == old[:1000].hex()
        new = origin.put("file", rng.randbytes(12 * MIB))
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert int(reader.stdout.readline()) in (5, 116), (
            "EIO or ESTALE, never bytes of the new file"
        )
        assert reader.stdout.readline().strip() == old[:1000].hex()
        reader.wait(10)

    one.run("dataset", "refresh", "data")
    wait_until(lambda: digest(mountpoint / "file") == sha256(new), within=10)


def test_sigterm_leaves_the_mesh_and_unmounts_within_five_seconds(
    mesh: Mesh, origin: Origin
) -> None:
    origin.put("file", b"x" * 1000)
    one, two = mesh.start("one", "two")
    origin.create(one)
    mountpoint = mesh.mount(one, "data")
    keeper = one.children[0]
    assert one.stop(within=5.0) == 0
    assert mount_at(mountpoint) is None
    assert keeper.wait(5) == 0
    assert not one.socket.exists()
    wait_until(lambda: two.states()["one"] == "left", within=5)


def test_keep_mounts_keeps_them_and_they_answer_again_after_a_restart(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    data = origin.put("file", rng.randbytes(2 * MIB))
    other = origin.put("other", rng.randbytes(2 * MIB))
    agent = mesh.agent("one", "--keep-mounts").start()
    origin.create(agent)
    # A mesh of one forgets its datasets when it ends: a second member remembers.
    two = mesh.agent("two").start(join=agent.gossip)
    wait_until(lambda: two.lists("data"))
    mountpoint = mesh.mount(agent, "data")
    assert digest(mountpoint / "file") == sha256(data)
    assert agent.stop(within=5.0) == 0
    assert mount_at(mountpoint) is not None
    agent.start(join=two.gossip)
    assert digest(mountpoint / "other") == sha256(other)


def test_a_killed_agent_leaves_its_mounts_and_serves_them_again_when_it_is_back(
    mesh: Mesh, origin: Origin, rng: random.Random
) -> None:
    other = origin.put("other", rng.randbytes(2 * MIB))
    one, two = mesh.start("one", "two")
    origin.create(one)
    wait_until(lambda: two.lists("data"))
    mountpoint = mesh.mount(one, "data")
    one.kill()
    reader = digest_of(mountpoint / "other")
    one.start(join=two.gossip)
    out, err = reader.communicate(timeout=60)
    assert (reader.returncode, err) == (0, "")
    assert out.split()[0] == sha256(other)


def test_umount_ends_the_mount_and_its_keeper(mesh: Mesh, origin: Origin) -> None:
    origin.put("file", b"x")
    (one,) = mesh.start("one")
    origin.create(one)
    mountpoint = mesh.mount(one, "data")
    command("umount", str(mountpoint))
    assert mount_at(mountpoint) is None
    assert one.children[0].wait(5) == 0
    wait_until(lambda: one.json("status")["mounts"] == [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_mount_command_unmounts(
    mesh: Mesh, origin: Origin, number: signal.Signals
) -> None:
    origin.put("file", b"x")
    (one,) = mesh.start("one")
    origin.create(one)
    mountpoint = mesh.mount(one, "data")
    one.children[0].send_signal(number)
    assert one.children[0].wait(5) == 0
    assert mount_at(mountpoint) is None


def test_a_mesh_of_one_has_its_datasets_again_after_a_kill(mesh: Mesh, origin: Origin) -> None:
    data = origin.put("file", b"z" * 5000)
    (one,) = mesh.start("one")
    origin.create(one)
    one.run("load", "data", "--wait")
    origin.create(one, "other")
    deleted = time.time_ns()
    one.run("dataset", "delete", "other")
    records = one.cache / "records"
    wait_until(lambda: records.exists() and records.stat().st_mtime_ns > deleted)
    one.kill()
    one.start()
    assert [row["name"] for row in one.json("dataset", "list")] == ["data"]
    origin.cap.cap.reset()
    assert digest(mesh.mount(one, "data") / "file") == sha256(data)
    assert origin.cap.cap.counts.object_bytes == 0
