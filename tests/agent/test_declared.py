"""A declared folder: when it is applied, how often, and what is said about it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from meshcache.agent import declared
from meshcache.agent.applying import FAILED, Outcome
from meshcache.agent.declared import Declared
from meshcache.agent.specs import Plan
from meshcache.errors import AgentUnreachable, MeshcacheError

DATASET = "kind: Dataset\nname: data\nmounts: ['s3://bucket/data']\n"
LOAD = "kind: Load\nname: warm\ndataset: data\n"


class Site:
    """A folder, an agent that does as it is told, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rank: int | None = 0
        self.time = 1000.0
        self.plans: list[Plan] = []
        self.result = "created"
        self.error: MeshcacheError | None = None
        self.claimed_by_another = False
        self.claims: list[str] = []
        self.declared = Declared(
            folder, lambda: self.rank, self.apply, self.claim, now=lambda: self.time
        )

    @asynccontextmanager
    async def claim(self, key: str) -> AsyncIterator[bool]:
        self.claims.append(key)
        yield not self.claimed_by_another

    async def apply(self, plan: Plan) -> AsyncIterator[Outcome]:
        self.plans.append(plan)
        if self.error is not None:
            raise self.error
        for dataset in plan.datasets:
            yield Outcome("dataset", dataset.name, self.result, "no way")

    def write(self, text: str, name: str = "a.yaml") -> None:
        """As the kubelet does: a new file in the place of the old one."""
        new = self.folder / ".new"
        new.write_text(text)
        new.rename(self.folder / name)

    async def look(self, after: float = 0.0) -> int:
        """Attempts so far, once some seconds have gone by."""
        self.time += after
        await self.declared.look()
        return len(self.plans)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_it_is_applied_once_and_again_when_it_changes(site: Site) -> None:
    assert await site.look() == 0
    site.write(DATASET)
    assert await site.look() == 1
    assert await site.look(after=1e6) == 1
    site.write(DATASET + "---\n" + LOAD)
    assert await site.look() == 2
    assert [load.name for load in site.plans[-1].loads] == ["warm"]


async def test_a_link_that_is_swapped_is_a_change(site: Site) -> None:
    for name, text in (("..1", DATASET), ("..2", DATASET.replace("data", "more"))):
        (site.folder / name).mkdir()
        (site.folder / name / "a.yaml").write_text(text)
    (site.folder / "..data").symlink_to("..1")
    (site.folder / "a.yaml").symlink_to("..data/a.yaml")
    assert await site.look() == 1
    (site.folder / "..new").symlink_to("..2")
    (site.folder / "..new").rename(site.folder / "..data")
    assert await site.look() == 2
    assert [dataset.name for dataset in site.plans[-1].datasets] == ["more"]


async def test_further_members_wait_for_their_turns(site: Site) -> None:
    site.rank = 2
    site.write(DATASET)
    assert await site.look() == 0
    assert await site.look(after=2 * declared.TURN - 1) == 0
    assert await site.look(after=1) == 1


async def test_a_member_without_a_turn_applies_when_it_gets_one(site: Site) -> None:
    site.rank = None
    site.write(DATASET)
    assert await site.look() == 0
    assert await site.look(after=1e6) == 0
    site.rank = 0
    assert await site.look() == 1


async def test_what_another_member_has_under_way_waits_until_that_is_done(site: Site) -> None:
    site.write(DATASET)
    site.claimed_by_another = True
    assert await site.look() == 0
    assert await site.look(after=1e6) == 0
    site.claimed_by_another = False
    assert await site.look() == 1


async def test_members_with_the_same_files_claim_the_same(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path / "other")
    other.folder.mkdir()
    for one in (site, other):
        one.write(DATASET)
        await one.look()
    assert site.claims == other.claims
    other.write(DATASET + "replicas: 3\n")
    await other.look()
    assert len({*site.claims, *other.claims}) == 2


async def test_what_fails_is_tried_again_with_growing_pauses_and_told_once(site: Site) -> None:
    site.write(DATASET)
    site.result = FAILED
    with capture_logs() as logs:
        assert await site.look() == 1
        for tries, pause in enumerate((*declared.PAUSES, declared.PAUSES[-1]), 1):
            assert await site.look(after=pause - 1) == tries
            assert await site.look(after=1) == tries + 1
        site.result = "created"
        assert await site.look(after=declared.PAUSES[-1]) == tries + 2
        assert await site.look(after=1e6) == tries + 2
    assert [line["event"] for line in logs] == ["declared dataset data: no way", "declared"]


async def test_an_agent_that_refuses_it_all_is_asked_again(site: Site) -> None:
    site.write(DATASET)
    site.error = AgentUnreachable("the secret is not there")
    with capture_logs() as logs:
        assert await site.look() == 1
        site.error = None
        assert await site.look(after=declared.PAUSES[0]) == 2
    assert logs[0]["event"] == f"{site.folder}: the secret is not there"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "this is no YAML"),
        (DATASET + "replicas: 99", "1 to 16 replicas"),
        (DATASET + "---\n" + LOAD.replace("name: warm\n", ""), "a load of data has no name"),
    ],
)
async def test_with_a_mistake_in_it_nothing_is_applied_until_it_is_corrected(
    site: Site, text: str, says: str
) -> None:
    site.write(text)
    with capture_logs() as logs:
        assert await site.look() == 0
        assert await site.look(after=1e6) == 0
    assert says in logs[0]["event"]
    assert len(logs) <= 2
    site.write(DATASET)
    assert await site.look() == 1


async def test_what_has_no_meaning_is_told_once(site: Site) -> None:
    site.write(DATASET + "colour: red\n")
    site.result = FAILED
    with capture_logs() as logs:
        await site.look()
        await site.look(after=declared.PAUSES[0])
    assert len(site.plans) == 2
    assert ["colour" in line["event"] for line in logs] == [True, False]


async def test_a_folder_that_is_away_for_a_moment_deletes_nothing(site: Site) -> None:
    site.write(DATASET)
    assert await site.look() == 1
    (site.folder / "a.yaml").rename(site.folder / "aside")
    assert await site.look() == 1
    (site.folder / "aside").rename(site.folder / "a.yaml")
    assert await site.look() == 2  # and finds it unchanged
