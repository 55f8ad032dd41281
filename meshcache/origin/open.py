"""From a mount's URL to the origin that reads it."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from meshcache.dataset import Mount
from meshcache.errors import InvalidInput
from meshcache.origin import http, s3_client, s3_place
from meshcache.origin.base import Origin
from meshcache.origin.file import FileOrigin, claim_of, folder_of
from meshcache.origin.http import HttpOrigin
from meshcache.origin.s3 import S3Origin
from meshcache.secrets import is_reference

OPTIONS = s3_place.OPTIONS | http.OPTIONS
"""All options of all kinds of origins. A dataset has one set for all its mounts, so an origin lets
pass those of the others."""

SECRETS = s3_client.SECRETS
"""All secret options."""

SCHEMES = ("s3", *sorted(s3_place.FLAVOURS.keys() - {"s3"}), "https", "http", "file", "pvc")


def open_origin(
    mount: Mount,
    options: Mapping[str, str],
    secrets: Callable[[], Mapping[str, str]],
    *,
    pvc_root: Path | None = None,
) -> Origin:
    """The origin of a mount. Nothing is connected, read or resolved before the first use.

    Args:
        mount: of it, the URL.
        options: of the dataset and the mount: endpoint, region, addressing=path|virtual,
            anonymous=true|false, list=true|false.
        pvc_root: the folder that the claims of ``pvc://`` origins are folders of.
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
        case _ if scheme in s3_place.FLAVOURS:
            return S3Origin(mount.url, options, secrets)
        case "http" | "https":
            return HttpOrigin(mount.url, options)
        case "file":
            return FileOrigin(mount.url, folder_of(mount.url))
        case "pvc":
            folder = claim_of(mount.url)
            if pvc_root is None:
                raise InvalidInput(f"{mount.url} needs an agent with --pvc-root")
            claim = "/" + folder.split("/")[1]
            return FileOrigin(
                mount.url, folder, base=str(pvc_root), within=claim, identity="pvc://"
            )
    # Not quoted as a whole: it may hold a password.
    known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    raise InvalidInput(f"an origin's URL begins with {known} or dataset://")


def warm_up(mounts: Iterable[Mount]) -> None:
    """Do what the first use of such origins takes, before anybody waits for it. Nothing is
    connected, read or resolved. Slow: for a thread."""
    schemes = {mount.url.partition(":")[0].lower() for mount in mounts}
    if schemes & s3_place.FLAVOURS.keys():
        s3_client.warm_up()


def check_mount(
    mount: Mount, options: Mapping[str, str], secret_options: Mapping[str, str]
) -> None:
    """Let pass a mount that can be, as far as its words tell; nothing is resolved.

    Args:
        mount: its own options win over the dataset's.
        options: of the dataset.
        secret_options: of the dataset: references.

    Raises:
        InvalidInput: the URL, an option or a reference cannot be.
    """
    references = {**secret_options, **mount.secret_options}
    if unknown := references.keys() - SECRETS:
        known = ", ".join(sorted(SECRETS))
        raise InvalidInput(f"{min(unknown)!r} is not a secret option: there are {known}")
    for name, reference in references.items():
        if not is_reference(reference):
            # Not quoted: somebody may have written the secret itself.
            raise InvalidInput(
                f"{name} takes where the secret is, never the secret: write file:PATH, env:NAME or "
                "secret:NAME/KEY"
            )
    if mount.reference is None:
        open_origin(mount, {**options, **mount.options}, dict, pvc_root=Path("/"))
