"""When the runs of a Cron load are due: computed by every member for itself, by its own clock.

Standard five-field cron expressions, with Debian's rules for the odd ones (`cronsim`), in UTC: the
members of a mesh may have other time zones, and UTC knows no hour that comes twice or never.
"""

from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from meshcache.errors import InvalidInput

_FIELDS = 5


def check_schedule(text: str) -> None:
    """See that a schedule can be read and ever comes.

    Raises:
        InvalidInput: it cannot, or does not.
    """
    try:
        if len(text.split()) != _FIELDS:
            raise CronSimError("Wrong number of fields")
        next(CronSim(text, datetime(2000, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise InvalidInput(
            f"{text!r} is not a schedule ({error}): write five cron fields, like '0 3 * * *' for "
            "03:00 UTC every day"
        ) from error
    except StopIteration as error:
        raise InvalidInput(f"the schedule {text!r} never comes") from error


def next_due(text: str, after: float) -> float:
    """The first time later than `after` at which a run is due; both in seconds since 1970."""
    return next(CronSim(text, _moment(after))).timestamp()


def last_due(text: str, now: float, since: float) -> float | None:
    """The last time in (since, now] at which a run was due; None if there was none."""
    # The search leaves out where it starts.
    found = next(CronSim(text, _moment(now) + timedelta(seconds=1), reverse=True)).timestamp()
    return found if found > since else None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
