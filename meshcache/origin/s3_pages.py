"""Pages of a ListObjectsV2 answer, in columns.

botocore's parser makes a tree of the XML and a dictionary of each object, about 30 us for each;
five searches for the elements that matter find the same in 3 us. An answer that they do not
understand to the last element is left to botocore.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus
from xml.sax.saxutils import unescape

import numpy as np

EVENT = "before-parse.s3.ListObjectsV2"
PAGE = "MeshcachePage"

_KEY = re.compile("<Key>([^<]*)</Key>")
_SIZE = re.compile(r"<Size>(\d+)</Size>")
_TIME = re.compile(r"<LastModified>([0-9-]+T[0-9:.]+)Z</LastModified>")
_TAG = re.compile('<ETag>(?:&quot;|&#34;|")?([^<&"]+)(?:&quot;|&#34;|")?</ETag>')
_PREFIX = re.compile(r"<CommonPrefixes>\s*<Prefix>([^<]*)</Prefix>\s*</CommonPrefixes>")
_TRUNCATED = re.compile("<IsTruncated>([^<]*)</IsTruncated>")
_TOKEN = re.compile("<NextContinuationToken>([^<]*)</NextContinuationToken>")
_QUOTES = {"&quot;": '"', "&apos;": "'"}


class Page(NamedTuple):
    """Up to 1000 objects, one element of each column for each."""

    keys: list[str]
    sizes: list[int]
    """Bytes."""
    times: list[int]
    """Nanoseconds since 1970."""
    tags: list[str]
    """ETags without quotes; empty where there is none."""
    prefixes: list[str]
    """With a delimiter: what further keys begin with."""
    token: str | None
    """Where the listing goes on; None at its end."""
    truncated: bool


def take_page(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Parse a page in botocore's place; a handler of the event `EVENT`."""
    if response_dict["status_code"] >= 300:
        return
    if b"<ListBucketResult" not in response_dict["body"]:
        response_dict["status_code"] = 500  # an error that came too late for the status
        return
    page = _parse(response_dict["body"])
    if page is not None:
        customized_response_dict[PAGE] = page
        response_dict["body"] = b"<ListBucketResult/>"


def page_of(answer: Mapping[str, Any]) -> Page:
    """The page in botocore's answer, whoever parsed it."""
    page = answer.get(PAGE)
    if isinstance(page, Page):
        return page
    items = answer.get("Contents", ())
    return Page(
        keys=[item["Key"] for item in items],
        sizes=[int(item["Size"]) for item in items],
        times=[nanoseconds(item["LastModified"]) for item in items],
        tags=[str(item.get("ETag") or "").strip('"') for item in items],
        prefixes=[item["Prefix"] for item in answer.get("CommonPrefixes", ())],
        token=answer.get("NextContinuationToken"),
        truncated=bool(answer.get("IsTruncated")),
    )


def _parse(body: bytes) -> Page | None:
    if b"<![CDATA[" in body:
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    keys, prefixes = _KEY.findall(text), _PREFIX.findall(text)
    columns = [pattern.findall(text) for pattern in (_SIZE, _TIME, _TAG)]
    truncated = _TRUNCATED.findall(text)
    counts = {len(column) for column in (keys, *columns)} | {text.count("<Contents>")}
    if len(counts) != 1 or len(prefixes) != text.count("<CommonPrefixes>") or len(truncated) != 1:
        return None
    if any("&#" in name for name in (*keys, *prefixes)):
        return None
    decode = unquote_plus if "<EncodingType>url</EncodingType>" in text else str
    sizes, times, tags = columns
    token = _TOKEN.search(text)
    try:
        moments = np.array(times, dtype="datetime64[ns]").astype(np.int64).tolist()
    except ValueError:
        return None
    return Page(
        keys=[decode(_plain(key)) for key in keys],
        sizes=[int(size) for size in sizes],
        times=moments,
        tags=tags,
        prefixes=[decode(_plain(prefix)) for prefix in prefixes],
        token=_plain(token[1]) if token else None,
        truncated=truncated[0].strip() == "true",
    )


def _plain(text: str) -> str:
    return unescape(text, _QUOTES) if "&" in text else text


def nanoseconds(moment: datetime) -> int:
    """Since 1970."""
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
