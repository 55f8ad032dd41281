"""The heads of HTTP/1.1 messages (RFC 9112): what is asked, and what an answer says first. Pure.

Strict where leniency has been exploited: no folded lines, no space before a colon, no bare line
feeds, no NUL. Bytes that are no UTF-8 come through as surrogates and go out as they came.
"""

import re
from collections.abc import Mapping

import msgspec

from meshcache.errors import InvalidInput
from meshcache.http.errors import BadAnswer

MAX_HEAD = 64 << 10
"""Bytes of an answer's head, the interim ones (1xx) before it included."""

END = b"\r\n\r\n"

_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-5]\d\d)(?: [^\r\n\0]*+)?\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\r\n\0]*+\r\n)*+)\r\n"
)


class Head(msgspec.Struct, frozen=True):
    """What an answer says before its body."""

    status: int
    headers: dict[str, str]
    """By name in lower case; the values of a name that comes several times are joined by commas."""
    keeps: bool = False
    """Whether the server means to keep the connection (RFC 9112, section 9.3)."""

    def get(self, name: str) -> str:
        """A header by its name in lower case; empty if it is not there."""
        return self.headers.get(name, "")

    @property
    def length(self) -> int | None:
        """Content-Length, if it is there and a number."""
        text = self.get("content-length")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def parse_head(data: bytes | bytearray) -> Head:
    """Read a head, up to and with the empty line at its end.

    Raises:
        BadAnswer: it is none.
    """
    match = _HEAD.fullmatch(data)
    if match is None:
        raise BadAnswer("what answers is not an HTTP server")
    headers: dict[str, str] = {}
    for line in match[3].decode("utf-8", "surrogateescape").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    said = headers.get("connection", "").lower()
    keeps = "close" not in said if match[1] == b"1" else "keep-alive" in said
    return Head(int(match[2]), headers, keeps)


def encode_request(method: str, target: str, host: str, headers: Mapping[str, str]) -> bytes:
    """A request without a body.

    Args:
        target: what stands in the request line: a path with its query, or a whole URL for a proxy.
        host: the Host header.

    Raises:
        InvalidInput: a part that would change what the others mean.
    """
    if not target.isascii() or not target.isprintable() or " " in target:
        raise InvalidInput(f"{target[:100]!r} cannot be asked for over HTTP")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    text = "\r\n".join((*lines, "", ""))
    ends = len(lines) + 1
    if text.count("\n") != ends or text.count("\r") != ends or "\0" in text:
        raise InvalidInput("a header of a request holds no line break")
    return text.encode("utf-8", "surrogateescape")
