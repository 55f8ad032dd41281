"""An HTTP/1.1 client for blocks: what an answer brings is received where it is to lie.

Written for this because bodies are most of what meshcache does: aiohttp's client hands them over
as parts that it has copied, at half the rate, and takes 0.5 ms for a small file. The core (`head`,
`chunked`, `answer`) knows no sockets; `connection`, `dial` and `client` put it on asyncio's.

It asks GET, HEAD and POST without a body, keeps connections, and speaks through proxies and TLS.
It does not follow redirects, decompress, or know cookies: `meshcache.origin.http_client` follows.
"""

from meshcache.http.answer import Body, BodyOf
from meshcache.http.bodies import Buffers, First, Whole
from meshcache.http.client import Client
from meshcache.http.errors import BadAnswer, BrokenOff, TooLong
from meshcache.http.head import Head
from meshcache.http.site import Site

__all__ = [
    "BadAnswer",
    "Body",
    "BodyOf",
    "BrokenOff",
    "Buffers",
    "Client",
    "First",
    "Head",
    "Site",
    "TooLong",
    "Whole",
]
