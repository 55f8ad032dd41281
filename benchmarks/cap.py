"""A reverse proxy that plays remote storage: a bandwidth cap, counters, and faults on demand.

It stands before a real S3 or HTTP server and passes everything through, the Host header too, so
that signatures hold. The bytes of answers to object GETs share one budget of bytes per second over
all connections; lists, heads and (unless asked) uploads are free. What was asked of the origin is
counted here, by the body bytes of object GETs handed to clients, and not by those who asked.

In a test's own loop::

    async with Cap(seaweed.endpoint, rate=18.5 * MIB) as cap:
        ...  # use cap.url as the endpoint
        assert cap.counts.object_bytes == size

On the command line: ``python -m benchmarks.cap --upstream http://127.0.0.1:8333 --rate 18.5MiB
--listen 127.0.0.1:9000``; ``GET /-/cap`` gives the counters as JSON, ``POST /-/cap`` clears them.
"""

import argparse
import asyncio
import dataclasses
import json
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from yarl import URL

from benchmarks.bandwidth import Bandwidth
from benchmarks.counts import Counts, KeyCount, object_key
from benchmarks.relay import break_off, copy, end_to_end
from meshcache.errors import MeshcacheError
from meshcache.units import KIB, format_size, parse_duration, parse_size

_CONTROL = "/-/cap"

_ACCEPTING = 3
"""Turns of the loop from a connection that asyncio has accepted to one that the server knows of."""


@dataclasses.dataclass(frozen=True)
class _Fault:
    status: int = 0
    """Answer with this instead of asking the upstream."""
    cut_after: int = -1
    """Break the connection after so many body bytes."""


