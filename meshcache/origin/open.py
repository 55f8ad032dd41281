"""From a mount's URL to the origin that reads it."""

from collections.abc import Callable, Mapping

from meshcache.dataset import Mount
from meshcache.errors import InvalidInput
from meshcache.origin import s3_place
from meshcache.origin.base import Origin
from meshcache.origin.file import FileOrigin
from meshcache.origin.http import HttpOrigin
from meshcache.origin.s3 import S3Origin

OPTIONS = s3_place.OPTIONS
"""All options of all kinds of origins. A dataset has one set for all its mounts, so an origin lets
pass those of the others."""


def open_origin(
    mount: Mount, options: Mapping[str, str], secrets: Callable[[], Mapping[str, str]]
) -> Origin:
    """The origin of a mount. Nothing is connected, read or resolved before the first use.

    Args:
        mount: of it, the URL.
        options: of the dataset: endpoint, region, addressing=path|virtual, anonymous=true|false.
        secrets: gives the secret options' values (access_key, secret_key, session_token); called
            in a thread, at first use and again when the origin refuses the credentials.

    Raises:
        InvalidInput: the URL or an option cannot be.
    """
    if unknown := options.keys() - OPTIONS:
        known = ", ".join(sorted(OPTIONS))
        raise InvalidInput(f"{min(unknown)!r} is not an option of an origin: there are {known}")
    scheme = mount.url.partition(":")[0].lower()
    match scheme:
        case "s3" | "oss":
            return S3Origin(mount.url, options, secrets)
        case "http" | "https":
            return HttpOrigin(mount.url)
        case "file":
            return FileOrigin(mount.url)
    # Not quoted as a whole: it may hold a password.
    raise InvalidInput("an origin's URL begins with s3://, oss://, https://, http:// or file://")
