"""Origins in S3 and what speaks like it: ``s3://bucket/prefix``, ``oss://bucket/prefix``.

A key is below the root if it begins with the prefix and a slash; ``s3://b/models/x`` shows
``models/x/a.bin`` as ``a.bin``. If nothing is there and ``models/x`` is itself an object, it is
shown alone, as ``x``. Empty objects whose key ends in ``/`` are markers that some tools leave for
directories; they are not listed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from meshcache.block import FileVersion
from meshcache.errors import (
    NotAllowed,
    ObjectChanged,
    OriginDenied,
    OriginError,
    OriginFailed,
    OriginNotFound,
    OriginUnversioned,
)
from meshcache.http import Body, Head
from meshcache.origin.attempts import STALL, Transient, in_attempts
from meshcache.origin.base import Arrived, Listed, nobody
from meshcache.origin.ranges import check_content_range
from meshcache.origin.s3_client import CONNECTIONS, Lease, S3Clients
from meshcache.origin.s3_errors import failure, is_refused
from meshcache.origin.s3_get import S3Gets
from meshcache.origin.s3_listing import OrderUnusable, Query, Walk
from meshcache.origin.s3_pages import Page, nanoseconds, page_of
from meshcache.origin.s3_place import Place, parse_place
from meshcache.origin.sink import Sink
from meshcache.units import KIB

T = TypeVar("T")

_CHUNK = 256 * KIB
"""The most that is taken from a body at once: what a read holds besides its buffer."""


class S3Origin:
    """A bucket, or the part of it below a prefix. Implements `Origin`."""

    def __init__(
        self,
        url: str,
        options: Mapping[str, str],
        secrets: Callable[[], Mapping[str, str]],
    ) -> None:
        """Read the URL and options; nothing is connected or resolved before the first use.

        Raises:
            InvalidInput: the URL or an option cannot be.
        """
        self._place: Place = parse_place(url, options)
        self._clients = S3Clients(self._place, secrets)
        self._gets = S3Gets(self._place)
        # Waiting for a connection of the pool must not look like a server that stalls.
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._ordered = True
        """Whether the server walks in the order of keys, as far as is known."""

    @property
    def identity(self) -> str:
        """``s3+<endpoint>/<bucket>``: see `Place.identity`."""
        return self._place.identity

    def covers(self, key: str) -> bool:
        """Whether the mount shows this key: others of the bucket are not read through it."""
        return self._place.covers(key)

    async def list(self) -> AsyncIterator[Listed]:
        """All objects below the root; see `Origin.list`.

        Raises:
            OriginNotFound: no such bucket, or nothing at all at the prefix.
        """
        empty = True
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                empty = False
                for key, size, time, tag in zip(*page[:4], strict=True):
                    path = self._place.path_of(key)
                    if path is not None and not (size == 0 and path.endswith("/")):
                        yield self._listed(key, path, size, time, tag)
        if not empty or not self._place.prefix:
            return
        alone = await self._alone()
        if alone is None:
            raise OriginNotFound(f"{self._place.shown}: there is nothing there")
        yield alone

    async def _pages(self) -> AsyncGenerator[Page]:
        while True:
            walk = Walk(self._page, self._place.prefix, ordered=self._ordered)
            try:
                async with aclosing(walk.pages()) as pages:
                    async for page in pages:
                        yield page
                return
            except OrderUnusable:
                # Of a key that is listed twice the later counts.
                self._ordered = False

    async def _page(self, query: Query) -> Page:
        arguments: dict[str, Any] = {"Bucket": self._place.bucket, "Prefix": query.prefix}
        arguments["MaxKeys"] = query.most
        if query.top_level:
            arguments["Delimiter"] = "/"
        if query.token is not None:
            arguments["ContinuationToken"] = query.token
        elif query.after:
            arguments["StartAfter"] = query.after

        async def ask(lease: Lease) -> Page | None:
            try:
                async with asyncio.timeout(STALL):
                    return page_of(await lease.client.list_objects_v2(**arguments))
            except Exception as error:
                if "StartAfter" in arguments and is_refused(error):
                    return None
                raise

        try:
            page = await self._ask(ask)
        except ObjectChanged as error:  # a 404 without S3's words
            raise OriginNotFound(f"{self._place.shown}: there is no such bucket") from error
        if page is None:
            raise OrderUnusable("a listing cannot begin behind a key")
        if page.truncated and (not page.token or page.token == query.token):
            raise OriginFailed(f"{self._place.shown}: the listing does not go on")
        return page

    async def _alone(self) -> Listed | None:
        """The object that the URL itself names, if there is one."""
        key = self._place.exact
        if not key:
            return None

        try:
            answer = await self._head(key)
        except ObjectChanged:  # that is: not there
            return None
        size, tag = int(answer["ContentLength"]), str(answer.get("ETag") or "").strip('"')
        time = nanoseconds(answer["LastModified"])
        return self._listed(key, key.rpartition("/")[2], size, time, tag)

    def _listed(self, key: str, path: str, size: int, time: int, tag: str) -> Listed:
        if not tag:
            raise OriginUnversioned(f"{self._place.shown}: the listing has no ETags")
        return Listed(key, path, size, time, tag)

    async def read(
        self, file: FileVersion, offset: int, into: memoryview, arrived: Arrived = nobody
    ) -> None:
        """Fill `into` from `offset` on; see `Origin.read`."""
        self._check_shown(file)
        sink = Sink(into, arrived)
        async with self._turns:
            await self._ask(lambda lease: self._fill(lease, file, offset, sink))

    def _check_shown(self, file: FileVersion) -> None:
        if file.origin != self.identity or not self.covers(file.key):
            raise NotAllowed(f"{self._place.shown} does not show {file.key!r}")

    async def verify(self, file: FileVersion) -> None:
        """See `Origin.verify`."""
        self._check_shown(file)
        answer = await self._head(file.key)
        if str(answer.get("ETag") or "").strip('"') != file.tag:
            raise ObjectChanged(f"{self._place.shown}: {file.key!r} was replaced")

    async def _head(self, key: str) -> dict[str, Any]:
        async def head(lease: Lease) -> dict[str, Any]:
            async with asyncio.timeout(STALL):
                answer: dict[str, Any] = await lease.client.head_object(
                    Bucket=self._place.bucket, Key=key
                )
            return answer

        return await self._ask(head)

    async def _fill(self, lease: Lease, file: FileVersion, offset: int, sink: Sink) -> None:
        if not sink.left:
            return
        start = offset + sink.done
        match = f'"{file.tag}"'
        part = f"bytes={start}-{start + sink.left - 1}"
        if self._gets.serve(lease):

            def take(head: Head) -> Body:
                said = head.get("etag"), head.get("content-range"), head.length
                self._check(said, file, start, sink.left)
                return sink

            headers = {"If-Match": match, "Range": part}
            await self._gets.ask(lease, file.key, headers, take, silence=STALL)
        else:
            await self._fill_by_client(lease, file, start, sink, {"IfMatch": match, "Range": part})
        if sink.left:
            raise Transient(OriginFailed(f"{self._place.shown}: the answer was cut short"))

    async def _fill_by_client(
        self, lease: Lease, file: FileVersion, start: int, sink: Sink, conditions: dict[str, str]
    ) -> None:
        async with asyncio.timeout(STALL) as patience:
            answer = await lease.client.get_object(
                Bucket=self._place.bucket, Key=file.key, **conditions
            )
            body = answer["Body"]
            try:
                said = tuple(map(answer.get, ("ETag", "ContentRange", "ContentLength")))
                self._check(said, file, start, sink.left)
                while chunk := await body.read(min(_CHUNK, sink.left + 1)):
                    sink.write(chunk)
                    patience.reschedule(asyncio.get_running_loop().time() + STALL)
            finally:
                body.close()  # of a body that was read to its end, the connection is kept

    def _check(self, said: tuple[Any, ...], file: FileVersion, start: int, left: int) -> None:
        """`said` is the answer's ETag, Content-Range and Content-Length."""
        etag, told, length = said
        where = f"{self._place.shown}: {file.key!r}"
        if (etag or "").strip('"') != file.tag:
            raise ObjectChanged(f"{where} was replaced")
        if not told and start == 0 and left == file.size == length:
            return
        check_content_range(where, told, start, left, file.size)

    async def _ask(self, work: Callable[[Lease], Awaitable[T]]) -> T:
        """`work` with a client: with attempts, our errors, and new secrets if they were rotated."""

        async def once() -> T:
            async with self._clients.use() as lease:
                try:
                    return await work(lease)
                except (OriginError, Transient, TimeoutError):
                    raise
                except Exception as error:
                    ours = failure(self._place.shown, error)
                    if isinstance(ours, OriginDenied) and await self._clients.renew(lease):
                        ours = Transient(ours)
                    raise ours from error

        return await in_attempts(once, where=self._place.shown)

    async def close(self) -> None:
        """Give back the connections. Idempotent."""
        await self._clients.close()
        await self._gets.close()
