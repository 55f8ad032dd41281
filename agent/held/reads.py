"""Where readers found the bytes of a dataset, as shares of what they were given."""

import msgspec

from meshcache.traffic import Traffic


class Reads(msgspec.Struct):
    """What readers were given of a dataset, since the living members started; bytes."""

    read: int
    local: int
    """Found in the store of the reader's own node."""
    remote: int
    """Found in another member's."""
    origin: int
    """Found nowhere in the mesh, and had from the origin."""
    fetched: int
    """Asked of the origin, for readers as well as by loads and ahead of readers."""
    loaded: int
    """Of these, by loads."""
    saved: int
    """`read` less `fetched`: what the origin need not send again. Nothing while readers were given
    no more than the origin sent."""
    hit_ratio: float | None
    """Of local and remote together in `read`, 0 to 1, as Fluid's cacheHitRatio; None before a
    read."""
    local_ratio: float | None
    remote_ratio: float | None
    origin_ratio: float | None

    @classmethod
    def of(cls, traffic: Traffic) -> "Reads":
        """What the counters of all members come to."""
        local, remote, origin = traffic.store, traffic.given, traffic.origin + traffic.missed
        read = local + remote + origin

        def ratio(size: int) -> float | None:
            return size / read if read else None

        return cls(
            read=read,
            local=local,
            remote=remote,
            origin=origin,
            fetched=traffic.fetched,
            loaded=traffic.loaded,
            saved=max(0, read - traffic.fetched),
            hit_ratio=ratio(local + remote),
            local_ratio=ratio(local),
            remote_ratio=ratio(remote),
            origin_ratio=ratio(origin),
        )
