"""What a user asks of a load: the body of ``POST /v1/loads``."""

import re
from typing import Literal, get_args

import msgspec

from meshcache.errors import InvalidInput

Policy = Literal["Once", "Cron", "OnEvent"]
"""When a load runs, in Fluid's words: now; whenever its schedule says; after another load."""

MAX_REPLICAS = 16

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the dataset to load: one of Fluid's ``spec.target``."""

    path: str
    """A file, a directory or a glob, from the dataset's root (docs/loads.md)."""
    replicas: int = 0
    """How many owners of each block fetch it; 0: as many as the load says."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a load is to be done: what its record takes over from who asked for it."""

    metadata_only: bool = False
    """Only have the listing at every target."""
    replicas: int = 0
    """How many owners of each block fetch it, whatever the dataset says; 0: as the dataset says."""
    zones: tuple[str, ...] = ()
    """Zones whose `cache` members fetch every block into their own stores as well."""
    nodes: tuple[str, ...] = ()
    """Members, by name, that do."""
    all: bool = False
    """All `cache` members do."""
    rate: int = 0
    """Bytes per second that all members together fetch; 0: as fast as they can."""
    policy: Policy = "Once"
    schedule: str = ""
    """Five cron fields, in UTC; with the policy Cron."""
    run_after: str = ""
    """The name of a load; this one starts when that is Complete."""
    ttl: float | None = None
    """Seconds after its end at which the load is forgotten; None: when newer ones need the room."""


class NewLoad(Terms, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A load as it is asked for.

    Raises:
        InvalidInput: on making one that cannot be.
    """

    name: str = ""
    """As a dataset's; empty: one is made of the dataset's and a random part."""
    dataset: str
    """Its name, or ``NAME@VERSION``: what that shows, whatever the head is."""
    paths: tuple[str, ...] = ()
    """Files, directories and globs. With neither paths, targets nor files: everything."""
    targets: tuple[Target, ...] = ()
    """Paths with replicas of their own."""
    exclude: tuple[str, ...] = ()
    """Globs of what is left out, whoever names it."""
    files: tuple[str, ...] | None = None
    """Files and directories by their exact paths, as many as need be."""
    dry_run: bool = False
    """Only say what it would do."""

    def __post_init__(self) -> None:
        if self.name and not _NAME.fullmatch(self.name):
            raise InvalidInput(
                f"{self.name!r} is not a name of a load: use a-z, 0-9, '-' and '.', at most 63"
            )
        for replicas in (self.replicas, *(target.replicas for target in self.targets)):
            if not 0 <= replicas <= MAX_REPLICAS:
                raise InvalidInput(f"a load has 1 to {MAX_REPLICAS} replicas, not {replicas}")
        if self.rate < 0:
            raise InvalidInput(f"a rate of {self.rate} bytes per second cannot be")
        if self.ttl is not None and not 0 <= self.ttl < float("inf"):
            raise InvalidInput(f"a ttl of {self.ttl} seconds cannot be")
        if self.dry_run and self.policy == "Cron":
            raise InvalidInput("a dry run is of a load that would run now: give no schedule")
        self._check_policy()

    def _check_policy(self) -> None:
        if self.policy not in get_args(Policy):
            raise InvalidInput(f"{self.policy!r} is no policy: there are Once, Cron and OnEvent")
        if (self.policy == "Cron") != bool(self.schedule):
            raise InvalidInput("the policy Cron needs a schedule, and no other policy has one")
        if self.policy == "OnEvent" and not self.run_after:
            raise InvalidInput("the policy OnEvent needs run_after: the load to wait for")
        if self.policy == "Cron" and self.run_after:
            raise InvalidInput("a load runs by its schedule or after another load, not both")
