"""Mesh keys over a restart: where they come from, and where changed ones are kept."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from meshcache.agent.trust import meshkey
from meshcache.agent.trust.keyfile import KEPT, KeyFile
from meshcache.errors import InvalidInput

ONE, TWO, THREE = (bytes(range(first, first + 32)) for first in (0, 32, 64))
Make = Callable[..., KeyFile]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "secret"
    folder.mkdir()
    path = folder / "mesh.key"
    path.write_text(ONE.hex() + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def make(file: Path, tmp_path: Path, said: list[str]) -> Make:
    """An agent's start: what it finds on disk now."""
    cache = tmp_path / "cache"
    cache.mkdir()
    return lambda path=file: KeyFile(path, cache, said.append)


@pytest.fixture
def read_only(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's folder refuses, as a Secret's mount does; root would not be held by its mode."""
    replace = meshkey.replace

    def refuse(path: Path, content: str) -> None:
        if path == file:
            raise OSError(30, "Read-only file system")
        replace(path, content)

    monkeypatch.setattr(meshkey, "replace", refuse)


async def test_changed_keys_go_back_into_their_file(
    make: Make, file: Path, said: list[str]
) -> None:
    keys = make()
    assert keys.load() == [ONE]
    await keys.keep([TWO, ONE])
    assert file.read_text() == f"{TWO.hex()}\n{ONE.hex()}\n"
    assert make().load() == [TWO, ONE]
    assert said == []


async def test_an_agents_own_key_is_changed_where_it_is(make: Make) -> None:
    keys = make(None)
    (first,) = keys.load()
    await keys.keep([TWO, first])
    assert make(None).load() == [TWO, first]


@pytest.mark.usefixtures("read_only")
async def test_keys_whose_file_cannot_be_written_are_kept_in_the_cache_folder(
    make: Make, file: Path, tmp_path: Path, said: list[str]
) -> None:
    keys = make()
    keys.load()
    for ring in ([ONE, TWO], [TWO, ONE], [TWO]):
        await keys.keep(ring)
        assert make().load() == ring
    kept = tmp_path / "cache" / KEPT
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert any(f"{file} cannot be written (Read-only file system)" in line for line in said)
    assert f"{file} is behind the mesh" in said[-1]


@pytest.mark.usefixtures("read_only")
async def test_a_file_that_has_caught_up_is_nothing_to_speak_of(
    make: Make, file: Path, said: list[str]
) -> None:
    keys = make()
    keys.load()
    await keys.keep([TWO])
    file.write_text(TWO.hex() + "\n")
    said.clear()
    assert make().load() == [TWO]
    assert said == []


@pytest.mark.usefixtures("read_only")
async def test_in_the_middle_of_a_change_the_kept_keys_count_whichever_the_file_has(
    make: Make, file: Path
) -> None:
    keys = make()
    keys.load()
    await keys.keep([ONE, TWO])
    file.write_text(TWO.hex() + "\n")
    assert make().load() == [ONE, TWO]


@pytest.mark.usefixtures("read_only")
async def test_a_file_with_another_key_is_another_mesh(make: Make, file: Path) -> None:
    keys = make()
    keys.load()
    await keys.keep([TWO])
    file.write_text(THREE.hex() + "\n")
    assert make().load() == [THREE]


@pytest.mark.parametrize("torn", [b"", b"{}", b'{"instead_of":[],"keys":["zz"]}'])
def test_kept_keys_that_cannot_be_read_are_said_and_not_used(
    torn: bytes, make: Make, tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "cache" / KEPT).write_bytes(torn)
    assert make().load() == [ONE]
    assert "cannot be read and is not used" in said[0]


def test_a_file_without_a_key_is_refused(make: Make, file: Path) -> None:
    file.write_text("password\n")
    with pytest.raises(InvalidInput, match=str(file)):
        make().load()
