"""Proof that a request comes from a holder of the mesh key, and that its answer does.

The key never travels. A request carries an HMAC over all that it asks for, with a time and a nonce
so that a recording of it is worth nothing; the answer carries an HMAC over the request's nonce, so
that a stranger who has got the address of a dead member cannot answer in its name. A dataset token
is a bearer for curl and the like: whoever has it may read the files of one dataset until it ends.

Each use has a key of its own, derived from the mesh key (BLAKE3's derive_key mode, one context for
each), so that a proof made for one use is never right for another.

What this does not do: hide bytes from those who tap the network (that takes TLS), or bind a request
to the member it was sent to. Within the window a recorded request can be played to *another*
member; so whatever changes something must be such that doing it twice is doing it once.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from blake3 import blake3

from meshcache.agent.trust.guestkey import secret_for
from meshcache.errors import InvalidInput, NotAllowed, ProofInvalid

SCHEME = "Meshcache-HMAC-SHA256"
BEARER = "Bearer"
ANSWER_HEADER = "Meshcache-Proof"
CHECKSUMS_HEADER = "Meshcache-Checksums"

WINDOW = 60
"""Seconds that a request's time may be from the verifier's clock, either way. Clocks kept by NTP
are milliseconds apart; one that drifts is off by a minute only after weeks."""

REMEMBERED = 1 << 18
"""Nonces remembered at most, about 20 MB. At 4 MiB a request this is 8 GB/s for two minutes."""

_PROOF = re.compile(
    rf"{SCHEME} (?:guest=(?P<guest>[a-z0-9.-]{{1,63}}), )?time=(?P<time>\d{{1,12}}), "
    r"nonce=(?P<nonce>[0-9a-f]{32}), mac=(?P<mac>[0-9a-f]{64})"
)
_ANSWER = re.compile(r"scope=(head|body), mac=([0-9a-f]{64})")
_TOKEN = re.compile(r"mct1\.([A-Za-z0-9_-]{1,512})\.([A-Za-z0-9_-]{43})")
_HEAD = ("content-length", "content-range", "etag", CHECKSUMS_HEADER.lower())
_READING = ("GET", "HEAD")


class Token(msgspec.Struct, frozen=True):
    """What a dataset token says: these files, until then."""

    dataset: str
    expires: int
    """Seconds since 1970."""


class HttpKey(NamedTuple):
    """What one mesh key gives for HTTP: a key for each use."""

    request: bytes
    answer: bytes
    token: bytes


class Proof(NamedTuple):
    """A request's proof that was found good."""

    nonce: str
    key: HttpKey
    """The key that it was made with, and that the answer is to be proven with."""
    guest: str = ""
    """The dataset whose guest made it; empty for a holder of the mesh key."""


