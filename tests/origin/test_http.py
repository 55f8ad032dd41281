"""Web servers as origins: real ones, with and without ranges, ETags and HEAD."""

import asyncio
import functools
import http.server
import random
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from meshcache.block import FileVersion
from meshcache.errors import (
    InvalidInput,
    NotAllowed,
    ObjectChanged,
    OriginDenied,
    OriginFailed,
    OriginNotFound,
    OriginUnreachable,
    OriginUnversioned,
)
from meshcache.origin.attempts import ATTEMPTS
from meshcache.origin.http_pages import entries
from meshcache.units import MIB
from tests.support.capped import Cap
from tests.support.origins import bytes_of, listing, origin_at, version_of
from tests.support.seaweed import free_ports
from tests.support.webserver import WebServer, web_server


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with web_server() as server:
        yield server


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[str]:
    """Python's own http.server over `tmp_path`: no ranges, no ETags, a directory page."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}/"
        listening.shutdown()
        thread.join()


# --- listing ------------------------------------------------------------------------------------


async def test_one_file_is_listed_alone(server: WebServer) -> None:
    server.put("d/model.bin", b"12345")
    async with origin_at(server.url + "d/model.bin") as origin:
        found = await listing(origin)
        assert found.keys() == {"model.bin"}
        assert (found["model.bin"].key, found["model.bin"].size) == ("/d/model.bin", 5)
        assert found["model.bin"].mtime_ns == 1_700_000_000 * 10**9
        assert await bytes_of(origin, version_of(origin, found["model.bin"]), 1, 3) == b"23"


async def test_a_directory_page_is_followed_downwards(server: WebServer) -> None:
    names = ["d/a", "d/sub/b ü+%20.bin", "d/sub/deep/c", "other/x"]
    for name in names:
        server.put(name, name.encode())
    async with origin_at(server.url + "d/") as origin:
        found = await listing(origin)
        assert found.keys() == {"a", "sub/b ü+%20.bin", "sub/deep/c"}
        for path, listed in found.items():
            assert await bytes_of(origin, version_of(origin, listed)) == ("d/" + path).encode()


async def test_pythons_own_server_is_listed_and_read(plain: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    data = random.Random(3).randbytes(300_000)
    (tmp_path / "sub/ä b.bin").write_bytes(data)
    (tmp_path / "nowhere").symlink_to("missing")
    async with origin_at(plain) as origin:
        found = await listing(origin)
        assert found.keys() == {"sub/ä b.bin"}
        file = version_of(origin, found["sub/ä b.bin"])
        assert await bytes_of(origin, file, 100_000, 200_001) == data[100_000:200_001]


def test_only_links_one_level_down_are_entries() -> None:
    page = """<a href="../">up</a> <a href="?C=M">sort</a> <a href="/d/">itself</a> <A HREF='a.bin'>
        <a href="/d/b">absolute</a> <a href="sub/">folder</a> <a href="http://h/d/c#x">whole</a>
        <a href="sub/deep">two levels</a> <a href="//elsewhere/d/x">host</a> <a href="/x">out</a>
        <a href="%2e%2e/x">hidden</a> <a href="a%2Fb">slash</a> <a href="mailto:x@y"> <a name="n">
        <a href="a.bin">again</a> <a href="http://[">broken</a> <a href="e&amp;f">amp</a>"""
    found = entries(page, URL("http://h/d/"))
    assert [url.raw_path for url in found] == ["/d/a.bin", "/d/b", "/d/sub/", "/d/c", "/d/e&f"]


async def test_a_server_that_refuses_head_is_asked_for_a_byte(server: WebServer) -> None:
    server.put("f", b"12345")
    server.put("empty", b"")
    server.heads = False
    for ranges in (True, False):
        server.ranges = ranges
        async with origin_at(server.url) as origin:
            found = await listing(origin)
            assert {path: each.size for path, each in found.items()} == {"f": 5, "empty": 0}


async def test_a_server_without_versions_is_refused(server: WebServer) -> None:
    server.put("f", b"12345", modified=None)
    server.etags = "weak"
    async with origin_at(server.url + "f") as origin:
        with pytest.raises(OriginUnversioned):
            await listing(origin)


async def test_an_endless_directory_is_refused(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcache.origin.http.MAX_DEPTH", 3)
    monkeypatch.setattr("meshcache.origin.http.MAX_FILES", 3)
    server.put("1/2/3/f", b"x")
    async with origin_at(server.url) as origin:
        with pytest.raises(OriginFailed, match="levels"):
            await listing(origin)
    server.files = {f"f{number}": b"x" for number in range(4)}
    async with origin_at(server.url) as origin:
        with pytest.raises(OriginFailed, match="files"):
            await listing(origin)


# --- reading ------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    start=st.integers(0, MIB - 1),
    size=st.integers(1, MIB),
    etags=st.sampled_from(["strong", "weak", "none"]),
    ranges=st.booleans(),
    heads=st.booleans(),
)
async def test_any_range_from_any_server_has_the_bytes_of_the_file(
    server: WebServer, start: int, size: int, etags: str, ranges: bool, heads: bool
) -> None:
    data = random.Random(4).randbytes(MIB)
    stop = min(MIB, start + size)
    server.put("f", data)
    server.etags, server.ranges, server.heads = etags, ranges, heads
    async with origin_at(server.url) as origin:
        file = version_of(origin, (await listing(origin))["f"])
        assert await bytes_of(origin, file, start, stop) == data[start:stop]


@pytest.mark.parametrize("etags", ["strong", "weak"])
@pytest.mark.parametrize("conditions", [True, False])
@pytest.mark.parametrize("ranges", [True, False])
async def test_a_file_replaced_after_the_listing_is_never_read(
    server: WebServer, etags: str, conditions: bool, ranges: bool
) -> None:
    server.put("f", b"old bytes")
    server.etags, server.conditions, server.ranges = etags, conditions, ranges
    async with origin_at(server.url) as origin:
        file = version_of(origin, (await listing(origin))["f"])
        await origin.verify(file)
        for data, modified in ((b"new bytes", 1_700_000_001), (b"longer than it was", None)):
            server.put("f", data, modified)
            into = bytearray(9)
            with pytest.raises(ObjectChanged):
                await origin.read(file, 0, memoryview(into))
            assert bytes(into) == bytes(9)
            with pytest.raises(ObjectChanged):
                await origin.verify(file)


async def test_a_file_whose_weak_etag_became_strong_is_still_the_same(server: WebServer) -> None:
    server.put("f", b"bytes")
    server.etags = "weak"
    async with origin_at(server.url) as origin:
        file = version_of(origin, (await listing(origin))["f"])
        server.etags = "strong"
        assert await bytes_of(origin, file) == b"bytes"


async def test_a_deleted_file_has_changed(server: WebServer) -> None:
    server.put("f", b"bytes")
    async with origin_at(server.url) as origin:
        file = version_of(origin, (await listing(origin))["f"])
        server.files.clear()
        with pytest.raises(ObjectChanged, match="gone"):
            await bytes_of(origin, file)
        with pytest.raises(ObjectChanged):
            await origin.verify(file)


async def test_a_broken_connection_is_resumed_where_it_broke(server: WebServer) -> None:
    data = random.Random(2).randbytes(2 * MIB)
    server.put("f", data)
    async with Cap(server.url) as cap, origin_at(cap.url + "/f") as origin:
        file = version_of(origin, (await listing(origin))["f"])
        cap.cut_next(after=1_000_000)
        assert await bytes_of(origin, file) == data
        assert cap.counts.ranges[0][1] == f"bytes=0-{2 * MIB - 1}"
        assert cap.counts.object_requests == 2
        assert cap.counts.object_bytes < 2 * MIB + 600_000


async def test_what_is_not_below_the_url_is_not_read(server: WebServer) -> None:
    server.put("d/f", b"bytes")
    server.put("secret", b"bytes")
    async with origin_at(server.url + "d/") as origin:
        file = version_of(origin, (await listing(origin))["f"])
        for key in ("/secret", "/d/../secret", "/d/%2e%2e/secret", "//h/d/f", "/d/f?x"):
            with pytest.raises(NotAllowed):
                await bytes_of(origin, FileVersion(file.origin, key, file.tag, file.size))


async def test_nested_mounts_have_the_same_versions(server: WebServer) -> None:
    server.put("a/f", b"bytes")
    async with origin_at(server.url) as one, origin_at(server.url + "a/") as two:
        first = version_of(one, (await listing(one))["a/f"])
        assert first == version_of(two, (await listing(two))["f"])


# --- what goes wrong ----------------------------------------------------------------------------


async def test_errors_of_the_server_pass_or_are_the_origins(server: WebServer) -> None:
    server.put("f", b"bytes")
    async with origin_at(server.url) as origin:
        file = version_of(origin, (await listing(origin))["f"])
        server.fails = [503, 500, 429]
        assert await bytes_of(origin, file) == b"bytes"
        server.fails = [503] * ATTEMPTS
        with pytest.raises(OriginFailed, match="HTTP 503"):
            await bytes_of(origin, file)
        server.fails = [403]
        with pytest.raises(OriginDenied):
            await bytes_of(origin, file)
        assert server.fails == []


async def test_a_server_that_does_not_answer_is_given_up(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put("f", b"bytes")
    async with Cap(server.url) as cap, origin_at(cap.url + "/f") as origin:
        file = version_of(origin, (await listing(origin))["f"])
        monkeypatch.setattr("meshcache.origin.http_client.STALL", 0.3)
        cap.hold()
        with pytest.raises(OriginUnreachable, match="does not answer"):
            await bytes_of(origin, file)


async def test_what_is_not_there_and_who_is_not_there_are_told_apart(server: WebServer) -> None:
    closed = free_ports(1)[0]
    for url, error in (
        (server.url + "missing", OriginNotFound),
        (server.url + "missing/", OriginNotFound),
        (f"http://127.0.0.1:{closed}/f?sig=secret", OriginUnreachable),
        ("http://nowhere.invalid/", OriginUnreachable),
    ):
        async with origin_at(url) as origin:
            with pytest.raises(error) as caught:
                await listing(origin)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://", "http:///x", "http://user:secret@host/", "https://h:x/", "ftp://h/", "x"]
)
async def test_a_bad_url_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        async with origin_at(url):
            pass
    assert "secret@" not in str(caught.value)


async def test_a_cancelled_listing_ends(server: WebServer) -> None:
    server.put("f", b"bytes")
    async with Cap(server.url, latency=60) as cap, origin_at(cap.url + "/") as origin:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await listing(origin)


# --- lists --------------------------------------------------------------------------------------


async def test_a_list_shows_the_files_that_its_lines_name(server: WebServer) -> None:
    server.put("models/v1/a b.bin", b"aaa")
    server.put("models/c.bin", b"cc")
    server.put("other/d.bin", b"d")
    server.put("models/unnamed", b"x")
    lines = [
        "# a comment",
        "",
        "v1/a%20b.bin",
        " c.bin ",
        "/other/d.bin",
        f"{server.url}models/c.bin",
    ]
    server.put("models/list.txt", "\r\n".join(lines).encode())
    async with origin_at(f"{server.url}models/list.txt", {"list": "true"}) as origin:
        found = await listing(origin)
        assert {path: listed.key for path, listed in found.items()} == {
            "v1/a b.bin": "/models/v1/a%20b.bin",
            "c.bin": "/models/c.bin",
            "other/d.bin": "/other/d.bin",
        }
        for path, data in (("v1/a b.bin", b"aaa"), ("c.bin", b"cc"), ("other/d.bin", b"d")):
            assert await bytes_of(origin, version_of(origin, found[path])) == data
    async with origin_at(f"{server.url}models/list.txt") as origin:
        assert (await listing(origin)).keys() == {"list.txt"}, "without the option it is a file"


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ("https://elsewhere.example/x", OriginFailed, "line 2 names another server"),
        ("file:///etc/passwd", OriginFailed, "line 2"),
        ("http://[", OriginFailed, "line 2 is no URL"),
        ("missing.bin", OriginNotFound, "missing.bin"),
    ],
)
async def test_a_list_with_a_line_that_cannot_be_read_is_no_listing(
    server: WebServer, line: str, error: type[Exception], says: str
) -> None:
    server.put("there", b"x")
    server.put("list", f"there\n{line}\n".encode())
    async with origin_at(f"{server.url}list", {"list": "true"}) as origin:
        with pytest.raises(error, match=says):
            await listing(origin)


async def test_a_list_whose_file_is_gone_is_not_found(server: WebServer) -> None:
    async with origin_at(f"{server.url}list", {"list": "true"}) as origin:
        with pytest.raises(OriginNotFound):
            await listing(origin)
