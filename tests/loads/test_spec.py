"""What may be asked of a load, and what is refused before anything begins."""

from typing import Any

import msgspec
import pytest

from meshcache.agent.loads import NewLoad
from meshcache.errors import InvalidInput


def test_a_dataset_is_all_that_a_load_needs() -> None:
    new = msgspec.json.decode(b'{"dataset": "models"}', type=NewLoad)
    assert (new.policy, new.paths, new.files, new.ttl) == ("Once", (), None, None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": "No"}, "not a name of a load"),
        ({"replicas": 17}, "1 to 16 replicas"),
        ({"targets": [{"path": "/a", "replicas": -1}]}, "1 to 16 replicas"),
        ({"rate": -1}, "a rate of -1"),
        ({"ttl": -1}, "a ttl of -1"),
        ({"policy": "Cron"}, "needs a schedule"),
        ({"schedule": "* * * * *"}, "needs a schedule"),
        ({"policy": "OnEvent"}, "needs run_after"),
        ({"policy": "Cron", "schedule": "* * * * *", "run_after": "x"}, "not both"),
    ],
)
def test_a_load_that_cannot_be_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        msgspec.convert({"dataset": "models"} | given, type=NewLoad)
