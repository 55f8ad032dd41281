"""meshcache: a peer-to-peer, master-less read cache.

Each dataset get first looks in the node's own store, otherwise asks the block's owner, which
every member computes alike; the owner looks in its store and otherwise reads the origin, once
for the whole mesh. See docs/architecture.md.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("meshcache")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
