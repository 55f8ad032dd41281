"""Errors: one family, each with its situation in words, and a name that crosses processes."""

import inspect

import pytest

from meshcache import errors
from meshcache.errors import BY_NAME, MeshcacheError, PeerFailed, from_wire

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, MeshcacheError)
]


def test_every_error_is_known_by_its_name() -> None:
    assert {error.__name__: error for error in CLASSES} == BY_NAME


@pytest.mark.parametrize("error", CLASSES)
def test_an_error_says_when_it_is_raised(error: type[MeshcacheError]) -> None:
    assert error.__doc__
    if not error.__subclasses__():
        assert error.__doc__.startswith("Raised ")


@pytest.mark.parametrize("error", CLASSES)
def test_an_error_crosses_to_another_process(error: type[MeshcacheError]) -> None:
    arrived = from_wire(type(error("why")).__name__, "why")
    assert type(arrived) is error
    assert str(arrived) == "why"


@pytest.mark.parametrize("name", ["", "KeyError", "SystemExit", "NewerError"])
def test_an_error_of_another_version_is_the_peers(name: str) -> None:
    arrived = from_wire(name, "why")
    assert type(arrived) is PeerFailed
    assert str(arrived) == "why"
