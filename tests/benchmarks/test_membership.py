"""The harness that measures membership measures our gossip, and its table says what came out."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.membership import __main__ as program
from benchmarks.membership import parts, report
from benchmarks.membership.mesh import Times
from benchmarks.membership.subjects import Serf


@pytest.mark.netns
@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip"))),
    reason="needs root, unshare, nsenter and ip",
)
def test_three_of_ours_are_measured_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--subjects", "ours", "--members", "3", "--measure"]
    counts = ["starts=1", "events=1", "leaves=1", "kills=1"]
    for given in ([*words, *counts], ["table"]):
        monkeypatch.setattr(sys, "argv", ["membership", "--out", str(tmp_path), *given])
        assert program.main() == 0

    (part,) = parts.load([tmp_path])
    assert not part.stopped
    assert {name: len(rows) for name, rows in part.samples.items()} == {
        "starts": 1,
        "events": 1,
        "leaves": 1,
        "kills": 1,
    }
    (kill,) = part.samples["kills"]
    assert kill["all"] is not None
    shown = capsys.readouterr().out
    assert f"| G1: 1.0 | SIGKILL: failed at all, s | 3 | {report.short(kill['all'])} |" in shown


def test_a_figure_is_shown_with_what_never_happened() -> None:
    assert report.cell([0.25, None, 4.0, 1.5]) == "0.25 / **1.50** / 4.00 (3, 1 never)"
    assert report.cell([None, None]) == "never (2)"
    assert report.cell([]) == "-"
    assert report.cell([1500.0], unit=1000) == "1.50"


def test_all_is_told_only_if_everybody_said_it() -> None:
    assert Times({"a": 1.0, "b": 2.0}).all == 2.0
    assert Times({"a": 1.0}, {"b"}).all is None
    assert Times({"a": 1.0}, {"b"}).first == 1.0


@pytest.mark.parametrize(
    ("line", "heard"),
    [
        ("    2026/11/25 [INFO] serf: EventMemberFailed: n7 10.98.0.8", ("failed", "n7")),
        ("    2026/11/25 [INFO] memberlist: Suspect n7 has failed, no acks", ("suspect", "n7")),
        ("    2026/11/25 [INFO] agent: Received event: user-event: event-1", ("event", "event-1")),
        ("    2026/11/25 [INFO] agent: Received event: member-failed", None),
    ],
)
def test_serf_is_understood_by_its_log(line: str, heard: tuple[str, str] | None) -> None:
    assert Serf.understand(line) == heard


def test_an_unknown_measure_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["membership", "run", "--measure", "nonsense"])
    assert program.main() == 1
    assert "no measure 'nonsense': choose from events" in capsys.readouterr().err
