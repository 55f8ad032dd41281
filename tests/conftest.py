"""What tests of several packages stand on."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.seaweed import Seaweed

# How long an example takes says how busy the machine is: nothing about what is tested.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("untimed")

# Who starts the tests in the background has them ignore Ctrl-C; the processes that they start would
# ignore it too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    """A real S3 server, one for the whole run: make a bucket of your own in it."""
    with Seaweed() as server:
        yield server


@pytest.fixture
def bucket(seaweed: Seaweed) -> Iterator[str]:
    """A new, empty bucket."""
    name = seaweed.make_bucket()
    yield name
    seaweed.delete_bucket(name)
