"""Whom to ask: one server, and the proxy that the environment names for it."""

import urllib.request
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import unquote

from yarl import URL

from meshcache.errors import InvalidInput

PORTS = {"http": 80, "https": 443}


class Site(NamedTuple):
    """A server. The host of an IPv6 address has no brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: URL) -> "Site":
        """The site of an absolute http or https URL.

        Raises:
            InvalidInput: it is none.
        """
        if url.scheme not in PORTS or not url.raw_host or not url.port:
            raise InvalidInput("only http and https URLs can be asked")
        return cls(url.scheme, url.raw_host, url.port)

    @property
    def address(self) -> str:
        """``host:port``, with brackets if need be."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def authority(self) -> str:
        """As it stands in URLs and the Host header: without the scheme's own port."""
        usual = f":{PORTS[self.scheme]}"
        return self.address.removesuffix(usual) if self.port == PORTS[self.scheme] else self.address


class Proxy(NamedTuple):
    """A proxy that is spoken to by HTTP."""

    host: str
    port: int
    credentials: str
    """The Proxy-Authorization header; empty: none."""

    @property
    def headers(self) -> dict[str, str]:
        """What it wants to see."""
        return {"Proxy-Authorization": self.credentials} if self.credentials else {}


def proxy_of(site: Site) -> Proxy | None:
    """What http_proxy, https_proxy and no_proxy say of a site. (~/.netrc is not asked.)

    Raises:
        InvalidInput: a proxy that is not an http one.
    """
    if urllib.request.proxy_bypass(site.host):
        return None
    text = urllib.request.getproxies().get(site.scheme)
    if not text:
        return None
    try:
        url = URL(text if "://" in text else f"http://{text}")
        host, port = url.raw_host, url.port
    except ValueError:
        host = port = None
    if not host or not port or url.scheme != "http":
        raise InvalidInput(
            f"the variable {site.scheme}_proxy names no proxy of the kind http://host:port"
        )
    if url.user is None:
        return Proxy(host, port, "")
    who = f"{unquote(url.raw_user or '')}:{unquote(url.raw_password or '')}".encode()
    return Proxy(host, port, f"Basic {b64encode(who).decode()}")
