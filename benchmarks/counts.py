"""What was asked of an origin: requests and body bytes, per object and in all."""

import dataclasses
from urllib.parse import parse_qsl, unquote

_NO_OBJECT = frozenset(
    {
        "acl",
        "cors",
        "delimiter",
        "encryption",
        "lifecycle",
        "list-type",
        "location",
        "marker",
        "max-keys",
        "notification",
        "object-lock",
        "policy",
        "prefix",
        "tagging",
        "uploadid",
        "uploads",
        "versioning",
        "versions",
        "website",
    }
)
"""Queries of GETs that ask for something else than an object's bytes."""


@dataclasses.dataclass
class KeyCount:
    """What was asked of one object."""

    requests: int = 0
    bytes: int = 0


@dataclasses.dataclass
class Counts:
    """What passed since the start, or since the last `Cap.reset`."""

    object_requests: int = 0
    """GETs of objects, whatever the answer."""
    object_bytes: int = 0
    """Body bytes of 200 and 206 answers to them, as handed to the clients' connections."""
    other_requests: int = 0
    """Lists, heads, uploads and the rest."""
    most_in_flight: int = 0
    """The most object GETs at one time."""
    keys: dict[str, KeyCount] = dataclasses.field(default_factory=dict)
    """By path without the first slash, decoded: ``bucket/key`` of a path-style S3 request."""
    ranges: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """(key, Range header) of each object GET, in order."""


def object_key(method: str, target: str) -> str | None:
    """The object whose bytes a request (its method and raw target) asks for, if any."""
    path, _, query = target.partition("?")
    if method != "GET" or path.endswith("/"):
        return None
    if any(name.lower() in _NO_OBJECT for name, _ in parse_qsl(query, keep_blank_values=True)):
        return None
    return unquote(path).removeprefix("/")
