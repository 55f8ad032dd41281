"""What a measurement of growth is: points, each a size and figures, on one machine."""

from pathlib import Path

import msgspec

from benchmarks.machine import Machine


class Point(msgspec.Struct, frozen=True):
    """One size, once."""

    curve: str
    size: int
    figures: dict[str, float]


class Growth(msgspec.Struct):
    """All points of one kind."""

    kind: str
    began: str
    """ISO 8601, UTC."""
    machine: Machine
    about: str
    """What was fixed meanwhile, in words."""
    points: list[Point] = []

    def figures(self, curve: str, name: str) -> list[tuple[int, float]]:
        """(size, figure) of a curve, by size."""
        return sorted(
            (point.size, point.figures[name])
            for point in self.points
            if point.curve == curve and name in point.figures
        )


def file_of(folder: Path, kind: str) -> Path:
    """Where the newest points of a kind are kept."""
    return folder / f"growth-{kind}.json"


def save(growth: Growth, folder: Path) -> Path:
    """Write them; those of before are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    file = file_of(folder, growth.kind)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(growth), indent=1))
    return file


def load(folder: Path, kind: str) -> Growth | None:
    """Read them; None if there are none."""
    file = file_of(folder, kind)
    return msgspec.json.decode(file.read_bytes(), type=Growth) if file.exists() else None
