"""What a member says of what it holds, and how it fits into entries of the replicated map.

A member's summaries lie on *pages*, entries of the namespace `held`, each with the store id of the
member that writes it. Nobody's key depends on who it is: a newcomer takes over the page of a
member that is gone, so that members that come and go leave no tombstones behind, and there are
never more pages than the living ever needed at a time.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from meshcache.traffic import Traffic

HELD = "held"
"""The namespace."""

PAGE_BYTES = 4096
"""What the replicated map allows for one entry."""

_HEAD_BYTES = 48
"""Of a page before its first summary: the store id and the array's heads."""

MESH_BYTES = 4 << 20
"""What all members' summaries may take together, of the map's 16 MiB."""

MEMBER_PAGES = 16

FLOOD_BYTES = 32 << 10
"""Bytes a second of others' summaries that a member may have to take in, while all change."""

WRITE_BYTES = 150
"""What an entry costs on the wire beside its value: clock, writer, frame, encryption."""

MIN_PAUSE = 1.0
"""Seconds from one publication to the next, at the least."""

SNAPSHOT_BYTES = 8


class Summary(msgspec.Struct, frozen=True, array_like=True):
    """One dataset, as one member holds it."""

    dataset: str
    """The dataset's uid."""
    snapshot: bytes
    """The first 8 bytes of the id of the snapshot that the marks count in."""
    level: int
    """Of the sample (`meshcache.agent.held.sample`)."""
    held: bytes
    """Which blocks of the sample it holds (`meshcache.agent.held.coding`)."""
    traffic: Traffic


class Page(msgspec.Struct, frozen=True, array_like=True):
    """One entry of the map."""

    store: str
    """The store id of the member that wrote it; empty: nobody's."""
    summaries: tuple[Summary, ...]


_encoder = msgspec.msgpack.Encoder()
_page_decoder = msgspec.msgpack.Decoder(Page)


def snapshot_mark(snapshot: str) -> bytes:
    """How a summary names a snapshot."""
    return bytes.fromhex(snapshot)[:SNAPSHOT_BYTES]


def size_of(summary: Summary) -> int:
    """Bytes that it takes on a page."""
    return len(_encoder.encode(summary))


def encode_page(page: Page) -> bytes:
    """For the map: at most `PAGE_BYTES` if `lay_out` filled it."""
    return _encoder.encode(page)


def decode_page(data: bytes) -> Page:
    """Read what `encode_page` wrote; what a newer member wrote in another way is nobody's."""
    try:
        return _page_decoder.decode(data)
    except msgspec.MsgspecError:
        return Page("", ())


def room(members: int) -> int:
    """Bytes that one of so many members may publish."""
    most = min(MEMBER_PAGES * PAGE_BYTES, MESH_BYTES // max(members, 1))
    return max(most, PAGE_BYTES) - _HEAD_BYTES


def pause(members: int, written: int) -> float:
    """Seconds until the next publication, after one of so many bytes (`WRITE_BYTES` included)."""
    return max(MIN_PAUSE, members * written / FLOOD_BYTES)


def lay_out(sizes: Mapping[str, int], before: Sequence[Iterable[str]]) -> list[list[str]]:
    """Which summary stands on which page: where it stood before, while it fits there.

    Args:
        sizes: of each summary, by its dataset's uid.
        before: the uids on each page, as they were.

    Returns:
        The uids on each page; as many pages as before, or more.
    """
    pages: list[list[str]] = [[] for _ in before]
    free = [PAGE_BYTES - _HEAD_BYTES for _ in before]
    moving = dict.fromkeys(sizes)
    for number, uids in enumerate(before):
        for uid in uids:
            if uid in moving and sizes[uid] <= free[number]:
                free[number] -= sizes[uid]
                pages[number].append(uid)
                del moving[uid]
    for uid in moving:
        number = next((n for n, left in enumerate(free) if sizes[uid] <= left), len(pages))
        if number == len(pages):
            pages.append([])
            free.append(PAGE_BYTES - _HEAD_BYTES)
        free[number] -= sizes[uid]
        pages[number].append(uid)
    return pages
