"""``meshcache version``."""

from meshcache import __version__


def version() -> None:
    """Print the version of this program."""
    print(f"meshcache {__version__}")
