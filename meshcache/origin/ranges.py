"""The Content-Range of an answer, held against what was asked for (RFC 9110, section 14.4)."""

import re

from meshcache.errors import ObjectChanged, OriginFailed

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


def check_content_range(where: str, told: str | None, start: int, left: int, size: int) -> None:
    """Let pass an answer that has `left` bytes from `start` on, of an object of `size` bytes.

    Raises:
        ObjectChanged: the object has another size now.
        OriginFailed: the answer is of another range, or does not tell.
    """
    match = _CONTENT_RANGE.fullmatch(told or "")
    if match is None:
        raise OriginFailed(f"{where}: the answer to a range does not say which range it is")
    first, last, total = (int(group) for group in match.groups())
    if total != size:
        raise ObjectChanged(f"{where} is {total} bytes long now, not {size}")
    if (first, last) != (start, start + left - 1):
        raise OriginFailed(f"{where}: the answer is of another range than was asked for")
