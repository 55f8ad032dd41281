"""Listing a prefix by many requests at a time.

A listing of S3 is a walk in the order of the keys, 1000 at a time, and each page names the next: a
million keys are a thousand round trips. But a walk may begin behind any key, so the walk is cut
into *parts*, each from behind one key up to another, walked at the same time. The first cuts come
from a listing of the top level by its delimiter; then a part that has more pages to come is cut
in two whenever fewer requests are under way than there may be. Where to cut is guessed, by halving
the alphabet, and found out by asking for the one key behind the guess.

Nothing is left out on trust in the server's order (SeaweedFS's is not S3's: it walks directories),
nor in its knowing how to begin behind a key (S3's own directory buckets do not).
A part ends at the first key beyond its end, and that must be the very key with which the next one
began: then the parts together are what one walk would have been, in whatever order the server
walks. If it is not, cutting is given up: each directory of the top level is walked on its own,
which needs no order.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import NamedTuple

from meshcache.origin.s3_pages import Page
from meshcache.tasks import TaskSet

REQUESTS = 16
"""Requests for pages at a time; half of an origin's connections."""

MAX_PAGE = 1000
"""Keys on a page: S3 gives no more."""

_GUESSES = 24
"""Keys asked for to find one place to cut at: an ASCII character takes up to six."""

_REST = 8
"""Pages until a part that could not be cut is looked at again."""

_FIRST, _LAST = " ", "~"
"""Where keys' characters are looked for. Others lie before or behind, and are found all the same:
a cut at any place is right, it only may be of little use."""


class Query(NamedTuple):
    """One request for a page."""

    prefix: str
    after: str = ""
    """Keys behind this one alone."""
    token: str | None = None
    """Go on where the page that named it ended."""
    top_level: bool = False
    """Show what is further down by the prefix up to the next slash."""
    most: int = MAX_PAGE


class OrderUnusable(Exception):
    """Two parts do not meet: the server does not walk in the order of keys, or does not begin
    behind a key, or keys changed."""


class _Part:
    """A part of the walk: what comes behind `after`, up to and including `until`."""

    def __init__(self, prefix: str, after: str = "", until: str | None = None) -> None:
        self.prefix = prefix
        self.after = after
        self.until = until
        self.next: _Part | None = None
        self.first: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        """The first key behind `after`, whether or not it belongs to this part."""
        self.beyond: str | None = None
        """The key behind its end that the walk met; None if there was none."""
        self.rest = 0
        """Pages until cutting is worth another try."""

    def begins(self, page: Page) -> None:
        if not self.first.done():
            self.first.set_result(page.keys[0] if page.keys else None)


