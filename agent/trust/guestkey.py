"""The key that a tenant's pod gets: for one dataset, derived from the mesh key.

Whoever has it can join as a leaf and read that dataset's blocks. It cannot write state, read
another dataset, or be turned back into the mesh key. It carries the public key of the mesh's gossip
as well, which a guest needs to know whom it talks to.
"""

import base64
import binascii
import re

import msgspec
from blake3 import blake3

from meshcache.errors import InvalidInput

_CONTEXT = "meshcache 2026 guest"
_TEXT = re.compile(r"mcg1\.([a-z0-9.-]{1,63})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})")


class GuestKey(msgspec.Struct, frozen=True):
    """A guest's key for one dataset."""

    dataset: str
    secret: bytes
    """32 bytes, in the place of the mesh key wherever the guest proves something."""
    server: bytes
    """32 bytes: the mesh's CURVE public key."""

    def __str__(self) -> str:
        return f"mcg1.{self.dataset}.{_b64(self.secret)}.{_b64(self.server)}"


def secret_for(mesh_key: bytes, dataset: str) -> bytes:
    """What a guest of `dataset` has in the place of the mesh key: 32 bytes."""
    key = blake3(mesh_key, derive_key_context=_CONTEXT).digest()
    return blake3(dataset.encode(), key=key).digest()


def guest_key(mesh_key: bytes, dataset: str) -> GuestKey:
    """The key for guests of `dataset`."""
    # Here, for what gossip imports is not for every command that proves a request.
    from meshcache.gossip.keys import public_of

    return GuestKey(dataset, secret_for(mesh_key, dataset), public_of(mesh_key))


def parse(text: str) -> GuestKey:
    """Read what `str` wrote.

    Raises:
        InvalidInput: the text is no guest key. It is not repeated in the message.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise InvalidInput("not a guest key: it looks like mcg1.DATASET.SECRET.SERVER")
    return GuestKey(match[1], _unb64(match[2]), _unb64(match[3]))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=")
    except binascii.Error as error:
        raise InvalidInput("not a guest key: a part of it is no base64") from error
