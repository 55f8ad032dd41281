"""Asking other members over HTTP, with proof of the mesh key both ways.

A block's answer is its data followed by its piece checksums, as it lies in the store; the answer's
proof covers a hash of the checksums, and the checksums cover the data, so a stranger who has got a
dead member's address can neither answer nor alter.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from blake3 import blake3
from yarl import URL

from meshcache.agent.address import HostPort
from meshcache.agent.trust.auth import ANSWER_HEADER, CHECKSUMS_HEADER, Keys
from meshcache.block import CHECKSUM_SIZE, Block, BlockId, FileVersion, piece_count
from meshcache.errors import (
    BlockNotHeld,
    InvalidInput,
    OriginError,
    PeerFailed,
    PeerUnreachable,
    ProofInvalid,
    from_wire,
)
from meshcache.reader import Wanted
from meshcache.traffic import Purpose

CONNECT_TIMEOUT = 1.0
"""Seconds. A living member on the same network answers in one, or is as good as dead."""

SILENCE_TIMEOUT = 40.0
"""Seconds without a byte: longer than an owner waits for its origin, whose error comes first."""

MAX_ANSWER = 64 << 20
"""Bytes of an answer that is read whole (bitmaps, lists)."""


class Address(Protocol):
    """What a member is asked by: `meshcache.agent.mesh.Peer` has it."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def store_id(self) -> str: ...


class WireError(msgspec.Struct):
    """The JSON body of every answer that is an error."""

    error: str
    message: str = ""


def block_target(wanted: Wanted) -> str:
    """The path and query that name a block and what it can be filled from."""
    file = wanted.block.file
    query = {
        "dataset": wanted.dataset,
        "origin": file.origin,
        "key": file.key.encode("utf-8", "surrogateescape"),
        "tag": file.tag.encode("utf-8", "surrogateescape"),
        "size": str(file.size),
    }
    return f"/v1/blocks/{wanted.block.id}?{urlencode(query, quote_via=quote)}"


def parse_block_target(block_id: str, query: dict[str, str]) -> Wanted:
    """Read what `block_target` wrote.

    Raises:
        InvalidInput: a part is missing, or the id is not the one of that file version.
    """
    id = BlockId.parse(block_id)
    size = query.get("size", "")
    if not {"dataset", "origin", "key", "tag"} <= query.keys() or not size.isdecimal():
        raise InvalidInput("a block is asked for with dataset, origin, key, tag and size")
    file = FileVersion(query["origin"], query["key"], query["tag"], int(size))
    if file.id != id.version:
        raise InvalidInput("the block id is not one of that file version")
    return Wanted(query["dataset"], file.block(id.block_size, id.index))


