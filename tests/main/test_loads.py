"""Loads: no coordinator, so whoever dies, what is loaded is loaded; and once."""

import random
from functools import partial

import pytest

from meshcache.units import MIB
from tests.main.conftest import Origin
from tests.support.agents import Agent, Mesh, command
from tests.support.wait import wait_until


def fill(origin: Origin, rng: random.Random, count: int, size: int, folder: str = "d") -> int:
    """Files of the origin; all their bytes."""
    for number in range(count):
        origin.put(f"{folder}/{number:03}", rng.randbytes(size))
    return count * size


def known(agents: list[Agent]) -> None:
    for agent in agents:
        wait_until(partial(agent.lists, "data"))


@pytest.fixture
def three(mesh: Mesh, origin: Origin) -> list[Agent]:
    return mesh.start("one", "two", "three")


def test_a_load_spreads_over_the_owners_and_asks_the_origin_once(
    three: list[Agent], origin: Origin, rng: random.Random
) -> None:
    size = fill(origin, rng, 20, MIB)
    one, two, _ = three
    origin.create(one)
    known(three)
    origin.cap.cap.reset()
    assert one.run("load", "data", "--check", check=False).returncode == 1
    said = one.run("load", "data", "--wait", "--name", "all").stdout
    assert said.startswith("loaded 20.00MiB in ")
    assert origin.cap.cap.counts.object_bytes == size
    assert (
        one.run("load", "data", "--check").stdout
        == "100% is loaded: 20.00MiB of 20.00MiB, 20 files\n"
    )
    wait_until(
        lambda: two.json("loads", "all") == one.json("loads", "all")
    )  # gossip takes its time
    shown = two.json("loads", "all")
    assert shown["bytes_done"] == shown["bytes"] == shown["fetched"] == size
    assert shown["percentage"] == 100.0
    members = shown["members"]
    assert [member["name"] for member in members] == ["one", "three", "two"]
    assert {member["phase"] for member in members} == {"Complete"}
    assert sum(member["fetched"] for member in members) == size
    assert all(member["fetched"] for member in members), "each owner fetches its share"
    wait_until(lambda: len({agent.get("/v1/loads") for agent in three}) == 1)
    # Again: nothing is lacking.
    again = one.run("load", "data", "--wait").stdout
    assert "0B fetched" in again
    assert origin.cap.cap.counts.object_bytes == size


def slow(origin: Origin, rate: float | None) -> None:
    """Cap what the origin gives, in bytes per second."""
    origin.cap.cap.bandwidth.rate = rate


def part_of_it(origin: Origin, size: int) -> None:
    """Wait until the origin gave that much, and have it give hardly more."""
    wait_until(lambda: origin.cap.cap.counts.object_bytes >= size, within=40, every=0.002)
    # No less: who has taken his turn at a rate waits for it, whatever the rate is meanwhile.
    slow(origin, MIB)


