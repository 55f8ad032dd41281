"""The transport: links over ZeroMQ, encrypted and authenticated by CURVE."""

from meshcache.gossip.transport.transport import Transport

__all__ = ["Transport"]
