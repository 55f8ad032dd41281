"""The harness that measures mounts: what it keeps, shows and refuses, and one short run."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from benchmarks import __main__ as program
from benchmarks.datapath import plots, results, sections, table
from benchmarks.datapath.cells import CELLS, State
from benchmarks.datapath.jobs import Job
from benchmarks.datapath.results import Run, Sample
from benchmarks.datapath.subjects import OURS
from benchmarks.datapath.trees import EPOCH, Scale, files_of
from benchmarks.machine import Machine, OtherMachine
from meshcache.errors import InvalidInput
from meshcache.units import GIB, MIB

HERE = Machine(2, "a CPU", "6.18", "CPython 3.11", 24, "aa")


def sample(cell: str, subject: str, turn: int, value: float | None, **more: object) -> Sample:
    fields = {"bytes": GIB, "cpu": 2.0, "memory": 64 * MIB, **more}
    return Sample(cell, subject, turn, value, **fields)  # type: ignore[arg-type]


def a_run(*samples: Sample, machine: Machine = HERE, began: str = "2026-01-01") -> Run:
    return Run(began, machine, GIB, MIB, {OURS: "0.1"}, {OURS: "as it is"}, [*samples])


def in_rounds(cell: str, **values: list[float]) -> list[Sample]:
    return [
        sample(cell, subject, turn, value)
        for subject, each in values.items()
        for turn, value in enumerate(each)
    ]


def test_a_ratio_is_of_medians_with_the_least_and_most_of_any_round() -> None:
    run = a_run(*in_rounds("warm-1", meshcache=[100.0, 300.0, 200.0], juicefs=[100.0, 50.0, 80.0]))
    found = results.ratio(run, "warm-1", "meshcache", "juicefs", higher=True)
    assert found == results.Spread(2.5, 1.0, 6.0)
    found = results.ratio(run, "warm-1", "meshcache", "juicefs", higher=False)
    assert found == results.Spread(0.4, 50 / 300, 1.0)
    assert results.ratio(run, "warm-1", "meshcache", "rclone", higher=True) is None


def test_the_table_has_figures_ratios_costs_and_failures() -> None:
    run = a_run(
        *in_rounds("warm-1", meshcache=[100.0, 300.0, 200.0], juicefs=[100.0, 50.0, 80.0]),
        sample("warm-1", "rclone", 0, None, error="it ended\nlater"),
    )
    shown = table.report(run)
    assert "| warm: sequential read, 1 stream | MiB/s | **200** (100-300) | **80.0**" in shown
    assert "| warm: sequential read, 1 stream | **2.50** (1.00-6.00) | - |" in shown
    assert "| warm: sequential read, 1 stream | 2.00 | 2.00 | - |" in shown
    assert "- warm-1, rclone: it ended\n" in shown
    assert "a CPU" in shown


@pytest.mark.parametrize(
    ("cell", "ours", "best", "is_behind"),
    [
        ("warm-1", [10.0, 20.0], [14.0, 30.0], False),
        ("warm-1", [10.0, 20.0], [16.0, 30.0], True),
        ("first-byte", [10.0, 20.0], [1.0, 16.0], False),
        ("first-byte", [10.0, 20.0], [1.0, 14.0], True),
    ],
)
def test_behind_is_outside_of_all_that_the_best_rival_measured(
    cell: str, ours: list[float], best: list[float], is_behind: bool
) -> None:
    rivals = {"juicefs": best, "tmpfs": [1000.0]}
    run = a_run(*in_rounds(cell, meshcache=ours, **rivals))
    assert bool(table.behind(run, sections.of(run)[0])) == is_behind


def test_runs_of_different_machines_are_refused() -> None:
    other = msgspec.structs.replace(HERE, kernel="6.19")
    one = a_run(*in_rounds("warm-1", meshcache=[1.0]))
    two = a_run(*in_rounds("warm-1", meshcache=[2.0]), machine=other, began="2026-01-02")
    with pytest.raises(OtherMachine, match=r"kernel: 6\.18 and 6\.19"):
        table.compare(one, two)
    with pytest.raises(OtherMachine):
        results.merged([one, two])


def test_two_runs_of_one_machine_are_compared_and_merged_cell_by_cell() -> None:
    one = a_run(*in_rounds("warm-1", meshcache=[1.0]), *in_rounds("first-byte", meshcache=[6.0]))
    two = a_run(*in_rounds("first-byte", meshcache=[3.0]), began="2026-01-02")
    assert "| cold: time to first byte | 2.00 |" in table.compare(one, two)
    merged = results.merged([two, one])
    assert merged.values("warm-1", "meshcache") == [1.0]
    assert merged.values("first-byte", "meshcache") == [3.0]


def test_a_run_is_kept_as_it_was(tmp_path: Path) -> None:
    run = a_run(*in_rounds("warm-1", meshcache=[1.5]))
    results.save(run, tmp_path / "deep" / "run.json")
    assert results.load(tmp_path / "deep" / "run.json") == run


def test_plots_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    run = a_run(*in_rounds("warm-1", meshcache=[1.5, 2.0], juicefs=[0.7, 0.0]))
    files = plots.draw(run, tmp_path)
    assert files
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_each_cell_s_job_is_known_and_cold_ones_need_a_cache() -> None:
    from benchmarks.datapath.jobs import KINDS

    for cell in CELLS.values():
        assert cell.job.kind in KINDS
        assert cell.takes(caches=False, through_s3=True) == (cell.state is State.WARM)
        assert cell.takes(caches=True, through_s3=False) == (cell.state in (State.COLD, State.WARM))


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    assert program.chosen("b,a", ["a", "b", "c"], "cell") == ["a", "b"]
    assert program.chosen("", ["a", "b"], "cell") == ["a", "b"]
    with pytest.raises(InvalidInput, match="no cell 'x': choose from a, b"):
        program.chosen("x", ["a", "b"], "cell")


def done(job: Job) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.datapath.jobs"]
    said = subprocess.run(
        command, input=msgspec.json.encode(job), capture_output=True, check=True, timeout=60
    )
    return dict(json.loads(said.stdout))


def test_readers_read_each_byte_once_and_tell_a_wrong_one(tmp_path: Path) -> None:
    EPOCH.make(tmp_path, Scale(1))
    files = files_of(tmp_path)[:8]
    for kind in ("sequential", "random", "mapped", "small-files"):
        job = Job(kind, str(tmp_path), files, streams=3, size=10_000)
        got = done(job)
        assert (got["bytes"], got["whole"]) == (800_000, True), kind
    assert done(Job("stats", str(tmp_path), files, streams=2))["operations"] == 8
    assert done(Job("find", str(tmp_path)))["operations"] == len(files_of(tmp_path))
    verify = Job("verify", str(tmp_path), files, streams=2)
    right = done(verify)["digest"]
    changed = bytearray((tmp_path / files[3]).read_bytes())
    changed[-1] ^= 1
    (tmp_path / files[3]).write_bytes(changed)
    assert done(verify)["digest"] != right


def test_a_reader_stops_when_its_time_is_over(tmp_path: Path) -> None:
    EPOCH.make(tmp_path, Scale(1))
    got = done(Job("small-files", str(tmp_path), files_of(tmp_path), seconds=0.0))
    assert (got["operations"], got["whole"]) == (0, False)


@pytest.mark.fuse
@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/fuse").exists(), reason="needs root and /dev/fuse"
)
def test_a_short_run_measures_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("safetensors")
    memory = Path(tempfile.mkdtemp(prefix="m-", dir="/dev/shm"))  # short, for sockets
    monkeypatch.setattr(program, "_MEMORY", memory)
    words = ["--size", "2MiB", "--rounds", "1", "--cells", "first-byte,warm-1"]
    chosen = ["--subjects", f"{OURS},tmpfs", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words, *chosen])
    assert program.main() == 0, capsys.readouterr()
    (file,) = tmp_path.glob("run-*.json")
    run = results.load(file)
    assert not run.failures()
    assert {(s.cell, s.subject, s.turn) for s in run.samples} == {
        ("first-byte", OURS, 0),
        ("warm-1", OURS, 0),
        ("warm-1", "tmpfs", 0),
    }
    ours = run.of("warm-1", OURS)
    assert all(s.bytes == 2 * MIB and s.memory > MIB and s.stored > MIB for s in ours)
    memory.rmdir()  # so nothing is in it
    assert str(memory) not in Path("/proc/self/mountinfo").read_text()
