"""An agent with canned answers: a real HTTP server, on a Unix socket or on loopback with proof.

It runs in a thread with a loop of its own, so that commands can be called as a user's shell does.
"""

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from meshcache.agent.statuses import body_of, status_of
from meshcache.agent.trust.auth import ANSWER_HEADER, Keys, Verifier
from meshcache.errors import MeshcacheError, NotFound


@dataclass
class Asked:
    """One request, as it came."""

    method: str
    target: str
    body: Any
    headers: dict[str, str]


@dataclass
class FakeAgent:
    """Answers what `answers` has for (method, path), the last one again and again.

    An answer is JSON data, bytes (sent as a stream), or an error.
    """

    socket: Path | None = None
    mesh_key: bytes | None = None
    """Served on loopback with proof, instead of on a socket."""
    clock_ahead: float = 0.0
    answers: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    address: str = ""

    def on(self, method: str, path: str, *answers: Any) -> None:
        """Give these answers, one after the other."""
        self.answers[method, path] = list(answers)

    def __enter__(self) -> Self:
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._keys = Keys(self.mesh_key) if self.mesh_key else None
        self._verifier = (
            Verifier(self._keys, lambda: time.time() + self.clock_ahead) if self._keys else None
        )
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        if self.socket:
            await web.UnixSite(runner, str(self.socket)).start()
        else:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        sent = json.loads(body) if body else None
        self.asked.append(Asked(request.method, request.raw_path, sent, dict(request.headers)))
        nonce = ""
        try:
            if self._verifier:
                nonce = self._verifier.check(
                    request.method,
                    request.raw_path,
                    request.headers.get("Range", ""),
                    body,
                    request.headers.get("Authorization"),
                ).nonce
            answers = self.answers.get((request.method, request.path))
            answer = (
                NotFound(f"no route {request.path}")
                if not answers
                else answers.pop(0)
                if len(answers) > 1
                else answers[0]
            )
            if isinstance(answer, MeshcacheError):
                raise answer
        except MeshcacheError as error:
            return self._json(body_of(error), status_of(error), nonce)
        if isinstance(answer, bytes):
            return await self._stream(request, answer, nonce)
        return self._json(answer, 200 if answer is not None else 204, nonce)

    def _json(self, data: Any, status: int, nonce: str) -> web.Response:
        body = b"" if data is None else json.dumps(data).encode()
        response = web.Response(body=body, status=status, content_type="application/json")
        if self._keys and nonce:
            proof = self._keys.prove_answer(nonce, status, response.headers, body)
            response.headers[ANSWER_HEADER] = proof
        return response

    async def _stream(self, request: web.Request, data: bytes, nonce: str) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(data)
        if self._keys:
            proof = self._keys.prove_answer(nonce, 200, response.headers, None)
            response.headers[ANSWER_HEADER] = proof
        await response.prepare(request)
        await response.write(data)
        await response.write_eof()
        return response
