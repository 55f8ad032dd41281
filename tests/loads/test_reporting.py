"""What a member says, and when: an end is never kept back."""

from meshcache.agent.loads.record import Progress
from meshcache.agent.loads.reporting import Reporting


def progress(view: str = "v", ended: float = 0.0, blocks: int = 0) -> Progress:
    return Progress("u", 0, view, blocks_done=blocks, ended=ended)


def test_progress_is_told_now_and_then_and_seldomer_in_a_large_mesh() -> None:
    for members, every in ((3, 1.0), (60, 3.0), (1000, 5.0)):
        said: list[tuple[Progress, ...]] = []
        reporting = Reporting(said.append)
        assert reporting.report([progress()], members, 100.0) == 100.0 + every
        assert reporting.report([progress(blocks=1)], members, 100.5) == 100.0 + every
        assert len(said) == 1
        reporting.report([progress(blocks=2)], members, 100.0 + every)
        assert len(said) == 2


def test_an_end_is_told_at_once_and_then_nothing_more() -> None:
    said: list[tuple[Progress, ...]] = []
    reporting = Reporting(said.append)
    reporting.report([progress()], 3, 100.0)
    assert reporting.report([progress(ended=100.1)], 3, 100.1) == float("inf")
    assert len(said) == 2
    reporting.report([progress(ended=100.1)], 3, 100.2)
    assert len(said) == 2


def test_a_share_that_ended_twice_between_two_looks_is_told() -> None:
    # A member died, and what it owned was a moment's work.
    said: list[tuple[Progress, ...]] = []
    reporting = Reporting(said.append)
    reporting.report([progress("v1", ended=100.0)], 3, 100.0)
    reporting.report([progress("v2", ended=100.1)], 3, 100.1)
    assert said[-1][0].view == "v2"


def test_who_has_nothing_to_say_says_nothing() -> None:
    said: list[tuple[Progress, ...]] = []
    assert Reporting(said.append).report([], 3, 100.0) == float("inf")
    assert not said
