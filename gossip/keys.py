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


def _pair(key: bytes, context: str) -> Pair:
    secret = z85.encode(blake3(key, derive_key_context=context).digest())
    return Pair(zmq.curve_public(secret), secret)


def key_id(mesh_key: bytes) -> str:
    """16 hex digits that name a mesh key and do not reveal it."""
    return blake3(mesh_key, derive_key_context=ID_CONTEXT).digest(8).hex()


def derive(mesh_key: bytes) -> CurveKeys:
    """The CURVE keys of a mesh key.

    Raises:
        InvalidSettings: the key has fewer than 16 bytes.
    """
    if len(mesh_key) < SHORTEST:
        raise InvalidSettings(f"a mesh key has at least {SHORTEST} bytes, this has {len(mesh_key)}")
    return CurveKeys(
        key_id(mesh_key), _pair(mesh_key, SERVER_CONTEXT), _pair(mesh_key, CLIENT_CONTEXT)
    )
