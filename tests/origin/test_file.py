"""Files of the node as an origin."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshcache.block import FileVersion
from meshcache.dataset import Mount
from meshcache.errors import (
    InvalidInput,
    NotAllowed,
    ObjectChanged,
    OriginDenied,
    OriginError,
    OriginNotFound,
)
from meshcache.origin import Origin
from meshcache.origin.open import open_origin
from meshcache.units import MIB
from tests.support.origins import bytes_of, listing, origin_at, version_of


def url_of(path: Path) -> str:
    return path.as_uri()


async def test_a_directory_is_listed_with_all_below_it(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c ü.bin").write_bytes(b"12345")
    (tmp_path / "empty").touch()
    (tmp_path / "no-files").mkdir()
    async with origin_at(url_of(tmp_path)) as origin:
        found = await listing(origin)
    assert found.keys() == {"a/b/c ü.bin", "empty"}
    listed = found["a/b/c ü.bin"]
    assert listed.key == str(tmp_path / "a/b/c ü.bin")
    assert listed.size == 5
    assert listed.mtime_ns == (tmp_path / "a/b/c ü.bin").stat().st_mtime_ns


async def test_a_name_that_is_no_text_is_listed_and_read(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.bin"
    with Path(os.fsdecode(path)).open("wb") as file:
        file.write(b"bytes")
    async with origin_at(url_of(tmp_path)) as origin:
        (listed,) = (await listing(origin)).values()
        assert os.fsencode(listed.path) == b"\xff.bin"
        assert await bytes_of(origin, version_of(origin, listed)) == b"bytes"


async def test_one_file_is_listed_alone(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    (tmp_path / "g").touch()
    async with origin_at(url_of(tmp_path / "f")) as origin:
        found = await listing(origin)
        assert found.keys() == {"f"}
        assert await bytes_of(origin, version_of(origin, found["f"]), 1, 3) == b"23"


_SIZE = 3 * MIB + 777


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, _SIZE - 1), st.integers(1, _SIZE))
async def test_any_range_has_the_bytes_of_the_file(tmp_path: Path, start: int, size: int) -> None:
    expected = random.Random(1).randbytes(_SIZE)
    path = tmp_path / "f"
    if not path.exists():
        path.write_bytes(expected)
    stop = min(_SIZE, start + size)
    async with origin_at(url_of(tmp_path)) as origin:
        file = version_of(origin, (await listing(origin))["f"])
        assert await bytes_of(origin, file, start, stop) == expected[start:stop]


@pytest.mark.parametrize("change", ["rewritten", "replaced", "shortened", "touched", "deleted"])
async def test_a_file_that_changed_is_not_read(tmp_path: Path, change: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old bytes")
    os.utime(path, ns=(1, 1))
    async with origin_at(url_of(tmp_path)) as origin:
        file = version_of(origin, (await listing(origin))["f"])
        await origin.verify(file)
        match change:
            case "rewritten":
                path.write_bytes(b"new bytes")
            case "replaced":
                (tmp_path / "g").write_bytes(b"new bytes")
                os.utime(tmp_path / "g", ns=(1, 1))
                (tmp_path / "g").rename(path)
            case "shortened":
                os.truncate(path, 3)
                os.utime(path, ns=(1, 1))
            case "touched":
                path.touch()
            case "deleted":
                path.unlink()
        data = bytearray(9)
        with pytest.raises(ObjectChanged):
            await origin.verify(file)
        with pytest.raises(ObjectChanged):
            await origin.read(file, 0, memoryview(data))
        assert bytes(data) == bytes(9)


async def test_links_to_files_inside_are_followed_and_no_others(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "blobs").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "blobs/1").write_bytes(b"bytes")
    (root / "model").symlink_to("blobs/1")
    (root / "leak").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    (root / "circle").symlink_to(root)
    (root / "nowhere").symlink_to("missing")
    os.mkfifo(root / "pipe")
    async with origin_at(url_of(root)) as origin:
        found = await listing(origin)
        assert found.keys() == {"blobs/1", "model"}
        assert await bytes_of(origin, version_of(origin, found["model"])) == b"bytes"


async def test_a_link_that_is_turned_outwards_is_not_read(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    root.mkdir()
    secret.write_bytes(b"secret")
    async with origin_at(url_of(root)) as inner, origin_at(url_of(tmp_path)) as outer:
        stolen = version_of(outer, (await listing(outer))["secret"])
        (root / "f").symlink_to(secret)
        for key in (f"{root}/f", str(secret), f"{root}/../secret", f"{root}-other"):
            file = FileVersion(stolen.origin, key, stolen.tag, stolen.size)
            with pytest.raises(NotAllowed):
                await bytes_of(inner, file)


async def test_nested_mounts_have_the_same_versions(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/f").write_bytes(b"bytes")
    async with (
        origin_at(url_of(tmp_path)) as one,
        origin_at(url_of(tmp_path) + "/./a//") as two,
    ):
        first = version_of(one, (await listing(one))["a/f"])
        assert first == version_of(two, (await listing(two))["f"])


async def failure(url: str) -> OriginError:
    async with origin_at(url) as origin:
        with pytest.raises(OriginError) as caught:
            await listing(origin)
    assert "\n" not in str(caught.value)
    return caught.value


async def test_a_directory_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert type(await failure(url_of(tmp_path / "missing"))) is OriginNotFound
    (tmp_path / "f").touch()
    assert type(await failure(url_of(tmp_path / "f/below"))) is OriginNotFound


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_directory_that_may_not_be_read_is_denied(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert type(await failure(url_of(tmp_path))) is OriginDenied


@pytest.mark.parametrize(
    "url", ["file://host/data", "file:relative", "file:///data?x", "file:///data#x", "file:///%00"]
)
async def test_a_url_that_is_no_local_path_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        async with origin_at(url):
            pass


# --- claims -------------------------------------------------------------------------------------


def claim(url: str, root: Path) -> Origin:
    return open_origin(Mount(url), {}, dict, pvc_root=root)


async def test_a_claim_is_a_folder_wherever_a_node_has_its_claims(tmp_path: Path) -> None:
    (tmp_path / "one/models/v1").mkdir(parents=True)
    (tmp_path / "one/models/v1/a").write_bytes(b"bytes")
    (tmp_path / "one/models/b").write_bytes(b"b")
    (tmp_path / "two").symlink_to("one")
    one, other = (
        claim("pvc://models", tmp_path / "one"),
        claim("pvc://models/v1/", tmp_path / "two"),
    )
    found = await listing(one)
    assert {path: listed.key for path, listed in found.items()} == {
        "v1/a": "/models/v1/a",
        "b": "/models/b",
    }
    assert one.identity == other.identity == "pvc://"
    version = version_of(one, found["v1/a"])
    assert version == version_of(other, (await listing(other))["a"])
    assert await bytes_of(other, version) == b"bytes"
    with pytest.raises(NotAllowed):
        await bytes_of(other, version_of(one, found["b"]))
    await one.close()
    await other.close()


@pytest.mark.parametrize(
    "url", ["pvc://", "pvc:///x", "pvc://..", "pvc://../x", "pvc://A_b/x", "pvc://a/?x", "pvc:a"]
)
def test_what_names_no_claim_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        claim(url, tmp_path)


@pytest.mark.parametrize("path", ["../other", "%2e%2e/other", "v1/../../other", "out"])
async def test_nothing_leads_from_one_claim_to_another(path: str, tmp_path: Path) -> None:
    for name in ("models/v1", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "other/file").write_bytes(b"x")
    (tmp_path / "models/out").symlink_to(tmp_path / "other")
    origin = claim(f"pvc://models/{path}", tmp_path)
    with pytest.raises(OriginDenied if path == "out" else OriginNotFound):
        await listing(origin)
    state = (tmp_path / "other/file").stat()
    tag = f"{state.st_mtime_ns:x}-{state.st_size:x}-{state.st_ino:x}"
    for key in (f"/models/{path}/file", "/other/file", "/models/out/file"):
        with pytest.raises((NotAllowed, ObjectChanged)):
            await bytes_of(origin, FileVersion("pvc://", key, tag, 1))
    await origin.close()
