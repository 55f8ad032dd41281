"""What tests of several packages stand on."""

from collections.abc import Iterator

import pytest

from tests.support.seaweed import Seaweed


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