class PeerClient:
    """One connection pool for all peers. Use from one event loop."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._session: aiohttp.ClientSession | None = None
        self._under_way: dict[str, set[asyncio.Timeout]] = {}
        self._asked: set[str] | None = None

    async def start(self) -> None:
        """Open the pool."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=64, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT, sock_read=SILENCE_TIMEOUT
            ),
            auto_decompress=False,
            skip_auto_headers=["User-Agent", "Accept-Encoding"],
            read_bufsize=1 << 20,
        )

    async def close(self) -> None:
        """Close the pool. Idempotent."""
        if self._session is not None:
            await self._session.close()

    def keep_only(self, living: Collection[str]) -> None:
        """Give up at once on what members that are not among these have been asked for."""
        for store_id in self._under_way.keys() - set(living):
            for timeout in self._under_way.pop(store_id):
                timeout.reschedule(0)

    async def fetch(
        self,
        peer: Address,
        wanted: Wanted,
        into: memoryview,
        *,
        only_if_held: bool,
        purpose: Purpose = "read",
    ) -> bytes:
        """`meshcache.reader.Mesh.fetch`, from this peer."""
        target = block_target(wanted)
        if only_if_held:
            target += "&only-if-held=1"
        elif purpose != "read":
            target += f"&for={purpose}"
        async with self._request(peer, "GET", target) as (answer, nonce):
            self._check(peer, answer, nonce, None)
            return await self._receive(peer, answer, wanted.block, into)

    async def fill(self, peer: Address, wanted: Wanted) -> None:
        """Have the peer fill its store with a block.

        Raises:
            PeerError: the peer could not be reached, or failed.
            OriginError: what the origin said to the peer.
        """
        target = block_target(wanted)
        async with self._request(peer, "POST", target) as (answer, nonce):
            self._check(peer, answer, nonce, await _whole(peer, answer))

    async def get(self, peer: Address, target: str) -> bytes:
        """A small answer, whole.

        Raises:
            PeerError: the peer could not be reached, or failed.
        """
        async with self._request(peer, "GET", target) as (answer, nonce):
            body = await _whole(peer, answer)
            self._check(peer, answer, nonce, body)
            return body

    async def post(self, peer: Address, target: str, *, silence: float) -> bytes:
        """Have the peer do something that may take `silence` seconds; gives its small answer.

        Raises:
            PeerError: the peer could not be reached, or failed.
            OriginError: what an origin said to the peer.
        """
        async with self._request(peer, "POST", target, silence) as (answer, nonce):
            body = await _whole(peer, answer)
            self._check(peer, answer, nonce, body)
            return body

    @asynccontextmanager
    async def _request(
        self, peer: Address, method: str, target: str, silence: float = SILENCE_TIMEOUT
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, str]]:
        """Ask, and turn whatever goes wrong below into a `PeerError` or what the peer says."""
        assert self._session is not None, "the client was not started"
        nonce = os.urandom(16).hex()
        proof = self._keys.sign(method, target, "", b"", time.time(), nonce)
        url = self._url(peer, target)
        under_way = self._under_way.setdefault(peer.store_id, set())
        try:
            async with asyncio.timeout(None) as given_up:
                under_way.add(given_up)
                try:
                    async with self._session.request(
                        method,
                        url,
                        headers={"Authorization": proof},
                        timeout=aiohttp.ClientTimeout(
                            total=None, sock_connect=CONNECT_TIMEOUT, sock_read=silence
                        ),
                        allow_redirects=False,  # a stranger may answer, and lead us anywhere
                    ) as answer:
                        if answer.status >= 400:
                            raise await self._error(peer, answer, nonce)
                        yield answer, nonce
                finally:
                    under_way.discard(given_up)
        except TimeoutError as error:
            raise PeerUnreachable(f"{peer.name} at {peer.address} does not answer") from error
        except (aiohttp.ClientError, OSError) as error:
            raise PeerUnreachable(f"{peer.name} at {peer.address}: {error}") from error

    @staticmethod
    def _url(peer: Address, target: str) -> URL:
        try:
            return URL(f"http://{HostPort.parse(peer.address)}{target}", encoded=True)
        except InvalidInput as error:
            raise PeerFailed(f"{peer.name} gives {peer.address!r} for its address") from error

    async def _error(self, peer: Address, answer: aiohttp.ClientResponse, nonce: str) -> Exception:
        body = await _whole(peer, answer)
        self._check(peer, answer, nonce, body)
        try:
            said = msgspec.json.decode(body, type=WireError)
        except msgspec.MsgspecError:
            return PeerFailed(f"{peer.name} answers {answer.status}")
        error = from_wire(said.error, said.message)
        # Of what a peer says, only these concern the block; the rest concerns the peer.
        if isinstance(error, (OriginError, BlockNotHeld)):
            return error
        return PeerFailed(f"{peer.name}: {said.message or said.error}")

    def _check(
        self, peer: Address, answer: aiohttp.ClientResponse, nonce: str, body: bytes | None
    ) -> None:
        try:
            self._keys.check_answer(
                answer.headers.get(ANSWER_HEADER), nonce, answer.status, answer.headers, body
            )
        except ProofInvalid as error:
            raise PeerFailed(f"{peer.name} at {peer.address}: {error}") from error

    async def _receive(
        self, peer: Address, answer: aiohttp.ClientResponse, block: Block, into: memoryview
    ) -> bytes:
        expected = block.length + CHECKSUM_SIZE * piece_count(block.length)
        if answer.content_length != expected or len(into) != block.length:
            raise PeerFailed(f"{peer.name} gives {answer.content_length} bytes, not {expected}")
        place = 0
        checksums = bytearray()
        async for chunk in answer.content.iter_any():
            data = chunk[: block.length - place]
            into[place : place + len(data)] = data
            place += len(data)
            checksums += chunk[len(data) :]
        if place != block.length or len(checksums) != expected - block.length:
            raise PeerUnreachable(f"{peer.name} broke off in the middle of a block")
        if blake3(checksums).hexdigest() != answer.headers.get(CHECKSUMS_HEADER):
            raise PeerFailed(f"{peer.name} sent checksums that it does not vouch for")
        return bytes(checksums)


async def _whole(peer: Address, answer: aiohttp.ClientResponse) -> bytes:
    """A body that is read at once, within a limit: who sends it has proven nothing yet."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise PeerFailed(f"{peer.name} answers with more than {MAX_ANSWER} bytes: too many")
    return bytes(body)