@pytest.mark.parametrize("victim", [0, 2], ids=["the starter", "an owner"])
def test_a_load_completes_though_a_member_is_killed(
    victim: int, three: list[Agent], origin: Origin, rng: random.Random
) -> None:
    size = fill(origin, rng, 40, MIB)
    origin.create(three[0])
    known(three)
    origin.cap.cap.reset()
    slow(origin, 12 * MIB)
    three[0].run("load", "data", "--name", "all")
    part_of_it(origin, size // 3)
    three[victim].kill()
    asked = origin.cap.cap.counts.object_bytes
    slow(origin, None)
    left = [agent for agent in three if agent is not three[victim]]
    for agent in left:
        wait_until(lambda agent=agent: agent.phase("all") == "Complete", within=40)  # type: ignore[misc]
    assert left[0].run("load", "data", "--check").returncode == 0
    # What the victim had or was getting was asked for once more, and nothing else.
    counts = origin.cap.cap.counts
    again = counts.object_bytes - size
    print(f"asked again: {again / size:.2f} of the data; {asked / size:.2f} was given at the kill")
    assert again <= asked
    assert max(count.requests for count in counts.keys.values()) <= 2, counts.keys
    # Back again, it has its blocks, and finds the load ended.
    three[victim].start(join=left[0].gossip)
    wait_until(lambda: three[victim].phase("all") == "Complete", within=30)


def test_a_cancelled_load_stops_and_another_goes_on_where_it_was(
    three: list[Agent], origin: Origin, rng: random.Random
) -> None:
    # Of two thirds, at least a sixth is whole: no more than 96 files are under way at a time.
    size = fill(origin, rng, 192, MIB // 8)
    one, two, three_ = three
    origin.create(one)
    known(three)
    origin.cap.cap.reset()
    slow(origin, 8 * MIB)
    one.run("load", "data", "--name", "first")
    part_of_it(origin, size * 2 // 3)
    slow(origin, MIB // 8)  # a command takes seconds to start on a busy machine
    assert two.run("load", "cancel", "first").stdout == "load first is Cancelled\n"
    for agent in three:
        wait_until(lambda agent=agent: agent.phase("first") == "Cancelled")  # type: ignore[misc]
    slow(origin, None)
    wait_until(lambda: origin.cap.cap.in_flight == 0)
    given = origin.cap.cap.counts.object_bytes
    assert given < size
    said = three_.run("load", "data", "--wait", "--name", "second").stdout
    assert said.startswith("loaded 24.00MiB")
    done = one.json("loads", "second")
    assert done["bytes_done"] == size
    assert done["fetched"] < size, "what the first one loaded was not fetched again"
    # What was under way when it was cancelled is all that was asked twice.
    assert origin.cap.cap.counts.object_bytes <= given + done["fetched"]
    assert one.run("load", "delete", "first").stdout == "load first deleted\n"
    wait_until(lambda: [load["name"] for load in two.ask("/v1/loads")] == ["second"])


def test_a_load_runs_after_another_and_is_forgotten_after_its_ttl(
    three: list[Agent], origin: Origin, rng: random.Random
) -> None:
    fill(origin, rng, 4, 1000)
    one, two, _ = three
    origin.create(one)
    known(three)
    said = one.run("load", "data", "--name", "then", "--run-after", "first", "--ttl", "1s").stdout
    assert "waits for load 'first', which is not there" in said
    assert one.phase("then") == "Pending"
    two.run("load", "data", "d/000", "--name", "first", "--wait")
    # Of its end only what it loaded may be left to be seen.
    wait_until(lambda: two.run("load", "data", "--check", check=False).returncode == 0, within=20)
    wait_until(lambda: [load["name"] for load in one.ask("/v1/loads")] == ["first"], within=20)


def test_copies_are_placed_as_the_load_says_and_plans_and_checks_tell_the_truth(
    three: list[Agent], origin: Origin, rng: random.Random
) -> None:
    size = fill(origin, rng, 12, MIB)
    one, two, three_ = three
    origin.create(one)
    known(three)
    origin.cap.cap.reset()
    plan = one.json("load", "data", "--dry-run", "--replicas", "2")
    assert (plan["files"], plan["bytes"], plan["from_origin"]) == (12, size, size)
    assert plan["to_fetch"] == 2 * size
    assert plan["fits"]
    one.run("load", "data", "--replicas", "2", "--wait", "--name", "twice")
    shown = {m["name"]: m["bytes_done"] for m in one.json("loads", "twice")["members"]}
    assert shown == {member["name"]: member["bytes"] for member in plan["members"]}
    assert origin.cap.cap.counts.object_bytes == size, "the second owner asks the first"
    assert two.run("load", "data", "--check", "--replicas", "2").returncode == 0
    lacking = two.run("load", "data", "--check", "--node", "three", check=False)
    assert lacking.returncode == 1
    assert lacking.stdout.count(" d/") == 12 - shown["three"] // MIB
    # Now everything on that node, and on all.
    three_.run("load", "data", "--node", "three", "--wait")
    assert two.run("load", "data", "--check", "--node", "three").returncode == 0
    one.run("load", "data", "--all", "--wait")
    for agent in three:
        assert agent.json("status")["store"]["blocks"] >= 12
    assert origin.cap.cap.counts.object_bytes == size
    assert one.json("load", "data", "--dry-run", "--exclude", "d/00*")["files"] == 2


def test_a_deleted_dataset_ends_its_loads_and_says_so(
    three: list[Agent], origin: Origin, rng: random.Random
) -> None:
    fill(origin, rng, 20, MIB)
    one, two, _ = three
    origin.create(one)
    known(three)
    slow(origin, 2 * MIB)
    one.run("load", "data", "--name", "all")
    part_of_it(origin, MIB)
    one.run("dataset", "delete", "data")
    wait_until(lambda: two.phase("all") == "Failed", within=20)
    assert two.json("loads", "all")["message"] == "dataset 'data' was deleted"
    assert "was deleted" in one.run("loads", "-o", "wide").stdout
    slow(origin, None)


class TestOfOne:
    """What a mesh of one agent shows as well as a larger one."""

    @pytest.fixture
    def one(self, mesh: Mesh, origin: Origin, rng: random.Random) -> Agent:
        (agent,) = mesh.start("one", size="8MiB")
        fill(origin, rng, 6, MIB)
        fill(origin, rng, 6, MIB, "e")
        origin.create(agent)
        return agent

    def test_a_load_that_does_not_fit_says_so_before_and_after(self, one: Agent) -> None:
        plan = one.json("load", "data", "--dry-run")
        assert not plan["fits"]
        assert plan["members"][0]["room"] < plan["to_fetch"]
        assert one.json("load", "data", "d", "--dry-run")["fits"]
        failed = one.run("load", "data", "--wait", check=False)
        assert failed.returncode == 1
        assert "the store of one is full" in failed.stderr

    def test_what_was_named_is_loaded_and_nothing_else(self, one: Agent, origin: Origin) -> None:
        origin.cap.cap.reset()
        one.run("load", "data", "d/00[01]", "e/**", "--exclude", "00[2-9]", "--wait")
        assert origin.cap.cap.counts.object_bytes == 4 * MIB
        listed = one.folder / "list"
        listed.write_text("".join(f"d/{number:03}\n" for number in (2, 3)) * 300)
        one.run("load", "data", "-f", str(listed), "--wait")
        assert origin.cap.cap.counts.object_bytes == 6 * MIB

    def test_a_rate_is_kept(self, one: Agent) -> None:
        one.run("load", "data", "d", "--rate", "3MiB", "--wait", "--name", "slowly")
        # The first block goes at once, the five others a third of a second after each other.
        assert one.json("loads", "slowly")["duration"] >= 5 / 3

    def test_metadata_alone_reads_no_byte(self, one: Agent, origin: Origin) -> None:
        origin.cap.cap.reset()
        one.run("load", "data", "--metadata-only", "--wait")
        assert origin.cap.cap.counts.object_requests == 0

    def test_what_cannot_be_is_one_line(self, one: Agent) -> None:
        for arguments, code, says in (
            (["none"], 1, "no 'none' in the dataset"),
            (["*.none"], 1, "nothing in the dataset matches '*.none'"),
            (["d/["], 2, "without its ]"),
            (["--node", "nobody"], 2, "no member 'nobody'"),
            (["--zone", "z"], 2, "no zone 'z'"),
            (["--schedule", "often"], 2, "is not a schedule"),
            (["--name", "NO"], 2, "not a name of a load"),
        ):
            done = one.run("load", "data", *arguments, check=False)
            assert done.returncode == code, done.stderr
            assert len(done.stderr.splitlines()) == 1
            assert says in done.stderr
        assert one.json("loads") == []

    def test_a_version_is_loaded_whatever_the_head_is(self, one: Agent, origin: Origin) -> None:
        old = one.json("dataset", "versions", "data")[0]["id"][:12]
        origin.put("d/new", b"x" * MIB)
        one.run("dataset", "refresh", "data")
        one.run("load", f"data@{old}", "d", "--wait", "--name", "then")
        assert one.json("loads", "then")["dataset"] == f"data@{old}"
        assert one.json("loads", "then")["bytes_done"] == 6 * MIB
        assert one.run("load", f"data@{old}", "d", "--check").returncode == 0
        assert one.run("load", "data", "d", "--check", check=False).returncode == 1
        written = one.run("get", "load", "then", "-o", "yaml").stdout
        applied = command("apply", "-f", "-", "--socket", str(one.socket), given=written)
        assert applied.stdout.split() == ["dataload.data.fluid.io/then", "unchanged"]
        refused = one.run("load", "data@abcdef", check=False)
        assert (refused.returncode, "has no version abcdef" in refused.stderr) == (1, True)

    @pytest.mark.slow
    def test_a_schedule_runs_by_the_clock(self, one: Agent, origin: Origin) -> None:
        one.run("load", "data", "d", "--schedule", "* * * * *", "--name", "minutely")
        assert one.phase("minutely") == "Pending"
        wait_until(lambda: one.json("loads", "minutely")["succeeded"] > 0, within=80)
        assert one.json("loads", "minutely")["bytes_done"] == 6 * MIB
        one.run("load", "cancel", "minutely")
        assert one.json("loads", "minutely")["next_run"] is None