class Cap:
    """The proxy. A context manager: listening between entry and exit, in the caller's loop."""

    def __init__(
        self,
        upstream: str,
        *,
        rate: float | None = None,
        latency: float = 0.0,
        cap_uploads: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Prepare.

        Args:
            upstream: ``http://host:port`` of the real server.
            rate: bytes per second for object bodies, None for no cap.
            latency: seconds added before each request is passed on.
            cap_uploads: let request bodies take from the same rate.
            host: address to listen on.
            port: port to listen on; 0 takes a free one, and keeps it over `stop` and `start`.
        """
        self.bandwidth = Bandwidth(rate)
        self.latency = latency
        self.cap_uploads = cap_uploads
        self.counts = Counts()
        self.in_flight = 0
        """Object GETs under way now."""
        self.held = 0
        """Requests that wait now for the event of `hold`."""
        self._upstream = upstream.rstrip("/")
        self._host, self._port = host, port
        self._gate: asyncio.Event | None = None
        self._holds_all = False
        self._faults: deque[_Fault] = deque()
        self._session: aiohttp.ClientSession | None = None
        self._server: web.Server | None = None
        self._listening: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """``http://host:port`` where it listens; known once started."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen. OSError if the port is taken."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            read_bufsize=256 * KIB,
        )
        self._server = web.Server(self._answer, access_log=None)
        try:
            self._listening = await asyncio.get_running_loop().create_server(
                self._server, self._host, self._port, backlog=1024
            )
        except BaseException:
            await self.stop()
            raise
        self._port = self._listening.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection. Idempotent; `start` opens the same port again."""
        if self._gate is not None:
            self._gate.set()
        if self._listening is not None:
            await _accept_no_more(self._listening)
            self._listening.close()
            self._listening = None
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(0.1)
            self._server = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    # --- what tests turn -------------------------------------------------------------------

    def reset(self) -> Counts:
        """Count from zero again; gives what was counted so far."""
        before, self.counts = self.counts, Counts()
        return before

    def hold(
        self, event: asyncio.Event | None = None, *, everything: bool = False
    ) -> asyncio.Event:
        """Let every object GET, or every request, that comes from now on wait for the event."""
        self._gate = event or asyncio.Event()
        self._holds_all = everything
        return self._gate

    def fail_next(self, count: int = 1, status: int = 503) -> None:
        """Answer the next `count` object GETs with `status`, without asking the upstream."""
        self._faults.extend([_Fault(status=status)] * count)

    def cut_next(self, count: int = 1, after: int = 0) -> None:
        """Break the connections of the next `count` object GETs after `after` body bytes."""
        self._faults.extend([_Fault(cut_after=after)] * count)

    # --- a request ---------------------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == _CONTROL:
            counts = self.reset() if request.method == "POST" else self.counts
            return web.json_response(dataclasses.asdict(counts))
        key = object_key(request.method, request.raw_path)
        if key is None:
            self.counts.other_requests += 1
            if self._holds_all:
                await self._let_through()
            return await self._pass(request, None, _Fault())
        self.counts.object_requests += 1
        self.counts.keys.setdefault(key, KeyCount()).requests += 1
        self.counts.ranges.append((key, request.headers.get("Range", "")))
        self.in_flight += 1
        self.counts.most_in_flight = max(self.counts.most_in_flight, self.in_flight)
        try:
            return await self._object(request, key)
        finally:
            self.in_flight -= 1

    async def _let_through(self) -> None:
        if self._gate is not None and not self._gate.is_set():
            self.held += 1
            try:
                await self._gate.wait()
            finally:
                self.held -= 1

    async def _object(self, request: web.BaseRequest, key: str) -> web.StreamResponse:
        fault = self._faults.popleft() if self._faults else _Fault()
        await self._let_through()
        if fault.status:
            return web.Response(status=fault.status, text="the cap was told to fail\n")
        return await self._pass(request, key, fault)

    async def _pass(
        self, request: web.BaseRequest, key: str | None, fault: _Fault
    ) -> web.StreamResponse:
        if self.latency:
            await asyncio.sleep(self.latency)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.can_read_body:
            # Only the router of web.Application answers this by itself.
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        assert self._session is not None
        try:
            async with self._session.request(
                request.method,
                # As it came, byte for byte: the path is part of the signature.
                URL(self._upstream + request.raw_path, encoded=True),
                headers=end_to_end(request.headers),
                data=self._upload(request) if request.can_read_body else None,
                allow_redirects=False,
            ) as answer:
                return await self._relay(request, answer, key, fault)
        except aiohttp.ClientConnectorError as error:
            return web.Response(status=502, text=f"no upstream: {error}\n")

    async def _upload(self, request: web.BaseRequest) -> AsyncIterator[bytes]:
        async for chunk in request.content.iter_any():
            if self.cap_uploads:
                await self.bandwidth.take(len(chunk))
            yield chunk

    async def _relay(
        self,
        request: web.BaseRequest,
        answer: aiohttp.ClientResponse,
        key: str | None,
        fault: _Fault,
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=end_to_end(answer.headers)
        )
        if key is None or answer.status not in (200, 206):
            return await copy(request, answer, response)
        # A client that goes away ends it, and what it was given stays counted; an upstream that
        # breaks off is passed on as such.
        try:
            await response.prepare(request)
            await self._copy_capped(request, answer, response, key, fault)
        except ConnectionError:
            pass
        except aiohttp.ClientError:
            break_off(request)
        return response

    async def _copy_capped(
        self,
        request: web.BaseRequest,
        answer: aiohttp.ClientResponse,
        response: web.StreamResponse,
        key: str,
        fault: _Fault,
    ) -> None:
        counts = self.counts
        count = counts.keys.setdefault(key, KeyCount())
        sent = 0
        while chunk := await answer.content.readany():
            view = memoryview(chunk)
            while view:
                size = self.bandwidth.slice(len(view))
                if 0 <= fault.cut_after < sent + size:
                    size = fault.cut_after - sent
                await self.bandwidth.take(size)
                if size:
                    await response.write(view[:size])
                sent += size
                count.bytes += size
                counts.object_bytes += size
                if sent == fault.cut_after:
                    break_off(request)
                    return
                view = view[size:]
        await response.write_eof()


async def _accept_no_more(listening: asyncio.Server) -> None:
    """What asyncio (3.11) has accepted when a server closes, and not made a transport of, it leaves
    open and nobody's."""
    for sock in listening.sockets:
        asyncio.get_running_loop().remove_reader(sock)
    for _ in range(_ACCEPTING):
        await asyncio.sleep(0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cap", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--upstream", required=True, help="http://host:port of the real server")
    parser.add_argument("--rate", default="", help="bytes per second, like 18.5MiB; none: no cap")
    parser.add_argument("--latency", default="", help="added to each request, like 20ms")
    parser.add_argument("--listen", default="127.0.0.1:0", help="HOST:PORT; port 0: a free one")
    parser.add_argument("--cap-uploads", action="store_true", help="let uploads share the rate")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    host, _, port = arguments.listen.rpartition(":")
    cap = Cap(
        arguments.upstream,
        rate=parse_size(arguments.rate) if arguments.rate else None,
        latency=parse_duration(arguments.latency) if arguments.latency else 0.0,
        cap_uploads=arguments.cap_uploads,
        host=host,
        port=int(port),
    )
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with cap:
        rate = f"{format_size(cap.bandwidth.rate)}/s" if cap.bandwidth.rate else "no cap"
        print(f"{cap.url} -> {arguments.upstream} ({rate})", flush=True)
        await ended.wait()
    print(json.dumps(dataclasses.asdict(cap.counts)), flush=True)


def main() -> int:
    """Run until SIGINT or SIGTERM, then print the counters."""
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(_arguments()))
    except (MeshcacheError, OSError, ValueError) as error:
        print(f"cap: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
