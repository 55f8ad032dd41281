"""Asking other members over HTTP, with proof of the mesh key both ways.

A block's answer is its data followed by its piece checksums, as it lies in the store; the answer's
proof covers a hash of the checksums, and the checksums cover the data, so a stranger who has got a
dead member's address can neither answer nor alter.
"""

import asyncio
import os
import time
from collections.abc import Callable, Collection
from typing import Protocol
from urllib.parse import quote, urlencode

import msgspec
from blake3 import blake3

from meshcache.agent.address import HostPort
from meshcache.agent.trust.auth import ANSWER_HEADER, CHECKSUMS_HEADER, Keys
from meshcache.block import CHECKSUM_SIZE, BlockId, FileVersion, piece_count
from meshcache.errors import (
    BlockElsewhere,
    BlockNotHeld,
    InvalidInput,
    OriginError,
    PeerFailed,
    PeerUnreachable,
    ProofInvalid,
    from_wire,
)
from meshcache.http import BadAnswer, Body, Buffers, Client, Head, Site, Whole
from meshcache.origin.causes import cause_of
from meshcache.traffic import Purpose
from meshcache.wanted import Wanted

CONNECT_TIMEOUT = 1.0
"""Seconds. A living member on the same network answers in one, or is as good as dead."""

CONNECTIONS = 64
"""To one member."""

SILENCE_TIMEOUT = 40.0
"""Seconds without a byte: longer than an owner waits for its origin, whose error comes first."""

SENT_ON_TIMEOUT = 10.0
"""The same of a member that another one has sent us to: that one gives the block if this one is
slow. It also ends whatever circle of members that wait for each other nobody has thought of."""

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
    """Connections to all peers. Use from one event loop."""

    def __init__(self, keys: Keys) -> None:
        """Nothing is connected before the first request."""
        self._keys = keys
        # A proxy has no business between members.
        self._client = Client(connect=CONNECT_TIMEOUT, connections=CONNECTIONS, proxies=False)
        self._under_way: dict[str, set[asyncio.Timeout]] = {}

    async def close(self) -> None:
        """End all connections. Idempotent."""
        await self._client.close()

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
        by: str = "",
        sent_on: bool = False,
    ) -> bytes:
        """`meshcache.fetcher.Mesh.fetch`, from this peer. Nothing is written to `into` before the
        answer is proven to be a member's.

        Args:
            by: this node's store id, if it may be sent to another member.
            sent_on: it was.

        Raises:
            BlockElsewhere: another member is to be asked.
        """
        target = block_target(wanted)
        if only_if_held:
            target += "&only-if-held=1"
        elif purpose != "read":
            target += f"&for={purpose}"
        if by:
            target += f"&by={by}"
        if sent_on:
            target += "&sent-on=1"
        checksums = bytearray(CHECKSUM_SIZE * piece_count(len(into)))
        expected = len(into) + len(checksums)

        def receive(head: Head, nonce: str) -> Body:
            self._check(peer, head, nonce, None)
            if head.length != expected or len(into) != wanted.block.length:
                raise PeerFailed(f"{peer.name} gives {head.length} bytes, not {expected}")
            return Buffers([into, memoryview(checksums)])

        silence = SENT_ON_TIMEOUT if sent_on else SILENCE_TIMEOUT
        head = await self._request(peer, "GET", target, receive, silence)
        if blake3(checksums).hexdigest() != head.get(CHECKSUMS_HEADER.lower()):
            raise PeerFailed(f"{peer.name} sent checksums that it does not vouch for")
        return bytes(checksums)

    async def fill(self, peer: Address, wanted: Wanted) -> None:
        """Have the peer fill its store with a block.

        Raises:
            PeerError: the peer could not be reached, or failed.
            OriginError: what the origin said to the peer.
        """
        await self._whole(peer, "POST", block_target(wanted), SILENCE_TIMEOUT)

    async def get(self, peer: Address, target: str) -> bytes:
        """A small answer, whole.

        Raises:
            PeerError: the peer could not be reached, or failed.
        """
        return await self._whole(peer, "GET", target, SILENCE_TIMEOUT)

    async def post(self, peer: Address, target: str, *, silence: float) -> bytes:
        """Have the peer do something that may take `silence` seconds; gives its small answer.

        Raises:
            PeerError: the peer could not be reached, or failed.
            OriginError: what an origin said to the peer.
        """
        return await self._whole(peer, "POST", target, silence)

    async def _whole(self, peer: Address, method: str, target: str, silence: float) -> bytes:
        # Within a limit: who sends it has proven nothing before its end.
        body, asked = Whole(MAX_ANSWER), ""

        def receive(head: Head, nonce: str) -> Body:
            nonlocal asked
            asked = nonce
            return body

        head = await self._request(peer, method, target, receive, silence)
        self._check(peer, head, asked, bytes(body.data))
        return bytes(body.data)

    async def _request(
        self,
        peer: Address,
        method: str,
        target: str,
        receive: Callable[[Head, str], Body],
        silence: float = SILENCE_TIMEOUT,
    ) -> Head:
        """Ask, and turn whatever goes wrong below into a `PeerError` or what the peer says.

        `receive` gets the head of an answer that is no error, and the request's nonce.
        """
        site = _site(peer)
        nonce = os.urandom(16).hex()
        proof = self._keys.sign(method, target, "", b"", time.time(), nonce)
        refused: Whole | None = None

        def body_of(head: Head) -> Body:
            nonlocal refused
            if head.status < 300:
                return receive(head, nonce)
            refused = Whole(MAX_ANSWER)
            return refused

        under_way = self._under_way.setdefault(peer.store_id, set())
        try:
            async with asyncio.timeout(None) as given_up:
                under_way.add(given_up)
                try:
                    head = await self._client.ask(
                        site, method, target, {"Authorization": proof}, body_of, silence=silence
                    )
                finally:
                    under_way.discard(given_up)
        except TimeoutError as error:
            raise PeerUnreachable(f"{peer.name} at {peer.address} does not answer") from error
        except OSError as error:
            raise PeerUnreachable(f"{peer.name} at {peer.address}: {cause_of(error)}") from error
        except BadAnswer as error:
            raise PeerFailed(f"{peer.name} at {peer.address}: {error}") from error
        if refused is not None:
            raise self._error(peer, head, nonce, bytes(refused.data))
        return head

    def _error(self, peer: Address, head: Head, nonce: str, body: bytes) -> Exception:
        self._check(peer, head, nonce, body)
        try:
            said = msgspec.json.decode(body, type=WireError)
        except msgspec.MsgspecError:
            return PeerFailed(f"{peer.name} answers {head.status}")
        error = from_wire(said.error, said.message)
        # Of what a peer says, only these concern the block; the rest concerns the peer.
        if isinstance(error, (OriginError, BlockNotHeld, BlockElsewhere)):
            return error
        return PeerFailed(f"{peer.name}: {said.message or said.error}")

    def _check(self, peer: Address, head: Head, nonce: str, body: bytes | None) -> None:
        try:
            proof = head.headers.get(ANSWER_HEADER.lower())
            self._keys.check_answer(proof, nonce, head.status, head.headers, body)
        except ProofInvalid as error:
            raise PeerFailed(f"{peer.name} at {peer.address}: {error}") from error


def _site(peer: Address) -> Site:
    try:
        address = HostPort.parse(peer.address)
    except InvalidInput as error:
        raise PeerFailed(f"{peer.name} gives {peer.address!r} for its address") from error
    return Site("http", address.host, address.port)
