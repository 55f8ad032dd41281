"""When runs are due: in UTC, by any clock the same."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.loads.schedule import check_schedule, last_due, next_due
from meshcache.errors import InvalidInput


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("schedule", "now", "last", "following"),
    [
        ("0 3 * * *", "2026-03-01T03:00:00", "2026-03-01T03:00:00", "2026-03-02T03:00:00"),
        ("0 3 * * *", "2026-03-01T02:59:59", "2026-02-28T03:00:00", "2026-03-01T03:00:00"),
        ("*/15 * * * *", "2026-03-01T00:01:00", "2026-03-01T00:00:00", "2026-03-01T00:15:00"),
        ("0 0 * * MON", "2026-03-04T12:00:00", "2026-03-02T00:00:00", "2026-03-09T00:00:00"),
        ("0 0 29 2 *", "2026-03-04T12:00:00", "2024-02-29T00:00:00", "2028-02-29T00:00:00"),
    ],
)
def test_the_last_and_the_next_time(schedule: str, now: str, last: str, following: str) -> None:
    check_schedule(schedule)
    assert last_due(schedule, at(now), 0.0) == at(last)
    assert last_due(schedule, at(now) + 0.5, 0.0) == at(last)
    assert next_due(schedule, at(now)) == at(following)
    assert last_due(schedule, at(now), at(last)) is None, "what was due before does not count"


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("often", "is not a schedule"),
        ("* * * *", "five cron fields"),
        ("0 * * * * *", "five cron fields"),
        ("61 * * * *", "is not a schedule"),
        ("0 0 31 2 *", "is not a schedule"),
    ],
)
def test_a_schedule_that_cannot_be_says_so(schedule: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        check_schedule(schedule)


@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "5 4 * * *", "0 0 1,15 * 3", "30 2 * * 1-5"]),
    st.floats(1.6e9, 2.2e9),
)
def test_the_last_run_is_the_one_that_was_next_just_before(schedule: str, now: float) -> None:
    last = last_due(schedule, now, 0.0)
    assert last is not None
    assert last <= now < next_due(schedule, now)
    assert next_due(schedule, last - 1) == last
    assert next_due(schedule, last) == next_due(schedule, now)
