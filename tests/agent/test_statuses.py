import pytest

from meshcache import errors
from meshcache.agent.statuses import STATUSES, body_of, status_of
from meshcache.errors import MeshcacheError


@pytest.mark.parametrize("name", sorted(errors.BY_NAME))
def test_every_error_has_a_status_that_says_whose_fault_it_is(name: str) -> None:
    error = errors.BY_NAME[name]("what is wrong")
    if isinstance(error, errors.CallerError | errors.Refused):
        assert 400 <= status_of(error) < 500
    elif not isinstance(error, errors.BlockNotHeld | errors.ObjectChanged):
        assert 500 <= status_of(error) < 600


@pytest.mark.parametrize("name", sorted(errors.BY_NAME))
def test_an_error_comes_back_from_its_body_as_it_was(name: str) -> None:
    error = errors.BY_NAME[name]("what is wrong")
    body = body_of(error)
    again = errors.from_wire(body["error"], body["message"])
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_the_table_names_only_errors_of_meshcache() -> None:
    assert all(issubclass(error, MeshcacheError) for error in STATUSES)
