"""From the mesh key to the CURVE keys of the transport.

Both key pairs follow from the mesh key (blake3's derive_key with a context each), so whoever holds
it can serve and connect, and nobody else can do either. The mesh key itself never travels.
"""

from dataclasses import dataclass

import zmq
from blake3 import blake3
from zmq.utils import z85

from meshcache.gossip.errors import InvalidSettings

SERVER_CONTEXT = "meshcache 2026 gossip curve server"
CLIENT_CONTEXT = "meshcache 2026 gossip curve client"
ID_CONTEXT = "meshcache 2026 gossip key id"
SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Pair:
    """A CURVE key pair, in Z85 as libzmq takes it."""

    public: bytes
    secret: bytes

    @property
    def raw_public(self) -> bytes:
        """The public key's 32 bytes, as ZAP shows it."""
        return bytes(z85.decode(self.public))


@dataclass(frozen=True, slots=True)
class CurveKeys:
    """What one mesh key gives."""

    id: str
    """16 hex digits that name the key and do not reveal it."""
    server: Pair
    client: Pair
    mesh: bytes = b""
    """The public key that others of the mesh serve with, in Z85: `server`'s own, but for a guest,
    who cannot serve as they do."""

    @property
    def theirs(self) -> bytes:
        """The public key to expect of whom one connects to, in Z85."""
        return self.mesh or self.server.public


def _pair(key: bytes, context: str) -> Pair:
    secret = z85.encode(blake3(key, derive_key_context=context).digest())
    return Pair(zmq.curve_public(secret), secret)


def key_id(mesh_key: bytes) -> str:
    """16 hex digits that name a mesh key and do not reveal it."""
    return blake3(mesh_key, derive_key_context=ID_CONTEXT).digest(8).hex()


def client_public(key: bytes) -> bytes:
    """The CURVE key (32 bytes) that the holder of a key shows to whom it connects to."""
    return _pair(key, CLIENT_CONTEXT).raw_public


def public_of(mesh_key: bytes) -> bytes:
    """The public key (32 bytes) that the holders of a mesh key serve with: what a guest is given
    to know them by."""
    return derive(mesh_key).server.raw_public


def derive(mesh_key: bytes, mesh: bytes = b"") -> CurveKeys:
    """The CURVE keys of a mesh key; or of a guest's key, with the 32 bytes of the public key
    of the `mesh` that it is a guest of.

    Raises:
        InvalidSettings: the key has fewer than 16 bytes.
    """
    if len(mesh_key) < SHORTEST:
        raise InvalidSettings(f"a mesh key has at least {SHORTEST} bytes, this has {len(mesh_key)}")
    return CurveKeys(
        key_id(mesh_key),
        _pair(mesh_key, SERVER_CONTEXT),
        _pair(mesh_key, CLIENT_CONTEXT),
        z85.encode(mesh) if mesh else b"",
    )