class Walk:
    """One listing."""

    def __init__(
        self,
        fetch: Callable[[Query], Awaitable[Page]],
        prefix: str,
        *,
        ordered: bool = True,
        requests: int = REQUESTS,
    ) -> None:
        """Prepare to list the keys that begin with `prefix`; `ordered` allows to cut by keys."""
        self._fetch = fetch
        self._prefix = prefix
        self._ordered = ordered
        self._requests = requests
        self._turns = asyncio.Semaphore(requests)
        self._parts = 0
        """Parts that are not done."""
        self._pages: asyncio.Queue[Page | BaseException | None] = asyncio.Queue(requests)
        self._tasks = TaskSet(self._on_error)

    async def pages(self) -> AsyncGenerator[Page]:
        """All pages, in no certain order; `prefixes` and `token` mean nothing.

        Raises:
            OrderUnusable: list again, with ``ordered=False``.
            OriginError: what the first failing request raised.
        """
        self._start(_Part(self._prefix), whole=True)
        try:
            while (page := await self._pages.get()) is not None:
                if isinstance(page, BaseException):
                    raise page
                yield page
        finally:
            await self._tasks.close()

    def _start(self, part: _Part, *, whole: bool = False) -> None:
        self._parts += 1
        self._tasks.start(self._run(part, whole), name=f"list {part.prefix}")

    def _on_error(self, name: str, error: BaseException) -> None:
        self._tasks.start(self._pages.put(error), name="tell")

    async def _run(self, part: _Part, whole: bool) -> None:
        async with self._turns:
            await (self._divide(part) if whole else self._walk(part, None))
        await self._check_border(part)
        self._parts -= 1
        if not self._parts:
            await self._pages.put(None)

    async def _divide(self, part: _Part) -> None:
        """Walk everything, or cut it along the top level if it is more than one page."""
        first = await self._fetch(Query(part.prefix))
        if not first.truncated:
            await self._emit(first)
            return
        top = await self._fetch(Query(part.prefix, top_level=True))
        if self._ordered:
            names = [] if top.truncated else sorted(top.prefixes)
            if len(names) == 1 and not top.keys:
                await self._divide(_Part(names[0]))
                return
            step = max(1, len(names) // self._requests)
            await self._walk(self._cut_at(part, names[step::step]), first)
        elif top.truncated or len(top.prefixes) > 4 * self._requests:
            await self._walk(part, first)
        else:
            await self._emit(top)
            for prefix in top.prefixes:
                self._start(_Part(prefix), whole=True)

    def _cut_at(self, part: _Part, places: list[str]) -> _Part:
        """Start further parts behind these places; gives what is left of this one."""
        last = part
        for place in places:
            further = _Part(part.prefix, place, last.until)
            last.until, last.next = place, further
            last = further
            self._start(further)
        return part

    async def _walk(self, part: _Part, page: Page | None) -> None:
        """Walk a part, from its first page if that is known."""
        if page is None:
            page = await self._fetch_behind(part.prefix, part.after)
        part.begins(page)
        while True:
            beyond = next((n for n, key in enumerate(page.keys) if _is_beyond(key, part)), None)
            await self._emit(page if beyond is None else _first_of(page, beyond))
            if beyond is not None:
                part.beyond = page.keys[beyond]
                return
            if not page.truncated:
                return
            if self._ordered and page.keys:
                await self._cut(part, page.keys[-1])
            page = await self._fetch(Query(part.prefix, part.after, page.token))

    async def _emit(self, page: Page) -> None:
        if page.keys:
            await self._pages.put(page)

    async def _cut(self, part: _Part, reached: str) -> None:
        """Give the farther half of what is left to another request, if one is free."""
        if part.rest or self._turns.locked():
            part.rest = max(0, part.rest - 1)
            return
        high = part.until
        for _ in range(_GUESSES):
            place = between(reached, high if high is not None else part.prefix + _LAST)
            if place is None:
                break
            behind = await self._fetch_behind(part.prefix, place, most=1)
            if not behind.keys or _is_beyond(behind.keys[0], part):
                high = place
                continue
            further = _Part(part.prefix, place, part.until)
            further.begins(behind)
            further.next, part.next, part.until = part.next, further, place
            self._start(further)
            return
        part.rest = _REST

    async def _fetch_behind(self, prefix: str, after: str, most: int = MAX_PAGE) -> Page:
        page = await self._fetch(Query(prefix, after, most=most))
        if page.keys and page.keys[0] <= after:
            raise OrderUnusable(f"what comes behind {after!r} begins with {page.keys[0]!r}")
        return page

    async def _check_border(self, part: _Part) -> None:
        if part.next is not None and await part.next.first != part.beyond:
            raise OrderUnusable(f"{part.until!r} is no border")


def _is_beyond(key: str, part: _Part) -> bool:
    return part.until is not None and key > part.until


def _first_of(page: Page, count: int) -> Page:
    return page._replace(
        keys=page.keys[:count],
        sizes=page.sizes[:count],
        times=page.times[:count],
        tags=page.tags[:count],
    )


def between(low: str, high: str) -> str | None:
    """A key about halfway between two, neither of them; None if none is found.

    Keys are compared as strings are, by code point, which is the order of their UTF-8 too.
    """
    place = _halfway(low, high)
    return place if place is not None and low < place < high else None


def _halfway(low: str, high: str) -> str | None:
    pairs = enumerate(zip(low, high, strict=False))
    common = next((n for n, (one, two) in pairs if one != two), min(len(low), len(high)))
    after, before = _code(low, common), _code(high, common)
    if before - after > 1:
        return low[:common] + _character((after + before) // 2, after)
    # Neighbours: what begins as `low` does, and goes on behind it.
    for place in range(common + 1, common + 9):
        after = _code(low, place)
        if after < ord(_LAST):
            return low[:place] + chr((after + ord(_LAST) + 1) // 2)
        if place >= len(low):
            break
    return None


def _code(text: str, place: int) -> int:
    return ord(text[place]) if place < len(text) else ord(_FIRST) - 1


def _character(code: int, after: int) -> str:
    """The character, or one near it: half of a surrogate pair is none."""
    if 0xD800 <= code <= 0xDFFF:
        return "\ud7ff" if after < 0xD7FF else "\ue000"
    return chr(code)
