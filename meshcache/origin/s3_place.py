"""Where a mount of S3 or of what speaks like it points: pure reading of its URL and options."""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

import msgspec

from meshcache.errors import InvalidInput
from meshcache.origin.options import truth

OPTIONS = frozenset({"endpoint", "region", "addressing", "anonymous"})


class Flavour(msgspec.Struct, frozen=True):
    """What a scheme stands for where the options do not say."""

    endpoint: str = ""
    """Of the service, with ``{region}`` in it if it has one for each; empty: AWS."""
    addressing: str = "virtual"
    region: str = ""
    """What to sign with where the service has no regions."""


FLAVOURS = {
    "s3": Flavour(),
    "oss": Flavour("https://oss-{region}.aliyuncs.com"),
    "cos": Flavour("https://cos.{region}.myqcloud.com"),
    "obs": Flavour("https://obs.{region}.myhuaweicloud.com"),
    "gs": Flavour("https://storage.googleapis.com", "path", "auto"),
    "minio": Flavour("{endpoint}", "path", "us-east-1"),
}
"""Scheme -> what it stands for. Any other store that speaks S3 is ``s3://`` with an endpoint."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_REGION = re.compile(r"[a-z0-9-]{2,40}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_PORTS = {"http": 80, "https": 443}


class Place(msgspec.Struct, frozen=True):
    """A bucket, or a part of one, and how to reach it."""

    url: str
    """As the dataset has it: for messages."""
    bucket: str
    prefix: str
    """What all keys below the root begin with: empty, or ending in ``/``."""
    exact: str
    """The one object that is meant if nothing lies below the prefix; empty: none may be."""
    endpoint: str | None
    """``scheme://host[:port][/path]``; None: AWS itself."""
    region: str | None
    addressing: str
    """``path``, ``virtual``, or ``auto`` (virtual where the name allows it)."""
    anonymous: bool

    @property
    def identity(self) -> str:
        """``s3+http://127.0.0.1:8333/bucket``, or ``s3+aws://bucket``.

        A name is given once within a partition of AWS whatever the region, so the region is not
        part of it; a member that left it out reads the same bucket. Prefix, addressing and
        credentials change no byte, so two mounts of one bucket share their blocks.
        """
        if self.endpoint is not None:
            return f"s3+{self.endpoint}/{self.bucket}"
        region = self.region or ""
        partition = next((p for start, p in _PARTITIONS.items() if region.startswith(start)), "aws")
        return f"s3+{partition}://{self.bucket}"

    @property
    def shown(self) -> str:
        """For messages: the URL, and the endpoint if one was given."""
        return f"{self.url} at {self.endpoint}" if self.endpoint else self.url

    def path_of(self, key: str) -> str | None:
        """Where a key stands below the root; None if it does not, or is a directory marker."""
        if not key.startswith(self.prefix) or key == self.prefix:
            return None
        return key[len(self.prefix) :]

    def covers(self, key: str) -> bool:
        """Whether the mount shows this key."""
        return bool(key) and (key.startswith(self.prefix) or key == self.exact)


def parse_place(url: str, options: Mapping[str, str]) -> Place:
    """Read a mount's URL and options.

    Raises:
        InvalidInput: the URL or an option cannot be.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    bucket, _, key = rest.partition("/")
    if "@" in bucket:
        raise InvalidInput(f"the {scheme}:// URL holds credentials: use secret options for them")
    if not _BUCKET.fullmatch(bucket) or _CONTROL.search(key):
        raise InvalidInput(f"{url!r} names no bucket: write {scheme}://bucket or with a prefix")
    region = options.get("region")
    if region is not None and not _REGION.fullmatch(region):
        raise InvalidInput(f"{region!r} is not a region: write it like us-east-1")
    flavour = FLAVOURS[scheme]
    endpoint = options.get("endpoint")
    if endpoint is None:
        endpoint = _endpoint_of(url, scheme, flavour, region)
    if scheme == "s3":
        default = "path" if endpoint else "auto"
    else:
        default, region = flavour.addressing, region or flavour.region or None
    addressing = options.get("addressing", default)
    if addressing not in ("path", "virtual", "auto"):
        raise InvalidInput(f"the option addressing is path or virtual, not {addressing!r}")
    return Place(
        url=url,
        bucket=bucket,
        prefix=key if not key or key.endswith("/") else key + "/",
        exact="" if key.endswith("/") else key,
        endpoint=_endpoint(endpoint) if endpoint is not None else None,
        region=region,
        addressing=addressing,
        anonymous=truth(options, "anonymous"),
    )


def _endpoint_of(url: str, scheme: str, flavour: Flavour, region: str | None) -> str | None:
    if "{endpoint}" in flavour.endpoint:
        raise InvalidInput(f"{url} needs the option endpoint, like http://minio:9000")
    if "{region}" in flavour.endpoint and region is None:
        raise InvalidInput(f"{url} needs the option endpoint or region, like cn-hangzhou")
    region = (region or "").removeprefix(f"{scheme}-")
    return flavour.endpoint.format(region=region) or None


def _endpoint(text: str) -> str:
    """An endpoint's one spelling: lower case, no default port, no slash at the end."""
    parts = urlsplit(text)
    scheme = parts.scheme.lower()
    host = parts.hostname
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("the option endpoint holds credentials: use secret options for them")
    if scheme not in _PORTS or not host or parts.query or parts.fragment or _CONTROL.search(text):
        raise InvalidInput(f"{text!r} is not an endpoint: write it like https://s3.example.com")
    port = _port(parts, text)
    if ":" in host:
        host = f"[{host}]"
    suffix = "" if port in (None, _PORTS[scheme]) else f":{port}"
    return f"{scheme}://{host}{suffix}{parts.path.rstrip('/')}"


def _port(parts: SplitResult, text: str) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise InvalidInput(f"{text!r} has a port that cannot be") from None
