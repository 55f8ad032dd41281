"""meshcache: a peer-to-peer, master-less read cache.

Each read first looks in the node's own store, otherwise asks the block's owner, which every member
computes alike; the owner looks in its store and otherwise reads the origin, once for the whole
mesh. See docs/architecture.md.
"""

__version__: str
"""The version of the installed package; "0+unknown" for a tree that was never installed."""


def __getattr__(name: str) -> str:
    # Looking it up takes 20 ms, which commands that do not show it should not pay.
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("meshcache")
    except PackageNotFoundError:
        return "0+unknown"
