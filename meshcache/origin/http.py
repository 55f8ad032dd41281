"""Origins on the web: one file, a directory page and what lies below it, or a list of files.

A URL that ends in ``/`` is a directory page and is followed downwards; any other is one file, or,
with the option ``list=true``, a text file that names files of the same server, a URL or a path from
where the list is on each line; empty lines and those that begin with ``#`` name none. The
version is the strong ETag, else Last-Modified (whole seconds: a second change within one is not
noticed if the size stays) with the size. A server without ranges works, but then each block is read
from the file's beginning.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from http import HTTPStatus
from urllib.parse import unquote

from yarl import URL

from meshcache.block import FileVersion
from meshcache.errors import (
    InvalidInput,
    NotAllowed,
    ObjectChanged,
    OriginFailed,
    OriginNotFound,
)
from meshcache.http import Body, Head, Whole
from meshcache.origin.attempts import Transient
from meshcache.origin.base import Arrived, Listed, nobody
from meshcache.origin.http_answers import Version, conditions, refusal, version_of
from meshcache.origin.http_client import CONNECTIONS, HttpClient, dropped
from meshcache.origin.http_lists import files_of
from meshcache.origin.http_pages import entries
from meshcache.origin.options import truth
from meshcache.origin.ranges import check_content_range
from meshcache.origin.sink import Cut, Sink
from meshcache.units import MIB

OPTIONS = frozenset({"list"})

MAX_DEPTH = 32
MAX_FILES = 1_000_000
"""Beyond these a directory page is taken for a trap: a server may make up links without end."""

MAX_PAGE = 64 * MIB
_HEADS = 16
"""HEAD requests at once while listing."""


class HttpOrigin:
    """A file, a directory page or a list on a web server. Implements `Origin`."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        """Read the URL and options; nothing is connected before the first use.

        Raises:
            InvalidInput: the URL cannot be, or holds credentials; or an option cannot be.
        """
        self._root = _parse(url)
        self._is_list = truth(options, "list")
        if self._is_list and _is_folder(self._root):
            raise InvalidInput(f"{_shown(self._root)} is a directory page: list=true is for a file")
        self._client = HttpClient(_shown(self._root))
        self._turns = asyncio.Semaphore(CONNECTIONS)

    @property
    def identity(self) -> str:
        """``https://host[:port]``: keys are paths from there, so nested mounts share blocks."""
        return str(self._root.origin())

    def covers(self, key: str) -> bool:
        """Whether the mount shows this path. A list may name any of its server."""
        if self._is_list:
            return key.startswith("/")
        if not _is_folder(self._root):
            return key == self._root.raw_path_qs
        parts = unquote(key).split("/")
        return key.startswith(self._root.raw_path) and "?" not in key and not {".", ".."} & {*parts}

    async def close(self) -> None:
        """Give back the connections. Idempotent."""
        await self._client.close()

    # --- listing -------------------------------------------------------------------------------

    async def list(self) -> AsyncIterator[Listed]:
        """The file, or all files below the directory page; see `Origin.list`.

        Raises:
            OriginNotFound: there is nothing at the URL.
            OriginUnversioned: the server gives neither ETag nor Last-Modified.
        """
        if self._is_list:
            listing = self._named()
        elif _is_folder(self._root):
            listing = self._walk()
        else:
            yield await self._head(self._root, self._root.name or "index.html")
            return
        async with aclosing(listing) as pages:
            async for files in pages:
                for start in range(0, len(files), 16 * _HEADS):
                    for listed in await self._heads(files[start : start + 16 * _HEADS]):
                        yield listed

    async def _named(self) -> AsyncGenerator["tuple[URL, ...]"]:
        """The files that the list names."""
        yield tuple(files_of(await self._text(self._root), self._root, _shown(self._root)))

    async def _walk(self) -> AsyncGenerator["tuple[URL, ...]"]:
        """The files of each directory page, the root's first."""
        count = 0
        folders = [(self._root, 1)]
        while folders:
            folder, depth = folders.pop()
            found = await self._entries(folder)
            files = tuple(url for url in found if not _is_folder(url))
            deeper = [(url, depth + 1) for url in found if _is_folder(url)]
            count += len(files)
            if count > MAX_FILES or (deeper and depth == MAX_DEPTH):
                raise OriginFailed(
                    f"{_shown(self._root)}: more than {MAX_FILES} files or {MAX_DEPTH} levels"
                )
            folders += deeper
            yield files

    async def _entries(self, folder: URL) -> "Iterable[URL]":
        return entries(await self._text(folder, "html"), folder)

    async def _text(self, url: URL, kind: str = "") -> str:
        """A page or a list, whose Content-Type has that word."""
        where = _shown(url)

        async def page() -> str:
            body = Whole(MAX_PAGE)

            def take(head: Head, came_from: URL) -> Body:
                if head.status != HTTPStatus.OK:
                    return dropped(head, came_from)
                if came_from != url:
                    raise OriginFailed(f"{where} leads to {_shown(came_from)}: use that URL")
                if kind not in head.get("content-type"):
                    raise OriginFailed(f"{where} is no directory page")
                return body

            head = await self._client.ask("GET", url, take=take)
            if head.status != HTTPStatus.OK:
                raise refusal(where, head.status)
            return body.data.decode("utf-8", "replace")

        return await self._client.attempts(page)

    async def _heads(self, files: "Iterable[URL]") -> "Iterable[Listed]":
        limit = asyncio.Semaphore(_HEADS)

        async def one(url: URL) -> Listed | None:
            async with limit:
                try:
                    return await self._head(url, self._path_of(url))
                except OriginNotFound:  # on the page, but not there: gone, or a link to nowhere
                    if self._is_list:
                        raise
                    return None

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(url)) for url in files]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [listed for task in tasks if (listed := task.result()) is not None]

    def _path_of(self, url: URL) -> str:
        """Below the page, or where the list is; the whole path if it is elsewhere."""
        folder = self._root.raw_path.rpartition("/")[0] + "/"
        path = url.raw_path.removeprefix(folder).removeprefix("/")
        return unquote(path, errors="surrogateescape")

    async def _head(self, url: URL, path: str) -> Listed:
        version = await self._client.attempts(lambda: self._version(url))
        if version.size is None:
            raise OriginFailed(f"{_shown(url)}: the server does not say how long the file is")
        return Listed(
            key=url.raw_path_qs,
            path=path,
            size=version.size,
            mtime_ns=version.mtime_ns,
            tag=version.tag(_shown(url)),
        )

    async def _version(self, url: URL) -> Version:
        """From HEAD, else, where that is refused or tells no size, from a GET of one byte."""
        head = await self._client.ask("HEAD", url)
        version = version_of(head.status, head.headers)
        if head.status == HTTPStatus.OK and version.size is not None:
            return version
        if head.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise refusal(_shown(url), head.status)
        head = await self._client.ask("GET", url, {"Range": "bytes=0-0"})
        version = version_of(head.status, head.headers)
        if head.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT) or version.size == 0:
            return version
        raise refusal(_shown(url), head.status)

    # --- reading -------------------------------------------------------------------------------

    async def read(
        self, file: FileVersion, offset: int, into: memoryview, arrived: Arrived = nobody
    ) -> None:
        """Fill `into` from `offset` on; see `Origin.read`."""
        self._check_shown(file)
        sink = Sink(into, arrived)
        async with self._turns:
            await self._client.attempts(lambda: self._fill(file, offset, sink))

    def _check_shown(self, file: FileVersion) -> None:
        if file.origin != self.identity or not self.covers(file.key):
            raise NotAllowed(f"{_shown(self._root)} does not show {file.key!r}")

    async def verify(self, file: FileVersion) -> None:
        """See `Origin.verify`."""
        self._check_shown(file)
        url = URL(self.identity + file.key, encoded=True)
        try:
            version = await self._client.attempts(lambda: self._version(url))
        except OriginNotFound as error:
            raise ObjectChanged(str(error)) from error
        if not version.is_of(file.tag, file.size):
            raise ObjectChanged(f"{_shown(url)} was replaced")

    async def _fill(self, file: FileVersion, offset: int, sink: Sink) -> None:
        if not sink.left:
            return
        start = offset + sink.done
        # Encoded: the key is the path as the server spelled it.
        url = URL(self.identity + file.key, encoded=True)
        where = _shown(url)
        wanted = {"Range": f"bytes={start}-{start + sink.left - 1}"}

        def take(head: Head, came_from: URL) -> Body:
            if head.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                return dropped(head, came_from)
            return _checked(head, file, where, start, sink)

        head = await self._client.ask("GET", url, wanted | conditions(file.tag), take)
        if head.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise ObjectChanged(f"{where} is gone (HTTP {head.status})")
        if head.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise refusal(where, head.status)
        if sink.left:
            raise Transient(OriginFailed(f"{where}: the answer was cut short"))


def _checked(head: Head, file: FileVersion, where: str, start: int, sink: Sink) -> Body:
    """Where the body of an answer goes whose version and range are the right ones."""
    if not version_of(head.status, head.headers).is_of(file.tag, file.size):
        raise ObjectChanged(f"{where} was replaced")
    if head.status == HTTPStatus.OK:
        return Cut(sink, start)  # without ranges there is more around what is wanted
    check_content_range(where, head.get("content-range"), start, sink.left, file.size)
    return sink


def _parse(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a URL") from None
    if url.user is not None or url.password is not None:
        raise InvalidInput("the URL holds credentials; a dataset's record is no place for them")
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidInput(f"{text!r} is not a URL: write it like https://host/directory/")
    return url.with_fragment(None)


def _is_folder(url: URL) -> bool:
    return url.raw_path.endswith("/") and not url.raw_query_string


def _shown(url: URL) -> str:
    """For messages: a query may hold a signature."""
    return str(url.with_query(None))
