"""Reading and listing S3, at a real server."""

import asyncio
import logging.handlers
import random
import socket
import time
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshcache.block import FileVersion
from meshcache.errors import (
    InvalidInput,
    NotAllowed,
    ObjectChanged,
    OriginDenied,
    OriginError,
    OriginFailed,
    OriginNotFound,
    OriginUnreachable,
)
from meshcache.origin import Origin, s3_client
from meshcache.origin.attempts import ATTEMPTS
from meshcache.units import MIB
from tests.support.capped import Cap
from tests.support.origins import bytes_of, keys_of, listing, origin_at, version_of
from tests.support.seaweed import Seaweed, free_ports
from tests.support.wait import eventually


@pytest.fixture
async def cap(seaweed: Seaweed) -> AsyncIterator[Cap]:
    async with Cap(seaweed.endpoint) as cap:
        yield cap


@pytest.fixture
async def origin(seaweed: Seaweed, bucket: str, cap: Cap) -> AsyncIterator[Origin]:
    """The bucket, through the cap."""
    async with origin_at(f"s3://{bucket}", {"endpoint": cap.url}, keys_of(seaweed)) as origin:
        yield origin


async def file_in(origin: Origin, path: str = "f") -> FileVersion:
    return version_of(origin, (await listing(origin))[path])


# --- listing ------------------------------------------------------------------------------------


async def test_a_listing_has_every_object_with_size_time_and_tag(
    seaweed: Seaweed, bucket: str, origin: Origin
) -> None:
    before = time.time()
    tag = seaweed.put(bucket, "a/b/c.bin", b"12345")
    seaweed.put(bucket, "ä b+c%20.txt", b"")
    found = await listing(origin)
    assert found.keys() == {"a/b/c.bin", "ä b+c%20.txt"}
    listed = found["a/b/c.bin"]
    assert (listed.key, listed.size, listed.tag) == ("a/b/c.bin", 5, tag)
    assert before - 2 < listed.mtime_ns / 1e9 < time.time() + 2


async def test_a_listing_goes_on_past_the_first_page(
    seaweed: Seaweed, bucket: str, origin: Origin
) -> None:
    names = {f"k{number:04}" for number in range(1050)}
    await asyncio.to_thread(lambda: [seaweed.put(bucket, name, b"") for name in names])
    assert (await listing(origin)).keys() == names


async def test_a_prefix_is_a_directory(seaweed: Seaweed, bucket: str) -> None:
    seaweed.put(bucket, "models/x/a", b"1")
    seaweed.put(bucket, "models/x/sub/b", b"22")
    seaweed.put(bucket, "models/xy", b"333")
    options = {"endpoint": seaweed.endpoint}
    for url in (f"s3://{bucket}/models/x", f"s3://{bucket}/models/x/"):
        async with origin_at(url, options, keys_of(seaweed)) as origin:
            found = await listing(origin)
            assert found.keys() == {"a", "sub/b"}
            assert found["sub/b"].key == "models/x/sub/b"


async def test_a_prefix_that_is_an_object_is_that_one_file(seaweed: Seaweed, bucket: str) -> None:
    tag = seaweed.put(bucket, "models/x.bin", b"12345")
    url = f"s3://{bucket}/models/x.bin"
    async with origin_at(url, {"endpoint": seaweed.endpoint}, keys_of(seaweed)) as origin:
        found = await listing(origin)
        assert found.keys() == {"x.bin"}
        assert (found["x.bin"].key, found["x.bin"].tag) == ("models/x.bin", tag)
        assert await bytes_of(origin, version_of(origin, found["x.bin"])) == b"12345"


async def test_directory_markers_are_no_files(
    seaweed: Seaweed, bucket: str, origin: Origin
) -> None:
    seaweed.put(bucket, "d/", b"")
    seaweed.put(bucket, "d/f", b"1")
    assert (await listing(origin)).keys() == {"d/f"}


async def test_an_empty_bucket_is_an_empty_listing(origin: Origin) -> None:
    assert await listing(origin) == {}


async def test_a_prefix_with_nothing_below_it_is_an_error(seaweed: Seaweed, bucket: str) -> None:
    for url in (f"s3://{bucket}/typo", f"s3://{bucket}/typo/"):
        async with origin_at(url, {"endpoint": seaweed.endpoint}, keys_of(seaweed)) as origin:
            with pytest.raises(OriginNotFound, match="nothing there"):
                await listing(origin)


