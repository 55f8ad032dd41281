"""What an HTTP answer says of an object: its version, its size, and what its status means."""

import email.utils
import re
from collections.abc import Mapping

import msgspec

from meshcache.errors import (
    ObjectChanged,
    OriginDenied,
    OriginError,
    OriginFailed,
    OriginNotFound,
    OriginUnversioned,
)
from meshcache.origin.attempts import Transient

_TOTAL = re.compile(r"bytes (?:\d{1,19}-\d{1,19}|\*)/(\d{1,19})")
_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')

_STATUSES: dict[int, tuple[type[OriginError], str]] = {
    401: (OriginDenied, "access denied"),
    403: (OriginDenied, "access denied"),
    404: (OriginNotFound, "there is nothing there"),
    407: (OriginDenied, "the proxy wants credentials"),
    410: (OriginNotFound, "there is nothing there any more"),
    412: (ObjectChanged, "the object was replaced"),
    416: (ObjectChanged, "the object has become shorter"),
}


class Version(msgspec.Struct, frozen=True):
    """What headers say of an object's state."""

    etag: str
    """A strong one, with its quotes; else empty."""
    modified: str
    """Last-Modified as the server spells it; else empty."""
    size: int | None

    def tag(self, where: str) -> str:
        """What tells this version from others: the strong ETag, else date and size.

        Raises:
            OriginUnversioned: there is neither.
        """
        if self.etag:
            return self.etag
        if self.modified and self.size is not None:
            return f"{self.modified}/{self.size}"
        raise OriginUnversioned(
            f"{where}: the server gives neither a strong ETag nor Last-Modified, so its versions "
            "cannot be told apart"
        )

    def is_of(self, tag: str, size: int) -> bool:
        """Whether these are the headers of the version with that tag and size.

        A server may add an ETag later (Apache makes it strong when the file is a second old), so
        what is compared is what the tag was made of.
        """
        known = self.etag if tag.startswith('"') else f"{self.modified}/{size}"
        return known == tag and self.size in (None, size)

    @property
    def mtime_ns(self) -> int:
        """Of Last-Modified; 0 if there is none that can be read."""
        try:
            return int(email.utils.parsedate_to_datetime(self.modified).timestamp()) * 10**9
        except (ValueError, OverflowError):
            return 0


def version_of(status: int, headers: Mapping[str, str]) -> Version:
    """Read an answer to HEAD or GET, with a range (206; 416 if it holds nothing) or without; the
    headers' names in lower case."""
    etag = headers.get("etag", "")
    size: int | None = None
    if status in (206, 416):
        match = _TOTAL.fullmatch(headers.get("content-range", ""))
        size = int(match[1]) if match else None
    elif (length := headers.get("content-length", "")).isdecimal():
        size = int(length)
    return Version(
        etag=etag if _ETAG.fullmatch(etag) else "",
        modified=headers.get("last-modified", ""),
        size=size,
    )


def conditions(tag: str) -> dict[str, str]:
    """The headers that make a GET fail (412) if the object has another version."""
    if tag.startswith('"'):
        return {"If-Match": tag}
    return {"If-Unmodified-Since": tag.rpartition("/")[0]}


def refusal(where: str, status: int) -> Exception:
    """The error of ours that an answer other than 200 and 206 means; `Transient` if it may pass."""
    cls, meaning = _STATUSES.get(status, (OriginFailed, "the server failed"))
    ours = cls(f"{where}: {meaning} (HTTP {status})")
    return Transient(ours) if status >= 500 or status in (408, 425, 429) else ours
