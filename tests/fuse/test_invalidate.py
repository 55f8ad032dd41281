"""What the kernel is told of a new head."""

import os
from collections.abc import Iterator

import pytest

from meshcache.fuse import invalidate
from meshcache.snapshot import ROOT_INODE, Snapshot
from tests.fuse.agent import snapshot_of

FEW, MANY = 10, invalidate.EPOCH_FROM


class Kernel:
    """Takes down what it is told, by libfuse and by what is written to its device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[tuple[int, bytes]] = []
        self.directories: list[int] = []
        self._other, self.device = os.pipe()
        self._knows = True
        monkeypatch.setattr("pyfuse3.invalidate_entry", lambda *entry: self.names.append(entry))
        monkeypatch.setattr(
            "pyfuse3.invalidate_inode",
            lambda inode, attr_only: self.directories.append(inode),
        )

    def refuse(self) -> None:
        """As one that does not know what is written to it."""
        self._knows = False
        os.close(self._other)  # a pipe that nobody reads

    def written(self) -> bytes:
        return os.read(self._other, 100)

    def close(self) -> None:
        os.close(self.device)
        if self._knows:
            os.close(self._other)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    kernel = Kernel(monkeypatch)
    yield kernel
    kernel.close()


def heads(count: int) -> tuple[Snapshot, Snapshot]:
    """Two snapshots; between them so many files come."""
    files = {f"{number}": b"" for number in range(count)}
    return Snapshot(snapshot_of({"stays": b""})), Snapshot(snapshot_of(files | {"stays": b""}))


def test_names_are_taken_back_one_by_one_if_they_are_few(kernel: Kernel) -> None:
    assert invalidate.take_back(*heads(FEW), kernel.device) == FEW
    assert sorted(kernel.names) == [(ROOT_INODE, b"%d" % number) for number in range(FEW)]
    assert kernel.directories == [ROOT_INODE]


def test_and_all_at_once_if_they_are_many(kernel: Kernel) -> None:
    assert invalidate.take_back(*heads(MANY), kernel.device) == MANY
    assert len(kernel.written()) == 16
    assert kernel.names == []
    assert kernel.directories == [ROOT_INODE]


def test_or_one_by_one_where_the_kernel_does_not_know_how(kernel: Kernel) -> None:
    kernel.refuse()
    assert invalidate.take_back(*heads(MANY), kernel.device) == MANY
    assert len(kernel.names) == MANY
    assert kernel.directories == [ROOT_INODE]