# --- reading ------------------------------------------------------------------------------------


_SIZE = 3 * MIB + 12345


@pytest.fixture(scope="session")
def kept(seaweed: Seaweed) -> tuple[str, bytes]:
    """A bucket with one object ``f``, and its bytes; nobody changes it."""
    name = seaweed.make_bucket()
    data = random.Random(5).randbytes(_SIZE)
    seaweed.put(name, "f", data)
    return name, data


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
async def test_any_range_has_the_bytes_of_the_object(
    seaweed: Seaweed, kept: tuple[str, bytes], data: st.DataObject
) -> None:
    name, expected = kept
    ranges = data.draw(
        st.lists(
            st.tuples(st.integers(0, _SIZE - 1), st.integers(1, MIB)).map(
                lambda pair: (pair[0], min(_SIZE, pair[0] + pair[1]))
            ),
            min_size=1,
            max_size=4,
        )
    )
    async with origin_at(
        f"s3://{name}", {"endpoint": seaweed.endpoint}, keys_of(seaweed)
    ) as origin:
        file = await file_in(origin)
        parts = await asyncio.gather(*(bytes_of(origin, file, *each) for each in ranges))
    assert parts == [expected[start:stop] for start, stop in ranges]


async def test_a_read_costs_one_request_of_exactly_its_range(
    seaweed: Seaweed, bucket: str, cap: Cap, origin: Origin
) -> None:
    seaweed.put(bucket, "f", bytes(1000))
    file = await file_in(origin)
    await bytes_of(origin, file, 100, 300)
    assert cap.counts.ranges == [(f"{bucket}/f", "bytes=100-299")]
    assert cap.counts.object_bytes == 200


@pytest.mark.parametrize("same_size", [True, False])
async def test_an_object_replaced_after_the_listing_is_never_read(
    seaweed: Seaweed, bucket: str, origin: Origin, same_size: bool
) -> None:
    seaweed.put(bucket, "f", b"old bytes")
    file = await file_in(origin)
    await origin.verify(file)
    seaweed.put(bucket, "f", b"new bytes" if same_size else b"new")
    data = bytearray(9)
    with pytest.raises(ObjectChanged):
        await origin.read(file, 0, memoryview(data))
    assert bytes(data) == bytes(9)
    with pytest.raises(ObjectChanged):
        await origin.verify(file)


async def test_a_deleted_object_has_changed(seaweed: Seaweed, bucket: str, origin: Origin) -> None:
    seaweed.put(bucket, "f", b"bytes")
    file = await file_in(origin)
    seaweed.delete(bucket, "f")
    with pytest.raises(ObjectChanged, match="gone"):
        await bytes_of(origin, file)
    with pytest.raises(ObjectChanged):
        await origin.verify(file)


async def test_a_key_outside_the_prefix_is_not_read(seaweed: Seaweed, bucket: str) -> None:
    tag = seaweed.put(bucket, "secret/f", b"bytes")
    seaweed.put(bucket, "shown/f", b"bytes")
    options = {"endpoint": seaweed.endpoint}
    async with origin_at(f"s3://{bucket}/shown", options, keys_of(seaweed)) as origin:
        with pytest.raises(NotAllowed):
            await bytes_of(origin, FileVersion(origin.identity, "secret/f", tag, 5))


async def test_two_mounts_of_one_bucket_have_the_same_versions(
    seaweed: Seaweed, bucket: str
) -> None:
    seaweed.put(bucket, "a/b/f", b"bytes")
    options = {"endpoint": seaweed.endpoint + "/"}
    async with (
        origin_at(f"s3://{bucket}/a", options, keys_of(seaweed)) as one,
        origin_at(f"s3://{bucket}/a/b/", options, keys_of(seaweed)) as two,
    ):
        assert await file_in(one, "b/f") == await file_in(two, "f")


async def test_a_multipart_object_reads_under_its_listed_tag(
    seaweed: Seaweed, bucket: str, origin: Origin
) -> None:
    data = random.Random(1).randbytes(12 * MIB)
    await asyncio.to_thread(seaweed.put_multipart, bucket, "f", data)
    file = await file_in(origin)
    assert file.tag.endswith("-2")
    assert await bytes_of(origin, file, 7 * MIB, 9 * MIB) == data[7 * MIB : 9 * MIB]


