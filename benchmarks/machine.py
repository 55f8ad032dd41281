"""What a run was measured on, so that runs of different machines are never compared."""

import os
import platform
from pathlib import Path

import msgspec
from blake3 import blake3

from meshcache.errors import InvalidInput

_MACHINE_ID = Path("/etc/machine-id")


class Machine(msgspec.Struct, frozen=True):
    """A machine as far as figures depend on it."""

    cpus: int
    model: str
    kernel: str
    python: str
    memory: int = 0
    """GiB, rounded."""
    host: str = ""
    """A hash of its id, which tells two alike apart."""

    def __str__(self) -> str:
        size = f", {self.memory} GiB" if self.memory else ""
        return f"{self.cpus} CPUs ({self.model}){size}, Linux {self.kernel}, {self.python}"


class OtherMachine(InvalidInput):
    """Runs of two machines were to be compared."""


def this_machine() -> Machine:
    """As /proc tells."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    known = _MACHINE_ID.read_text().strip() if _MACHINE_ID.exists() else platform.node()
    return Machine(
        cpus=os.cpu_count() or 1,
        model=model,
        kernel=platform.release(),
        python=python,
        memory=round(memory / 2**30),
        host=blake3(known.encode()).hexdigest(8),
    )


def same(one: Machine, other: Machine) -> None:
    """Do nothing if both are one machine.

    Raises:
        OtherMachine: they differ; says in what.
    """
    different = [
        f"{field}: {mine} and {theirs}"
        for field in Machine.__struct_fields__
        if (mine := getattr(one, field)) != (theirs := getattr(other, field))
    ]
    if different:
        raise OtherMachine(
            f"these runs are of different machines ({'; '.join(different)}): "
            "their figures cannot be compared, measure both on one machine"
        )
