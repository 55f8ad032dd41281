"""A small real web server for tests: files in memory, a directory page, and habits to choose."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from urllib.parse import quote

from aiohttp import web


class WebServer:
    """Serves `files` below ``/``. Its attributes are its habits, and may be changed at any time."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        """Path without the first slash -> bytes."""
        self.modified: dict[str, int] = {}
        """Path -> seconds since 1970; a file without has no Last-Modified."""
        self.etags = "strong"
        """``strong``, ``weak`` or ``none``."""
        self.ranges = True
        self.heads = True
        self.conditions = True
        self.fails: list[int] = []
        """Statuses of the next answers to GETs of files."""
        self.requests: list[tuple[str, str, str]] = []
        """(method, path, Range)."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def put(self, path: str, data: bytes, modified: int | None = 1_700_000_000) -> None:
        """Write a file; `modified` None: the server does not know when."""
        self.files[path] = data
        self.modified.pop(path, None)
        if modified is not None:
            self.modified[path] = modified

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        path = request.path.removeprefix("/")
        self.requests.append((request.method, path, request.headers.get("Range", "")))
        if path.endswith("/") or not path:
            return self._page(path)
        if request.method == "HEAD" and not self.heads:
            return web.Response(status=405)
        if request.method == "GET" and self.fails:
            return web.Response(status=self.fails.pop(0))
        if path not in self.files:
            return web.Response(status=404)
        headers = self._headers(path)
        match = request.headers.get("If-Match")
        if self.conditions and match is not None and match != headers.get("ETag"):
            return web.Response(status=412)
        return self._body(request, self.files[path], headers)

    def _headers(self, path: str) -> dict[str, str]:
        headers = {}
        etag = '"' + hashlib.sha1(self.files[path]).hexdigest() + '"'
        if self.etags != "none":
            headers["ETag"] = etag if self.etags == "strong" else "W/" + etag
        if path in self.modified:
            headers["Last-Modified"] = formatdate(self.modified[path], usegmt=True)
        return headers

    def _body(
        self, request: web.BaseRequest, data: bytes, headers: dict[str, str]
    ) -> web.StreamResponse:
        if request.method == "HEAD" or not self.ranges or "Range" not in request.headers:
            return web.Response(body=data, headers=headers)
        wanted = request.http_range
        start, stop = wanted.start, min(wanted.stop or len(data), len(data))
        if start >= len(data):
            headers["Content-Range"] = f"bytes */{len(data)}"
            return web.Response(status=416, headers=headers)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return web.Response(status=206, body=data[start:stop], headers=headers)

    def _page(self, folder: str) -> web.Response:
        below = {p[len(folder) :] for p in self.files if p.startswith(folder)}
        if not below:
            return web.Response(status=404)
        names = {name.partition("/")[0] + ("/" if "/" in name else "") for name in below}
        links = "".join(f'<a href="{quote(name)}">{name}</a>\n' for name in sorted(names))
        page = f'<a href="../">Parent</a> <a href="?C=N;O=D">Name</a>\n{links}'
        return web.Response(text=page, content_type="text/html")


@asynccontextmanager
async def web_server() -> AsyncIterator[WebServer]:
    """A server that listens on a free port of loopback."""
    server = WebServer()
    runner = web.ServerRunner(web.Server(server.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()