# --- what goes wrong ----------------------------------------------------------------------------


async def test_a_broken_connection_is_resumed_where_it_broke(
    seaweed: Seaweed, bucket: str, cap: Cap, origin: Origin
) -> None:
    data = random.Random(2).randbytes(2 * MIB)
    seaweed.put(bucket, "f", data)
    file = await file_in(origin)
    cap.cut_next(after=1_000_000)
    assert await bytes_of(origin, file) == data
    assert cap.counts.object_requests == 2
    assert cap.counts.object_bytes < 2 * MIB + 600_000  # the second asked for about the rest only


async def test_a_few_errors_of_the_server_pass(
    seaweed: Seaweed, bucket: str, cap: Cap, origin: Origin
) -> None:
    seaweed.put(bucket, "f", b"bytes")
    file = await file_in(origin)
    cap.fail_next(ATTEMPTS - 1, status=503)
    assert await bytes_of(origin, file) == b"bytes"


async def test_errors_that_do_not_end_are_the_origins(
    seaweed: Seaweed, bucket: str, cap: Cap, origin: Origin
) -> None:
    seaweed.put(bucket, "f", b"bytes")
    file = await file_in(origin)
    cap.fail_next(ATTEMPTS, status=503)
    with pytest.raises(OriginFailed, match="HTTP 503"):
        await bytes_of(origin, file)
    assert cap.counts.object_requests == ATTEMPTS


