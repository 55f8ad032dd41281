"""Range requests (RFC 9110, section 14)."""

import re
from typing import NamedTuple

from aiohttp import web

_DIGITS = re.compile(r"[0-9]{0,19}")
"""Python refuses to read a number of thousands of digits; no file needs more than these."""


class Part(NamedTuple):
    """The bytes [start, stop) of a whole, and how the answer says so."""

    start: int
    stop: int
    status: int
    headers: dict[str, str]

    def __len__(self) -> int:
        return self.stop - self.start


def byte_range(request: web.Request, whole: int, etag: str | None = None) -> Part:
    """What part of `whole` bytes a request wants.

    A header that is no single byte range is ignored, as the RFC allows, and so is a range under
    an ``If-Range`` that names another version.

    Raises:
        web.HTTPRequestRangeNotSatisfiable: it begins behind the end.
    """
    header = request.headers.get("Range", "")
    condition = request.headers.get("If-Range")
    whole_part = Part(0, whole, 200, {"Accept-Ranges": "bytes"})
    unit, _, spec = header.partition("=")
    first, dash, last = (text.strip() for text in spec.partition("-"))
    numbers = all(_DIGITS.fullmatch(text) for text in (first, last))
    if unit.strip().lower() != "bytes" or not dash or not numbers or not (first or last):
        return whole_part
    if condition is not None and condition != etag:
        return whole_part
    if first:
        start = int(first)
        stop = min(int(last) + 1, whole) if last else whole
        if last and int(last) < start:
            return whole_part
    else:
        start, stop = max(0, whole - int(last)), whole
    if start >= whole or start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(
            headers={"Content-Range": f"bytes */{whole}"},
        )
    return Part(
        start,
        stop,
        206,
        {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{stop - 1}/{whole}"},
    )
