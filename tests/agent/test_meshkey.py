import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.trust import meshkey
from meshcache.errors import InvalidInput, StoreUnusable

KEY = bytes(range(32))


def quiet(line: str) -> None:
    raise AssertionError(line)


@pytest.mark.parametrize(
    "content",
    [
        KEY.hex().encode(),
        KEY.hex().upper().encode() + b"\r\n",
        base64.b64encode(KEY) + b"\n\n# this line is a comment\n",
        base64.urlsafe_b64encode(KEY).rstrip(b"="),
        bytes([0xFF, 0xFB]).join([b"", KEY]),
    ],
)
def test_a_key_is_read_from_hex_base64_or_plain_bytes(content: bytes) -> None:
    assert [key[-32:] for key in meshkey.parse(content)] == [KEY]


@given(st.binary(min_size=40, max_size=40).filter(lambda key: len(set(key)) > 20))
def test_plain_bytes_with_a_line_break_in_them_are_a_key(key: bytes) -> None:
    assert meshkey.parse(b"\n" + key + b"\x00") == [b"\n" + key + b"\x00"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes"),
        (b"deadbeef\n", "4 bytes, of 32 at least"),
        (b"\x00\x01\x02", "3 bytes, of 32 at least"),
        (b"correct horse battery staple, correct horse battery staple", "neither hex nor base64"),
        (b"0" * 64, "not random"),
        (b"changeme" * 8, "not random"),
        (b"-----BEGIN PRIVATE KEY-----\nabc\n", "neither hex nor base64"),
    ],
)
def test_what_is_no_key_is_refused_with_the_reason(
    content: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "mesh.key"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=says) as refused:
        meshkey.load(path, quiet)
    assert str(path) in str(refused.value)


def test_a_key_that_everyone_can_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "mesh.key"
    path.write_text(KEY.hex())
    path.chmod(0o644)
    lines: list[str] = []
    assert meshkey.load(path, lines.append) == [KEY]
    assert lines == [
        f"mesh key file {path} can be read by everyone on this machine: chmod o-r {path}"
    ]
    path.chmod(0o640)
    meshkey.load(path, quiet)


@pytest.mark.parametrize(("name", "says"), [("none", "No such file"), (".", "Is a directory")])
def test_a_missing_key_file_is_named(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=rf"mesh key file {tmp_path}.*{says}"):
        meshkey.load(tmp_path / name, quiet)


def test_an_agents_own_key_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    path = meshkey.own(folder)
    (key,) = meshkey.load(path, quiet)
    assert meshkey.load(meshkey.own(folder), quiet) == [key]
    assert path == folder / meshkey.OWN_KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == [meshkey.OWN_KEY]


def test_a_file_may_have_several_keys_and_the_first_is_in_use() -> None:
    other = bytes(range(32, 64))
    assert meshkey.parse(f"{other.hex()}\n{KEY.hex()}\n".encode()) == [other, KEY]
    with pytest.raises(InvalidInput, match="neither hex nor base64"):
        meshkey.parse(KEY.hex().encode() + b"\nnot a key!\n")


def test_a_file_that_is_replaced_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    path, link = tmp_path / "real", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    meshkey.replace(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    meshkey.replace(tmp_path / "fresh", "x")
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["fresh", "link", "real"]


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusable, match=str(tmp_path / "file" / "cache")):
        meshkey.own(tmp_path / "file" / "cache")


def test_a_key_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mesh.key"
    meshkey.write(path, "first")
    with pytest.raises(FileExistsError):
        meshkey.write(path, "second")
    assert path.read_text() == "first\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["mesh.key"]


def test_two_keys_are_not_the_same() -> None:
    assert meshkey.generate() != meshkey.generate()
    assert [len(key) for key in meshkey.parse(meshkey.generate().encode())] == [meshkey.KEY_SIZE]
