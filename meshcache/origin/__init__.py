"""Origins: the remote storages that datasets come from."""

from meshcache.origin.base import Listed, Origin
from meshcache.origin.open import open_origin

__all__ = ["Listed", "Origin", "open_origin"]
