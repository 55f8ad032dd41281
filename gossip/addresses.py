"""Addresses as people write them: ``host:port``, ``[::1]:port``."""

import socket

from meshcache.gossip.errors import InvalidSettings

WILDCARDS = frozenset({"0.0.0.0", "::", "*", ""})


def split(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``.

    Raises:
        InvalidSettings: no port, or one that is no port.
    """
    host, colon, port = address.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isdecimal() or int(port) > 65535 or not host:
        raise InvalidSettings(f"{address!r} is not an address: write host:port")
    return host, int(port)


def join(host: str, port: int) -> str:
    """``host:port``, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_address(towards: str) -> str:
    """The address of this host that packets to `towards` would come from.

    Connecting a datagram socket sends nothing; it asks the routing table.
    """
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((towards, 9))
            return str(sock.getsockname()[0])
        except OSError:
            return "127.0.0.1"
