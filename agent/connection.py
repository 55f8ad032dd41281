"""A connection to an agent: over its Unix socket, or over TCP with proof of the mesh key both ways.

All that is asked of agents by others than members goes through here, so that what goes wrong is
the same one line everywhere: the error that the agent named, or `AgentUnreachable` with the socket
or address that was tried.
"""

import os
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec
from yarl import URL

from meshcache.agent.address import parse_agent
from meshcache.agent.trust.auth import ANSWER_HEADER, Keys
from meshcache.errors import (
    AgentUnreachable,
    DeadlineExceeded,
    InvalidInput,
    MeshcacheError,
    PeerFailed,
    ProofInvalid,
    from_wire,
)

CONNECT_TIMEOUT = 5.0
"""Seconds to connect: an agent that is there accepts in milliseconds, one lost SYN costs 1 s."""

SILENCE_TIMEOUT = 75.0
"""Seconds without a byte of the answer. An agent gives up on its origin before (30 s, retried)."""

CHUNK = 1 << 20
"""Bytes of a streamed file that are handed on at a time, at most."""

T = TypeVar("T")

_MAX_ANSWER = 256 << 20


class Connection:
    """A connection to one agent, by its socket or its address. An async context manager.

    Every request raises the error that the agent names (any `MeshcacheError`), and besides:

    Raises:
        AgentUnreachable: nothing answers there, or something that is no agent.
        DeadlineExceeded: the agent stopped answering.
        ProofInvalid: over TCP, the agent has another mesh key, or a clock that is off.
    """

    def __init__(
        self,
        *,
        socket: Path | None = None,
        address: str | None = None,
        mesh_key: bytes | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Name the agent: either `socket`, or `address` (``http://host:port`` or ``host:port``).

        Args:
            mesh_key: proves requests over TCP and is asked of the answers. Not needed on a socket.

        Raises:
            InvalidInput: the address cannot be read.
        """
        if (socket is None) == (address is None):
            raise InvalidInput("name an agent by its socket or its address, one of the two")
        self._socket = socket
        self._base = "http://agent" if address is None else f"http://{parse_agent(address)}"
        self._keys = Keys(mesh_key) if mesh_key is not None and socket is None else None
        self._now = now
        self._session: aiohttp.ClientSession | None = None
        self.where = str(socket) if socket else self._base

    async def __aenter__(self) -> Self:
        connector: aiohttp.BaseConnector = (
            aiohttp.UnixConnector(path=str(self._socket))
            if self._socket
            else aiohttp.TCPConnector(ttl_dns_cache=0)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT, sock_read=SILENCE_TIMEOUT
            ),
            auto_decompress=False,
            skip_auto_headers=["Accept-Encoding"],
            read_bufsize=CHUNK,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def _list(self, target: str) -> list[dict[str, Any]]:
        return self._as(list[dict[str, Any]], await self._ask("GET", target))

    async def _object(
        self,
        method: str,
        target: str,
        record: Mapping[str, Any] | None = None,
        *,
        silence: float | None = None,
    ) -> dict[str, Any]:
        return self._as(dict[str, Any], await self._ask(method, target, record, silence=silence))

    def _as(self, kind: type[T], body: bytes) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise AgentUnreachable(f"{self.where} does not answer like an agent") from error

    async def _ask(
        self,
        method: str,
        target: str,
        record: Mapping[str, Any] | None = None,
        *,
        silence: float | None = None,
    ) -> bytes:
        sent = b"" if record is None else msgspec.json.encode(record)
        async with self._request(method, target, sent, silence=silence) as (answer, nonce):
            body = await _whole(answer)
            if answer.status >= 400:
                raise self._error(answer, nonce, body)
            self._check(answer, nonce, body)
            return body

    async def _stream(
        self, target: str, byte_range: str = "", *, silence: float | None = None
    ) -> AsyncGenerator[bytes]:
        """An answer's body as it comes."""
        async with self._request("GET", target, b"", byte_range, silence=silence) as (
            answer,
            nonce,
        ):
            if answer.status >= 400:
                raise self._error(answer, nonce, await _whole(answer))
            if (answer.headers.get(ANSWER_HEADER) or "").startswith("scope=body"):
                body = await _whole(answer)  # small enough to be proven whole
                self._check(answer, nonce, body)
                yield body
                return
            self._check(answer, nonce, None)
            async for chunk in answer.content.iter_any():
                yield chunk

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        target: str,
        body: bytes,
        byte_range: str = "",
        *,
        silence: float | None = None,
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, str]]:
        """Ask; whatever goes wrong in the library becomes one of our errors here."""
        if self._session is None:
            raise RuntimeError("the client is an async context manager: use it in `async with`")
        nonce = secrets.token_hex(16)
        headers = {"Content-Type": "application/json"} if body else {}
        if byte_range:
            headers["Range"] = byte_range
        if self._keys:
            headers["Authorization"] = self._keys.sign(
                method, target, byte_range, body, self._now(), nonce
            )
        timeout = aiohttp.ClientTimeout(
            sock_connect=CONNECT_TIMEOUT, sock_read=silence or SILENCE_TIMEOUT
        )
        url = URL(self._base + target, encoded=True)
        try:
            async with self._session.request(
                method,
                url,
                data=body or None,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                yield answer, nonce
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise AgentUnreachable(self._nobody(error)) from error
        except TimeoutError as error:
            waited = silence or SILENCE_TIMEOUT
            raise DeadlineExceeded(
                f"the agent at {self.where} was silent for {waited:.0f} s"
            ) from error
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as error:
            raise AgentUnreachable(
                f"the agent at {self.where} broke off: did it stop meanwhile?"
            ) from error
        except aiohttp.ClientError as error:
            raise AgentUnreachable(f"{self.where} does not answer like an agent") from error
        except OSError as error:
            raise AgentUnreachable(self._nobody(error)) from error

    def _nobody(self, error: Exception) -> str:
        """Why nobody answers, and what to do about it."""
        cause = getattr(error, "os_error", error)
        if not isinstance(cause, OSError) or isinstance(error, TimeoutError):
            return f"no agent answers at {self.where}: it does not take the connection"
        if self._socket is None:
            # Of a name that is not found the number is negative, and the sentence its own.
            number = cause.errno or 0
            reason = os.strerror(number) if number > 0 else cause.strerror or str(cause)
            return f"no agent answers at {self.where}: {reason.lower()}"
        if isinstance(cause, PermissionError):
            return f"no right to open {self.where}: run this as the agent's user, or with sudo"
        return (
            f"no agent answers at {self.where}: start one by `meshcache agent`, or name another by "
            "--socket or --agent"
        )

    def _check(self, answer: aiohttp.ClientResponse, nonce: str, body: bytes | None) -> None:
        if self._keys is None:
            return
        header = answer.headers.get(ANSWER_HEADER)
        try:
            self._keys.check_answer(header, nonce, answer.status, answer.headers, body)
        except ProofInvalid as error:
            raise ProofInvalid(f"{self.where}: {error}") from None

    def _error(self, answer: aiohttp.ClientResponse, nonce: str, body: bytes) -> MeshcacheError:
        """What an answer that is an error says."""
        try:
            said = msgspec.json.decode(body, type=dict[str, str])
            error = from_wire(said["error"], said["message"])
        except (msgspec.MsgspecError, KeyError):
            return PeerFailed(f"{self.where} answers {answer.status} {answer.reason}")
        if isinstance(error, ProofInvalid):
            # An agent with another key cannot prove its refusal; one with this key can.
            return ProofInvalid(f"{self.where} refuses: {error}")
        self._check(answer, nonce, body)
        return error


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """A body that is read at once, within a limit."""
    parts = []
    size = 0
    async for chunk in answer.content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size > _MAX_ANSWER:
            raise PeerFailed("the answer is too large to be right")
    return b"".join(parts)
