"""A part of a run: one subject at one size, with every sample, as a JSON file."""

import random
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.machine import Machine, this_machine
from benchmarks.membership.measures import MEASURES, starts
from benchmarks.membership.mesh import Mesh, NotInTime, Row
from benchmarks.membership.subjects import SUBJECTS
from benchmarks.usage import Busy
from meshcache.gossip.sim.samples import commit
from tests.support.namespaces import Namespaces


class Part(msgspec.Struct):
    """What was measured of one subject at one size."""

    subject: str
    members: int
    began: str
    """ISO 8601, UTC."""
    seed: int
    machine: Machine
    version: str = ""
    code: str = ""
    """The commit of this repository."""
    samples: dict[str, list[Row]] = {}
    """By measure."""
    busy: float = 0.0
    """Percent of the machine over the whole part."""
    stopped: str = ""
    """Why it ended early."""

    def is_of(self, subject: str, members: int) -> bool:
        """Whether it is of this subject at this size."""
        return (self.subject, self.members) == (subject, members)


def measure(subject: str, members: int, wanted: Mapping[str, int], *, seed: int) -> Part:
    """Measure one subject at one size. `wanted`: measure -> samples; ``starts`` is how many meshes
    are started (at least one), the last of which serves the others.

    Raises:
        EnvironmentUnfit: something this needs is not here.
    """
    began = datetime.now(UTC).isoformat(timespec="seconds")
    part = Part(subject, members, began, seed, this_machine(), code=commit())
    busy, rng = Busy(), random.Random(seed)
    for left in range(wanted.get("starts", 1) - 1, -1, -1):
        _mesh(part, {} if left else wanted, rng)
    part.busy = busy.percent()
    return part


def _mesh(part: Part, wanted: Mapping[str, int], rng: random.Random) -> None:
    network = Namespaces()
    mesh = Mesh(SUBJECTS[part.subject](network), network, rng)
    part.version = mesh.subject.version()
    try:
        part.samples.setdefault("starts", []).extend(starts.measure(mesh, part.members))
        for name, measure in MEASURES.items():
            if wanted.get(name):
                part.samples[name] = rows = measure.run(mesh, wanted[name])
                print(part.subject, part.members, name, rows[-1], file=sys.stderr, flush=True)
    except NotInTime as error:
        part.stopped = str(error)
        print(part.subject, part.members, error, file=sys.stderr, flush=True)
    finally:
        mesh.close()
        network.close()


def save(part: Part, folder: Path) -> Path:
    """Write it to a file of its own in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    began = part.began[:19].replace(":", "").replace("-", "")
    file = folder / f"{part.subject}-{part.members}-{began}-{part.seed}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(part), indent=1))
    return file


def take(subject: str, members: int, wanted: Mapping[str, int], seed: int, folder: Path) -> Path:
    """Measure and save, in a process of its own. Raises as `measure`."""
    return save(measure(subject, members, wanted, seed=seed), folder)


def load(folders: Iterable[Path]) -> list[Part]:
    """All parts of these folders.

    Raises:
        msgspec.ValidationError: a file is no part.
    """
    files = sorted(file for folder in folders for file in folder.glob("*.json"))
    return [msgspec.json.decode(file.read_bytes(), type=Part) for file in files]