async def test_a_server_that_does_not_answer_is_given_up(
    seaweed: Seaweed, bucket: str, cap: Cap, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    seaweed.put(bucket, "f", b"bytes")
    file = await file_in(origin)
    monkeypatch.setattr("meshcache.origin.s3.STALL", 0.3)
    cap.hold()
    with pytest.raises(OriginUnreachable, match="does not answer"):
        await bytes_of(origin, file)
    assert cap.counts.object_requests == 1


async def test_a_slow_server_is_waited_for_as_long_as_bytes_come(
    seaweed: Seaweed, bucket: str, cap: Cap, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    seaweed.put(bucket, "f", bytes(300_000))
    file = await file_in(origin)
    monkeypatch.setattr("meshcache.origin.s3.STALL", 0.5)
    cap.bandwidth.rate = 200_000
    assert len(await bytes_of(origin, file)) == 300_000
    assert cap.counts.object_requests == 1


async def test_a_cancelled_read_frees_its_connection(
    seaweed: Seaweed, bucket: str, cap: Cap, origin: Origin
) -> None:
    seaweed.put(bucket, "f", b"bytes")
    file = await file_in(origin)
    gate = cap.hold()
    reads = [asyncio.ensure_future(bytes_of(origin, file)) for _ in range(40)]  # noqa: TID251
    await eventually(lambda: cap.held == 32)
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    gate.set()
    assert await bytes_of(origin, file) == b"bytes"


async def refusal(url: str, endpoint: str, **secrets: str) -> OriginError:
    """What listing says, once it is sure to be one line without secrets."""
    async with origin_at(url, {"endpoint": endpoint}, lambda: secrets) as origin:
        with pytest.raises(OriginError) as caught:
            await listing(origin)
    message = str(caught.value)
    assert "\n" not in message
    assert url in message
    assert not [secret for secret in secrets.values() if secret in message]
    return caught.value


async def test_a_bucket_that_is_not_there_is_named(seaweed: Seaweed) -> None:
    error = await refusal("s3://no-such-bucket", seaweed.endpoint, **keys_of(seaweed)())
    assert type(error) is OriginNotFound
    assert "no such bucket" in str(error)


async def test_wrong_keys_are_denied(seaweed: Seaweed, bucket: str) -> None:
    for access, secret in ((seaweed.access_key, "wrong-secret"), ("stranger-key", "whatever")):
        error = await refusal(
            f"s3://{bucket}", seaweed.endpoint, access_key=access, secret_key=secret
        )
        assert type(error) is OriginDenied


async def test_a_closed_port_is_unreachable() -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    error = await refusal("s3://bucket", endpoint, access_key="some-key", secret_key="some-secret")
    assert type(error) is OriginUnreachable
    assert str(error) == f"s3://bucket at {endpoint}: connection refused"


async def test_an_unknown_host_is_unreachable() -> None:
    error = await refusal(
        "s3://bucket", "http://nowhere.invalid", access_key="some-key", secret_key="some-secret"
    )
    assert type(error) is OriginUnreachable


async def test_a_server_that_is_not_s3_is_no_listing() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(
            "s3://bucket", f"http://127.0.0.1:{port}", access_key="a-key", secret_key="a-secret"
        )
    assert type(error) is OriginFailed


@pytest.mark.parametrize("scheme", ["minio", "gs", "oss", "cos", "obs"])
async def test_every_flavour_lists_and_reads_a_real_server(
    seaweed: Seaweed, bucket: str, scheme: str
) -> None:
    seaweed.put(bucket, "a/f", b"bytes")
    options = {"endpoint": seaweed.endpoint, "addressing": "path"}
    async with origin_at(f"{scheme}://{bucket}/a", options, keys_of(seaweed)) as origin:
        assert origin.identity == f"s3+{seaweed.endpoint}/{bucket}", "one bucket, one identity"
        assert await bytes_of(origin, await file_in(origin)) == b"bytes"


# --- credentials --------------------------------------------------------------------------------


async def test_rotated_secrets_are_read_again_when_the_old_ones_are_refused(
    seaweed: Seaweed, bucket: str
) -> None:
    seaweed.put(bucket, "f", b"bytes")
    right = keys_of(seaweed)()
    current = {"access_key": "old-key", "secret_key": "old-secret"}
    options = {"endpoint": seaweed.endpoint}
    async with origin_at(f"s3://{bucket}", options, lambda: current) as origin:
        with pytest.raises(OriginDenied):
            await listing(origin)
        current = dict(right)
        files = await asyncio.gather(*(file_in(origin) for _ in range(5)))
        assert await bytes_of(origin, files[0]) == b"bytes"


async def test_rotated_secrets_are_used_though_the_old_ones_are_still_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heard.append(head.partition("Credential=")[2].partition("/")[0])
        page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(page))
        writer.write(b"Connection: close\r\n\r\n" + page)
        await writer.drain()
        writer.close()

    current = {"access_key": "old", "secret_key": "secret"}

    def resolve() -> dict[str, str]:
        if not current:
            raise InvalidInput("is just being replaced")
        return current

    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    options = {"endpoint": f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"}
    async with listening, origin_at("minio://bucket", options, resolve) as origin:
        await listing(origin)
        current = {"access_key": "new", "secret_key": "secret"}
        await listing(origin)
        monkeypatch.setattr(s3_client, "RECHECK", 0.0)
        await listing(origin)
        current = {}
        await listing(origin)
    assert heard == ["old", "old", "new", "new"]


async def test_a_public_bucket_is_read_without_keys(seaweed: Seaweed) -> None:
    name = seaweed.make_bucket("public")
    try:
        seaweed.put(name, "f", b"bytes")
        options = {"endpoint": seaweed.endpoint, "anonymous": "true"}
        async with origin_at(f"s3://{name}", options) as origin:
            assert await bytes_of(origin, await file_in(origin)) == b"bytes"
    finally:
        seaweed.delete_bucket(name)


async def test_a_nodes_own_credentials_go_to_no_endpoint_but_aws(
    seaweed: Seaweed, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.secret_key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        port = listening.getsockname()[1]
        error = await refusal(f"s3://{bucket}", f"http://127.0.0.1:{port}")
        with pytest.raises(BlockingIOError):
            listening.accept()  # it was not even connected to
    assert type(error) is OriginDenied
    assert "anonymous=true" in str(error)


async def test_a_node_without_any_credentials_says_so_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A metadata service that takes connections and answers nothing.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{port}")
        start = time.monotonic()
        with pytest.raises(OriginDenied, match="no credentials"):
            async with origin_at("s3://bucket", {"region": "us-east-1"}) as origin:
                await listing(origin)
    assert time.monotonic() - start < 15


async def test_the_s3_library_logs_nothing(seaweed: Seaweed, bucket: str) -> None:
    heard = logging.handlers.BufferingHandler(10**6)
    root = logging.getLogger()
    level = root.level
    root.addHandler(heard)
    root.setLevel(logging.DEBUG)
    try:
        async with origin_at(
            f"s3://{bucket}", {"endpoint": seaweed.endpoint}, keys_of(seaweed)
        ) as origin:
            await listing(origin)
    finally:
        root.setLevel(level)
        root.removeHandler(heard)
    assert [record for record in heard.buffer if "botocore" in record.name] == []
