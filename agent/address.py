"""A host and a port, as flags and the configuration write them."""

import ipaddress
import re
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from meshcache.errors import EnvironmentUnfit, InvalidInput

HTTP_PORT = 7440
"""Where agents serve HTTP unless told otherwise. Neither this nor 7441 is assigned by IANA."""

GOSSIP_PORT = 7441

_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]*))(?::(?P<port>\d{1,5}))?"
)


class HostPort(NamedTuple):
    """Where to listen, or whom to ask. The host is an IP address or a DNS name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> "HostPort":
        """Read ``10.0.0.1:7440``, ``[::1]:7440``, ``agent-0.mesh:7440`` or ``:7440`` (every
        interface). The port may be left out where there is a default one.

        Raises:
            InvalidInput: the text is no address.
        """
        match = _ADDRESS.fullmatch(text.strip())
        port = default_port if match is None or match["port"] is None else int(match["port"])
        if match is None or port is None or port > 65535 or not text.strip():
            raise InvalidInput(
                f"{text!r} is not an address: write HOST:PORT, like 10.0.0.1:{HTTP_PORT} or "
                f"[::1]:{HTTP_PORT}"
            )
        return cls(match["v6"] or match["host"] or "0.0.0.0", port)

    @property
    def loopback(self) -> bool:
        """Only this machine can reach it. A DNS name other than localhost is held to be public."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def everywhere(self) -> bool:
        """It names every interface, so it is an address to listen on but none to tell others."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False


def parse_agent(text: str) -> HostPort:
    """The host and port of ``http://host:port``, ``host:port`` or ``host``.

    Raises:
        InvalidInput: the text names no agent.
    """
    split = urlsplit(text if "://" in text else f"http://{text}")
    if split.scheme != "http" or split.path.strip("/") or split.query or "@" in split.netloc:
        raise InvalidInput(f"{text!r} is not an agent's address: write http://HOST:{HTTP_PORT}")
    return HostPort.parse(split.netloc, HTTP_PORT)


def outgoing_host(toward: HostPort | None = None) -> str:
    """The address of the interface that packets to `toward` (or to anywhere) leave by.

    Nothing is sent: a UDP socket is connected and asked for its own address. May block on DNS.

    Raises:
        EnvironmentUnfit: there is no route.
    """
    # RFC 5737 and RFC 3849: addresses that exist nowhere take the default route.
    nowhere = [HostPort("192.0.2.1", 9), HostPort("2001:db8::1", 9)]
    for host, port in [toward, *nowhere] if toward else nowhere:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_DGRAM
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                found: str = probe.getsockname()[0]
        except OSError:
            continue
        if not HostPort(found, 0).everywhere:
            return found
    raise EnvironmentUnfit("no network route to choose an address by: give --advertise HOST")
