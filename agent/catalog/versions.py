"""Versions of a dataset by name: ``dataset@version``."""

import re

from meshcache.dataset import MIN_PREFIX, History, Version
from meshcache.errors import VersionNotFound

_PREFIX = re.compile(rf"[0-9a-f]{{{MIN_PREFIX},64}}")


def version_of(name: str) -> str | None:
    """What stands behind the ``@``; None where there is none: the head is meant."""
    _, at, version = name.partition("@")
    return version if at else None


def find_version(name: str, wanted: str, history: History) -> Version:
    """The one version of dataset `name` whose id begins so.

    Raises:
        VersionNotFound: there is none, or more than one.
    """
    if not _PREFIX.fullmatch(wanted):
        raise VersionNotFound(
            f"{wanted!r} is no version: write {name}@ and at least {MIN_PREFIX} hex digits of its "
            f"id, as `meshcache dataset versions {name}` shows it"
        )
    found = [version for version in history.versions if version.name.startswith(wanted)]
    if not found:
        raise VersionNotFound(
            f"dataset {name!r} has no version {wanted}, or it is forgotten: see `meshcache dataset "
            f"versions {name}`"
        )
    if len(found) > 1:
        raise VersionNotFound(f"{len(found)} versions of dataset {name!r} begin with {wanted}")
    return found[0]
