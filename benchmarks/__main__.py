"""``make bench``: reads through meshcache beside other mounts of the same origin."""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks import mesh
from benchmarks.datapath import results, table
from benchmarks.datapath.cells import CELLS, State
from benchmarks.datapath.origin import Origin
from benchmarks.datapath.results import Run, Sample
from benchmarks.datapath.runner import Runner, WrongBytes
from benchmarks.datapath.subjects import SUBJECTS
from benchmarks.datapath.trees import Scale
from benchmarks.janitor import watched
from benchmarks.machine import this_machine
from benchmarks.mesh import CommandFailed
from benchmarks.usage import Busy
from meshcache.errors import EnvironmentUnfit, InvalidInput, MeshcacheError
from meshcache.units import format_size, parse_size

FOLDER = Path("build/bench")
_MEMORY = Path("/dev/shm")
_TRANSFER = "transfer"
"""The cell that is no mount's: blocks from an agent's memory, beside nginx."""
_TIMES = 26
"""Bytes in memory for each byte of the model, at the most: the trees, the origin, the caches."""


def chosen(given: str, known: Iterable[str], what: str) -> list[str]:
    """The names of a list with commas, in the order of the known ones; all if it is empty.

    Raises:
        InvalidInput: one is not known.
    """
    wanted = [name.strip() for name in given.split(",") if name.strip()]
    order = list(known)
    if unknown := [name for name in wanted if name not in order]:
        raise InvalidInput(f"no {what} {unknown[0]!r}: choose from {', '.join(order)}")
    return [name for name in order if name in wanted] if wanted else order


def _check(size: int) -> None:
    if os.geteuid() != 0:
        raise EnvironmentUnfit("this needs root, to mount and to drop the page cache between reads")
    free = os.statvfs(_MEMORY).f_bavail * os.statvfs(_MEMORY).f_frsize
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if min(free, available) < _TIMES * size:
        raise EnvironmentUnfit(
            f"this takes {format_size(_TIMES * size)} of memory, and {format_size(free)} of "
            f"{_MEMORY} and {format_size(available)} of memory are free: give a smaller --size"
        )


async def measure(given: argparse.Namespace, console: Console) -> Path:
    """Take all samples; the file they are in."""
    size, rate = parse_size(given.size), parse_size(given.rate)
    subjects = [SUBJECTS[n] for n in chosen(given.subjects, SUBJECTS, "subject")]
    names = chosen(given.cells, [*CELLS, _TRANSFER], "cell")
    cells = [CELLS[name] for name in names if name in CELLS]
    _check(size)
    began = datetime.now(UTC)
    run = Run(began.isoformat(timespec="seconds"), this_machine(), size, rate)
    for subject in subjects:
        run.versions[subject.name] = await subject.version()
        run.settings[subject.name] = subject.settings
    file: Path = given.out / f"run-{began:%Y%m%dT%H%M%S}.json"
    busy = Busy()

    def keep(sample: Sample) -> None:
        run.samples.append(sample)
        run.busy = busy.percent()
        results.save(run, file)  # each at once: a run that is killed leaves what it has

    with tempfile.TemporaryDirectory(prefix="bench-", dir=_MEMORY) as name, watched(Path(name)):
        origin = Origin(Path(name))
        try:
            origin.start()
            if any(cell.state in (State.CAPPED, State.NODES) for cell in cells):
                await origin.cap(rate)
            await Runner(
                folder=Path(name),
                origin=origin,
                subjects=subjects,
                cells=cells,
                scale=Scale(size),
                rounds=given.rounds,
                say=lambda line: console.print(line, highlight=False, markup=False),
                keep=keep,
            ).run()
            if _TRANSFER in names:
                for sample in await _transfer(size, given.rounds, Path(name)):
                    keep(sample)
        finally:
            await origin.stop()
    return file


async def _transfer(size: int, rounds: int, folder: Path) -> list[Sample]:
    """The samples of `benchmarks.transfer`, whose own process is the receiver."""
    file = folder / "transfer.json"
    await mesh.run(
        *(sys.executable, "-m", "benchmarks.transfer", "--size", str(size)),
        *("--rounds", str(rounds), "--json", str(file)),
        within=600,
    )
    return msgspec.json.decode(file.read_bytes(), type=list[Sample])


async def _interruptible(given: argparse.Namespace, console: Console) -> Path:
    """Ctrl-C and SIGTERM cancel it once; further ones do not disturb the cleaning up."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def interrupt() -> None:
        for number in signals:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in signals:
        loop.add_signal_handler(number, interrupt)
    return await measure(given, console)


def run(given: argparse.Namespace, console: Console) -> None:
    """Measure, then show."""
    given.runs = [asyncio.run(_interruptible(given, console))]
    show(given, console)


def show(given: argparse.Namespace, console: Console) -> None:
    """Tables and plots of runs of one machine, the newest of each cell."""
    from benchmarks.datapath import plots

    files = given.runs or sorted(given.out.glob("run-*.json"))
    if not files:
        raise InvalidInput(f"there is no run in {given.out}: make one with `make bench`")
    merged = results.merged(map(results.load, files))
    report = table.report(merged)
    place = given.out / "report.md"
    place.write_text(report)
    console.print(report, highlight=False, markup=False, soft_wrap=True)
    for file in (place, *plots.draw(merged, given.out)):
        console.print(str(file), highlight=False)


def compare(given: argparse.Namespace, console: Console) -> None:
    """How many times better each subject was in the second of two runs."""
    before, after = map(results.load, (given.before, given.after))
    console.print(table.compare(before, after), highlight=False, markup=False, soft_wrap=True)


def parser() -> argparse.ArgumentParser:
    """The command line; without a command it measures."""
    root = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = root.add_subparsers(metavar="COMMAND")
    runner = commands.add_parser("run", help=run.__doc__)
    runner.add_argument("--size", default="512MiB", help="of the model; other trees follow")
    runner.add_argument("--rate", default="64MiB", help="of the capped origin, per second")
    runner.add_argument("--rounds", type=int, default=4)
    runner.add_argument("--cells", default="", help=f"some of: {','.join(CELLS)},{_TRANSFER}")
    runner.add_argument("--subjects", default="", help=f"some of: {','.join(SUBJECTS)}")
    runner.set_defaults(command=run)
    shower = commands.add_parser("show", help=show.__doc__)
    shower.add_argument("runs", nargs="*", type=Path, help="files (default: all of the folder)")
    shower.set_defaults(command=show)
    comparer = commands.add_parser("compare", help=compare.__doc__)
    comparer.add_argument("before", type=Path)
    comparer.add_argument("after", type=Path)
    comparer.set_defaults(command=compare)
    for command in (runner, shower, comparer):
        command.add_argument("--out", type=Path, default=FOLDER, help="folder of runs and plots")
    return root


def main() -> int:
    """0: done; 1: it failed; 2: what was given cannot be; 130: interrupted."""
    words = sys.argv[1:]
    if not words or words[0].startswith("--"):
        words = ["run", *words]
    given = parser().parse_args(words)
    console = Console()
    try:
        given.command(given, console)
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.print("interrupted")
        return 130
    except InvalidInput as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    except (MeshcacheError, CommandFailed, WrongBytes, RuntimeError, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
