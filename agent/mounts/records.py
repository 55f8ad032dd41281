"""What the agent tells of the mounts that are registered here."""

from typing import Literal

import msgspec


class WorkersRecord(msgspec.Struct):
    """How a mount's workers are, by its keeper's word."""

    state: Literal["serving", "replacing", "slowed"] = "serving"
    """A worker answers; another one takes over; they die again and again, so the next one waits."""
    pid: int = 0
    """The process that answers, as its keeper numbers it; 0 for none."""
    restarts: int = 0
    """Workers that died."""
    pause: float = 0.0
    """Seconds for which nobody answered when one died, or was replaced, last."""
    version: str = ""
    """Of the program that the worker runs."""
    upgrades: int = 0
    """Workers that were replaced on demand."""
    failed: int = 0
    """Attempts at that which failed."""
    problem: str = ""
    """Why the last of them did."""


class MountRecord(msgspec.Struct):
    """A registered mount."""

    id: str
    dataset: str
    """Its name, and ``@`` and a version if it shows that alone."""
    mountpoint: str
    pid: int
    """The keeper's process, as its own pid namespace numbers it."""
    door: str
    """The Unix socket (SOCK_SEQPACKET) that serves it."""
    workers: WorkersRecord = msgspec.field(default_factory=WorkersRecord)
