"""Who may connect: a ZAP handler (RFC 27) in this process, on the loop.

It lets in the client keys that follow from the installed mesh keys, and those of admitted guests.
It names each connection's user after its mesh key's id, or the guest, so that frames can be told
apart when that key is removed. Without the server's public key, which follows from the mesh key as
well, a stranger cannot even begin a handshake.
"""

import zmq

from meshcache.gossip.keyring import KeyRing
from meshcache.gossip.transport import sockets
from meshcache.gossip.transport.sockets import Socket

DOMAIN = b"meshcache gossip"


class Doorman:
    """Answers libzmq's questions about who shows which key."""

    def __init__(self, context: "zmq.Context[Socket]", keys: KeyRing) -> None:
        """Bind; libzmq needs the answers before the first peer is there."""
        self._keys = keys
        self.sock = sockets.plain(context, zmq.ROUTER)
        self.sock.bind("inproc://zeromq.zap.01")

    def answer(self) -> None:
        """Answer what was asked."""
        while sockets.readable(self.sock):
            parts = self.sock.recv_multipart(zmq.NOBLOCK)
            # version, request id, domain, address, identity, mechanism, credentials
            start = parts.index(b"") + 1
            route, request = parts[:start], parts[start:]
            user = self._user(request)
            status = (b"200", b"OK") if user else (b"400", b"not of this mesh")
            self.sock.send_multipart([*route, b"1.0", request[1], *status, user.encode(), b""])

    def _user(self, request: list[bytes]) -> str:
        """The id of the mesh key that the caller holds, or which guest it is; empty for others."""
        if len(request) == 7 and request[0] == b"1.0" and request[5] == b"CURVE":
            return self._keys.user_of(request[6]) or ""
        return ""
