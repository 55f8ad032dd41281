"""URLs and options of mounts, and the identities that they have."""

import asyncio

import pytest

from meshcache.dataset import Mount
from meshcache.errors import InvalidInput
from meshcache.origin.open import open_origin
from tests.support.origins import listing, origin_at


def identity(url: str, **options: str) -> str:
    return open_origin(Mount(url), options, dict).identity


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("s3://bucket", {}, "s3+aws://bucket"),
        ("s3://bucket/a/b/", {"region": "eu-west-1"}, "s3+aws://bucket"),
        ("s3://bucket", {"region": "cn-north-1"}, "s3+aws-cn://bucket"),
        ("s3://bucket", {"region": "us-gov-west-1"}, "s3+aws-us-gov://bucket"),
        ("S3://bucket/x", {"endpoint": "HTTP://Host:80/"}, "s3+http://host/bucket"),
        ("s3://bucket", {"endpoint": "https://h:443"}, "s3+https://h/bucket"),
        ("s3://bucket", {"endpoint": "http://127.0.0.1:8333"}, "s3+http://127.0.0.1:8333/bucket"),
        ("s3://bucket", {"endpoint": "http://[::1]:8333/s3/"}, "s3+http://[::1]:8333/s3/bucket"),
        ("oss://bucket/x", {"region": "cn-x"}, "s3+https://oss-cn-x.aliyuncs.com/bucket"),
        ("oss://bucket/x", {"region": "oss-cn-x"}, "s3+https://oss-cn-x.aliyuncs.com/bucket"),
        ("oss://bucket", {"endpoint": "http://oss.test"}, "s3+http://oss.test/bucket"),
        ("gs://bucket/x", {}, "s3+https://storage.googleapis.com/bucket"),
        ("gs://bucket", {"endpoint": "http://h"}, "s3+http://h/bucket"),
        ("cos://b-1", {"region": "ap-x"}, "s3+https://cos.ap-x.myqcloud.com/b-1"),
        ("obs://bucket", {"region": "cn-x"}, "s3+https://obs.cn-x.myhuaweicloud.com/bucket"),
        ("minio://bucket", {"endpoint": "http://minio:9000"}, "s3+http://minio:9000/bucket"),
        ("https://Host:443/dir/", {}, "https://host"),
        ("http://host:8080/f?x=1", {"region": "eu-west-1"}, "http://host:8080"),
        ("file:///data/models", {}, "file://"),
    ],
)
def test_an_identity_is_canonical(url: str, options: dict[str, str], expected: str) -> None:
    assert identity(url, **options) == expected


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("s3://", {}),
        ("s3:///key", {}),
        ("s3://b", {}),
        ("s3://bad bucket", {}),
        ("s3://access:secret@bucket/x", {}),
        ("s3://bucket/a\nb", {}),
        ("oss://bucket", {}),
        ("s3://bucket", {"endpoint": "host:9000"}),
        ("s3://bucket", {"endpoint": "ftp://host"}),
        ("s3://bucket", {"endpoint": "http://user:secret@host"}),
        ("s3://bucket", {"endpoint": "http://host:99999"}),
        ("s3://bucket", {"endpoint": "http://host/?x=1"}),
        ("s3://bucket", {"region": "Not A Region"}),
        ("s3://bucket", {"addressing": "sideways"}),
        ("s3://bucket", {"anonymous": "perhaps"}),
        ("s3://bucket", {"colour": "red"}),
        ("minio://bucket", {}),
        ("cos://bucket", {}),
        ("hdfs://name/path", {}),
        ("pvc://claim/x", {}),
        ("pvc://../x", {}),
        ("https://host/dir/", {"list": "true"}),
        ("https://host/list", {"list": "perhaps"}),
        ("bucket", {}),
        ("user:secret@host", {}),
        ("", {}),
    ],
)
def test_bad_input_is_one_line_without_secrets(url: str, options: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        identity(url, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "secret@" not in message


def test_oss_is_addressed_by_host_and_other_endpoints_by_path() -> None:
    from meshcache.origin.s3_place import parse_place

    assert parse_place("oss://bucket", {"region": "cn-x"}).addressing == "virtual"
    assert parse_place("s3://bucket", {"endpoint": "http://h"}).addressing == "path"
    assert parse_place("s3://bucket", {}).addressing == "auto"
    for url, addressing in (
        *(("gs://bucket", "path"), ("minio://bucket", "path")),
        *(("cos://bucket", "virtual"), ("obs://bucket", "virtual")),
    ):
        assert parse_place(url, {"endpoint": "http://h"}).addressing == addressing
    virtual = {"endpoint": "http://h", "addressing": "virtual"}
    assert parse_place("s3://bucket", virtual).addressing == "virtual"


async def test_an_oss_bucket_is_named_in_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    secrets = {"access_key": "some-key", "secret_key": "some-secret"}
    async with (
        server,
        origin_at("oss://bucket", {"endpoint": "http://oss.test"}, lambda: secrets) as origin,
    ):
        assert await listing(origin) == {}
    assert heard[0].startswith("GET http://bucket.oss.test/?list-type=2&")
    assert "AWS4-HMAC-SHA256 Credential=some-key/" in heard[0]
