"""Asking an agent: over its Unix socket, or over TCP with proof of the mesh key both ways.

Every command goes through here, so that what goes wrong is the same one line everywhere: the error
that the agent named, or `AgentUnreachable` with the socket or address that was tried.
"""

import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

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
_LISTING_TIMEOUT = 3600.0
_EVENTS_TIMEOUT = 30.0
"""An agent sends an empty line each 10 s."""


class AgentClient:
    """A connection to one agent, by its socket or its address. An async context manager.

    Every method raises the error that the agent names (any `MeshcacheError`), and besides:

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

    # --- the members and this agent ---------------------------------------------------------

    async def ready(self) -> bool:
        """Whether it has joined what it was to join, and serves."""
        async with self._request("GET", "/readyz", b"") as (answer, _):
            return answer.status == 200

    async def members(self) -> list[dict[str, Any]]:
        """Everyone that the agent knows, itself among them."""
        return await self._list("/v1/members")

    async def status(self) -> dict[str, Any]:
        """What the agent says of itself: addresses, store, reads, mounts."""
        return await self._object("GET", "/v1/status")

    async def events(self, kinds: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
        """What happens in the mesh, as it happens; of these kinds, or of all if there are none.

        The first record is of the kind ``begin``; one of the kind ``end`` says why nothing more
        comes.
        """
        target = f"/v1/events?kinds={','.join(kinds)}" if kinds else "/v1/events"
        async with self._request("GET", target, b"", silence=_EVENTS_TIMEOUT) as (answer, nonce):
            if answer.status >= 400:
                raise self._error(answer, nonce, await _whole(answer))
            self._check(answer, nonce, None)
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > CHUNK:
                    raise PeerFailed(f"{self.where} does not answer like an agent")
                for line in filter(None, lines):
                    yield self._as(dict[str, Any], line)

    # --- the mesh keys --------------------------------------------------------------------------

    async def keys(self) -> dict[str, Any]:
        """Each key of the mesh with how many members hold and use it."""
        return await self._object("GET", "/v1/keys")

    async def install_key(self, key: str) -> dict[str, Any]:
        """Have all members accept another key: ``{id, done, failed}``."""
        return await self._object("POST", "/v1/keys", {"key": key})

    async def use_key(self, key_id: str) -> dict[str, Any]:
        """Have all members use an installed key."""
        return await self._object("POST", f"/v1/keys/{_quoted(key_id)}/use")

    async def remove_key(self, key_id: str) -> dict[str, Any]:
        """Have all members forget a key that none uses."""
        return await self._object("DELETE", f"/v1/keys/{_quoted(key_id)}")

    # --- datasets ---------------------------------------------------------------------------

    async def datasets(self, *, exact: bool = False) -> list[dict[str, Any]]:
        """All datasets of the mesh, with how much of each is cached.

        Args:
            exact: every member is asked; else their summaries tell.
        """
        return await self._list(f"/v1/datasets{'?exact=1' * exact}")

    async def dataset(self, name: str, *, exact: bool = False) -> dict[str, Any]:
        """One dataset; `exact` as in `datasets`."""
        return await self._object("GET", f"/v1/datasets/{_quoted(name)}{'?exact=1' * exact}")

    async def locality(self, name: str, path: str = "", *, exact: bool = False) -> dict[str, Any]:
        """Who holds how much of a dataset, or of what is below a path in it.

        Args:
            path: every member is asked if one is given.
            exact: they are asked in any case.
        """
        query = {"path": os.fsencode(path)} if path.strip("/") else {}
        query |= {"exact": b"1"} if exact else {}
        asked = f"?{urlencode(query, quote_via=quote)}" if query else ""
        return await self._object("GET", f"/v1/datasets/{_quoted(name)}/locality{asked}")

    async def create_dataset(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Create one; the origin is listed first, and its errors come back here."""
        return await self._object("POST", "/v1/datasets", record, silence=_LISTING_TIMEOUT)

    async def apply(
        self, datasets: Sequence[Mapping[str, Any]], *, dry_run: bool = False
    ) -> list[dict[str, Any]]:
        """Make or change datasets; says for each what was done: ``{name, result, message}``."""
        wish = {"datasets": datasets, "dry_run": dry_run}
        answer = await self._ask("POST", "/v1/apply", wish, silence=_LISTING_TIMEOUT)
        return self._as(list[dict[str, Any]], answer)

    async def delete_dataset(self, name: str) -> None:
        """Forget a dataset. Nothing at the origin is touched."""
        await self._ask("DELETE", f"/v1/datasets/{_quoted(name)}")

    async def refresh_dataset(self, name: str, every: float | None = None) -> dict[str, Any]:
        """List the origin again, and show what is there now.

        Args:
            name: the dataset.
            every: seconds; from now on the mesh does that by itself. 0: no more.
        """
        target = f"/v1/datasets/{_quoted(name)}/refresh"
        return await self._object("POST", target, {"every": every}, silence=_LISTING_TIMEOUT)

    async def versions(self, name: str) -> list[dict[str, Any]]:
        """The versions of a dataset that are remembered, the newest first."""
        return await self._list(f"/v1/datasets/{_quoted(name)}/versions")

    async def skipped(self, name: str) -> list[dict[str, Any]]:
        """The origin's keys that the dataset shows as no file: ``{key, reason}``, sorted."""
        return await self._list(f"/v1/datasets/{_quoted(name)}/skipped")

    async def entries(self, name: str, path: str) -> list[dict[str, Any]]:
        """What a directory of a dataset holds, sorted by name; of a file, the file itself."""
        return await self._list(f"/v1/datasets/{_quoted(name)}/entries/{_quoted(path)}")

    async def read(self, name: str, path: str, byte_range: str = "") -> AsyncIterator[bytes]:
        """A file's bytes, as they come.

        Args:
            byte_range: a Range header like ``bytes=0-1023``; "" for the whole file.
        """
        target = f"/v1/datasets/{_quoted(name)}/files/{_quoted(path)}"
        async with self._request("GET", target, b"", byte_range) as (answer, nonce):
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

    # --- loads, mounts, tokens --------------------------------------------------------------

    async def start_load(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Start a load (`meshcache.agent.loads.NewLoad`); a dry run tells what it would do."""
        return await self._object("POST", "/v1/loads", record, silence=_LISTING_TIMEOUT)

    async def check_load(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """What of such a load is loaded already."""
        return await self._object("POST", "/v1/loads/check", record, silence=_LISTING_TIMEOUT)

    async def load(self, name: str) -> dict[str, Any]:
        """How far a load is, and each member with it."""
        return await self._object("GET", f"/v1/loads/{_quoted(name)}")

    async def load_spec(self, name: str) -> dict[str, Any]:
        """A load as it was asked for (`meshcache.agent.loads.NewLoad`)."""
        return await self._object("GET", f"/v1/loads/{_quoted(name)}/spec")

    async def loads(self) -> list[dict[str, Any]]:
        """The loads of the mesh."""
        return await self._list("/v1/loads")

    async def cancel_load(self, name: str) -> dict[str, Any]:
        """End a load; what is loaded stays."""
        return await self._object("POST", f"/v1/loads/{_quoted(name)}/cancel", {})

    async def delete_load(self, name: str) -> None:
        """End a load and forget it."""
        await self._ask("DELETE", f"/v1/loads/{_quoted(name)}")

    async def add_mount(self, dataset: str, mountpoint: str, pid: int) -> dict[str, Any]:
        """Register a mount; the answer names the socket of its door."""
        record = {"dataset": dataset, "mountpoint": mountpoint, "pid": pid}
        return await self._object("POST", "/v1/mounts", record)

    async def remove_mount(self, mount_id: str) -> None:
        """Take a mount off the agent's list."""
        await self._ask("DELETE", f"/v1/mounts/{_quoted(mount_id)}")

    async def mounts(self) -> list[dict[str, Any]]:
        """The mounts that are registered at the agent."""
        return await self._list("/v1/mounts")

    async def guest_key(self, dataset: str) -> str:
        """A key for guests of one dataset."""
        answer = await self._object("POST", "/v1/keys/guests", {"dataset": dataset})
        return str(answer["key"])

    async def mint_token(self, dataset: str, ttl: float) -> dict[str, Any]:
        """A bearer to read one dataset for `ttl` seconds: ``{token, expires}``."""
        return await self._object("POST", "/v1/tokens", {"dataset": dataset, "ttl": ttl})

    # --- how ---------------------------------------------------------------------------------

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


def _quoted(path: str) -> str:
    """A name or path as it stands in a request line."""
    return quote(os.fsencode(path.strip("/")), safe="/")


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
