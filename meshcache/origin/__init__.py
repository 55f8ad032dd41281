"""Origins: the remote storages that datasets come from.

`meshcache.origin.open` opens them; it is not imported here, since whoever only reads snapshots (a
mount's worker) should not load HTTP clients for it.
"""

from meshcache.origin.base import Listed, Origin

__all__ = ["Listed", "Origin"]