class Keys:
    """The keys for HTTP, derived from the mesh keys. Makes proofs; `Verifier` checks them.

    Of several mesh keys the first is in use: proofs and tokens are made with it. What was made with
    any of them is accepted, so that a key can be changed while members speak to each other.
    """

    def __init__(self, *mesh_keys: bytes, guest: str = "") -> None:
        """`guest` is the dataset that the one key is a guest's for, if it is no mesh key."""
        self._guest = guest
        self.change(mesh_keys)

    def change(self, mesh_keys: Sequence[bytes]) -> None:
        """Take these mesh keys from now on, the one in use first."""
        self.all = tuple(map(_http_key, mesh_keys))
        self._mesh_keys = tuple(mesh_keys)

    @property
    def in_use(self) -> HttpKey:
        """The key that proofs and tokens are made with."""
        return self.all[0]

    def of_guests(self, dataset: str) -> tuple[HttpKey, ...]:
        """What guests of a dataset may prove requests with."""
        return tuple(_http_key(secret_for(key, dataset)) for key in self._mesh_keys)

    def sign(
        self, method: str, target: str, range_header: str, body: bytes, now: float, nonce: str
    ) -> str:
        """The Authorization header of a request.

        Args:
            target: the path with its query, exactly as it goes over the wire.
            range_header: the Range header, or "".
            now: seconds since 1970.
            nonce: 32 hex digits, never used before.

        Raises:
            InvalidInput: a part that cannot stand in a request line or a header.
        """
        time = str(int(now))
        if not re.fullmatch(r"[0-9a-f]{32}", nonce):
            raise InvalidInput(f"{nonce!r} is not a nonce: 32 hex digits")
        mac = _request_mac(self.in_use.request, method, target, range_header, body, time, nonce)
        guest = f"guest={self._guest}, " if self._guest else ""
        return f"{SCHEME} {guest}time={time}, nonce={nonce}, mac={mac}"

    def prove_answer(
        self,
        nonce: str,
        status: int,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        key: HttpKey | None = None,
    ) -> str:
        """The `Meshcache-Proof` header of an answer to the request with this nonce, made with
        `key`: that of the request's proof, for who asks may hold no other yet.

        With `body` the proof covers all of it. With None (a stream) it covers the headers that say
        what is coming: Content-Length, Content-Range, ETag and Meshcache-Checksums, against which
        the receiver checks the bytes. `headers` must find names in any case, as aiohttp's do.
        """
        scope = "head" if body is None else "body"
        digest = _answer_digest(scope, headers, body)
        return f"scope={scope}, mac={_answer_mac(key or self.in_use, nonce, status, digest)}"

    def check_answer(
        self,
        header: str | None,
        nonce: str,
        status: int,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> None:
        """Check what `prove_answer` made.

        Raises:
            ProofInvalid: no proof, one with another key, or one of another answer.
        """
        match = _ANSWER.fullmatch(header or "")
        if match is None or (match[1] == "head") != (body is None):
            raise ProofInvalid("the answer has no proof of the mesh key: another program answers")
        digest = _answer_digest(match[1], headers, body)
        if not any(
            hmac.compare_digest(match[2], _answer_mac(key, nonce, status, digest))
            for key in self.all
        ):
            raise ProofInvalid("the answer's proof is wrong: that agent has another mesh key")

    def mint_token(self, dataset: str, expires: float) -> str:
        """A bearer for reading `dataset` until `expires` (seconds since 1970)."""
        payload = msgspec.json.encode(Token(dataset, int(expires)))
        mac = hmac.digest(self.in_use.token, payload, "sha256")
        return f"mct1.{_b64(payload)}.{_b64(mac)}"

    def check_token(self, token: str, method: str, dataset: str, now: float) -> Token:
        """The token's content, if it allows `method` on files of `dataset`.

        Raises:
            ProofInvalid: not a token of this mesh, or its time is over.
            NotAllowed: a good token for another dataset, or for something else than reading.
        """
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise ProofInvalid("the bearer is not a dataset token: make one by `meshcache token`")
        payload, mac = _unb64(match[1]), _unb64(match[2])
        good = (hmac.digest(key.token, payload, "sha256") for key in self.all)
        if not any(hmac.compare_digest(mac, one) for one in good):
            raise ProofInvalid(
                "the dataset token was not made with this mesh's key: make one anew if the key was "
                "changed"
            )
        try:
            content = msgspec.json.decode(payload, type=Token)
        except msgspec.MsgspecError as error:  # one made by a later version
            raise ProofInvalid("the dataset token cannot be read by this version") from error
        if now >= content.expires:
            ago = int(now - content.expires)
            raise ProofInvalid(f"the dataset token expired {ago} s ago: make a new one")
        if content.dataset != dataset:
            raise NotAllowed(f"the token is for dataset {content.dataset!r}, not {dataset!r}")
        if method not in _READING:
            raise NotAllowed(f"a dataset token only reads: {method} needs the mesh key")
        return content


class Verifier:
    """Checks requests, each at most once.

    A nonce is remembered until its time has left the window. When there are too many, the oldest
    second is forgotten and requests as old as that are refused from then on: the window gets
    shorter, a replay never gets through.

    A new verifier remembers nothing, so it takes no request that changes something and was made
    before the second it started in.
    """

    def __init__(self, keys: Keys, now: Callable[[], float], *, limit: int = REMEMBERED) -> None:
        self._keys = keys
        self._now = now
        self._started = int(now())
        self._limit = limit
        self._seen: dict[int, set[int]] = {}
        self._count = 0
        self._floor = 0

    @property
    def remembered(self) -> int:
        """How many nonces."""
        return self._count

    def check(
        self, method: str, target: str, range_header: str, body: bytes, authorization: str | None
    ) -> Proof:
        """Check a request's Authorization header against what was asked.

        Raises:
            ProofInvalid: none, not made with this mesh's key or for this request, made too long
                ago or in the future, or seen before.
        """
        if not authorization:
            raise ProofInvalid("this needs proof of the mesh key: give --mesh-key-file")
        match = _PROOF.fullmatch(authorization)
        if match is None:
            raise ProofInvalid("the Authorization header is no proof of the mesh key")
        guest, time, nonce, mac = match.group("guest", "time", "nonce", "mac")
        for key in self._keys.of_guests(guest) if guest else self._keys.all:
            good = _request_mac(key.request, method, target, range_header, body, time, nonce)
            if hmac.compare_digest(mac, good):
                break
        else:
            raise ProofInvalid("the request was not proven with this mesh's key")
        self._check_time(int(time), method)
        self._remember(int(time), nonce)
        return Proof(nonce, key, guest or "")

    def _check_time(self, time: int, method: str) -> None:
        now = self._now()
        if abs(off := now - time) > WINDOW + 1:  # its time is cut to whole seconds
            side = "behind" if off > 0 else "ahead of"
            raise ProofInvalid(
                f"the caller's clock is {abs(off):.0f} s {side} this agent's: set both clocks "
                f"({WINDOW} s apart is allowed)"
            )
        floor = self._floor if method in _READING else max(self._floor, self._started)
        if time < floor:
            raise ProofInvalid(
                f"the request was made {now - time:.0f} s ago, before what this agent remembers: "
                "send it again"
            )

    def _remember(self, time: int, nonce: str) -> None:
        oldest = int(self._now()) - WINDOW - 1
        for second in [second for second in self._seen if second < oldest]:
            self._forget(second)
        # 64 bits of the nonce: a chance of 2**-46 that a new request is taken for one seen before.
        short = int(nonce[:16], 16)
        seen = self._seen.setdefault(time, set())
        if short in seen:
            raise ProofInvalid("the request was seen before: each is served once")
        seen.add(short)
        self._count += 1
        while self._count > self._limit:
            second = min(self._seen)
            self._forget(second)
            self._floor = max(self._floor, second + 1)

    def _forget(self, second: int) -> None:
        self._count -= len(self._seen.pop(second))


def nonce_of(authorization: str | None) -> str | None:
    """The nonce of a proof, right or wrong: an answer that refuses is proven with it as well."""
    match = _PROOF.fullmatch(authorization or "")
    return match["nonce"] if match else None


def bearer(authorization: str | None) -> str | None:
    """The token of an ``Authorization: Bearer ...`` header, or None if it is none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == BEARER.lower() else None


def _derive(context: str, key: bytes) -> bytes:
    return blake3(key, derive_key_context=context).digest()


def _http_key(mesh_key: bytes) -> HttpKey:
    return HttpKey(
        request=_derive("meshcache 2026 http request", mesh_key),
        answer=_derive("meshcache 2026 http answer", mesh_key),
        token=_derive("meshcache 2026 dataset token", mesh_key),
    )


def _answer_mac(key: HttpKey, nonce: str, status: int, digest: str) -> str:
    """64 hex digits that tie an answer's status and digest to the request's nonce."""
    return _mac(key.answer, "\n".join((nonce, str(status), digest)).encode())


def _mac(key: bytes, message: bytes) -> str:
    return hmac.digest(key, message, "sha256").hex()


def _request_mac(
    key: bytes, method: str, target: str, range_header: str, body: bytes, time: str, nonce: str
) -> str:
    parts = (method, target, range_header, hashlib.sha256(body).hexdigest(), time, nonce)
    message = "\n".join(parts)
    if message.count("\n") != len(parts) - 1:
        raise InvalidInput("a request's method, path and range hold no line break")
    return _mac(key, message.encode("utf-8", "surrogateescape"))


def _answer_digest(scope: str, headers: Mapping[str, str], body: bytes | None) -> str:
    if body is not None:
        return scope + blake3(body).hexdigest()
    head = "\n".join(f"{name}: {headers.get(name, '')}" for name in _HEAD)
    return scope + blake3(head.encode("utf-8", "surrogateescape")).hexdigest()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        data = b""
    # One spelling for each token: the bits that base64 ignores must be zero.
    return data if _b64(data) == text else b""
