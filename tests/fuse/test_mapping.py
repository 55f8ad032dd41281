"""A mapping is all there, or an error; never a signal."""

import os
from pathlib import Path

import pytest

from meshcache.errors import StoreError
from meshcache.fuse.mapping import is_in_memory, map_file
from meshcache.store.pages import Pages, map_read_only
from tests.fuse.agent import memory_file


def test_a_mapping_has_the_bytes_without_the_trailer(tmp_path: Path) -> None:
    data = os.urandom(100_000)
    path = tmp_path / "block"
    path.write_bytes(data + b"trailer")
    on_disk = os.open(path, os.O_RDONLY)
    in_memory = memory_file("block", data + b"trailer")
    for file in (on_disk, in_memory):
        view = map_file(file, len(data))
        os.close(file)
        path.unlink(missing_ok=True)
        assert view == data
        assert view.readonly


def test_a_mapping_holds_no_descriptor_and_ends_with_its_last_view(tmp_path: Path) -> None:
    path = tmp_path / "block"
    path.write_bytes(b"x" * 100_000)
    file = os.open(path, os.O_RDONLY)
    view = map_file(file, 100_000)
    os.close(file)
    assert str(path) not in {os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()}
    part = view[1000:2000]
    del view
    assert part == b"x" * 1000
    assert str(path) in Path("/proc/self/maps").read_text()
    del part
    assert str(path) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("length", [0, -1, 11])
def test_a_file_that_is_too_short_is_refused(length: int) -> None:
    file = memory_file("block", b"0123456789")
    with pytest.raises(StoreError):
        map_file(file, length)
    os.close(file)


def test_a_page_that_cannot_be_read_is_an_error_and_no_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = memory_file("block", bytes(1 << 20))

    def map_then_cut(number: int, length: int) -> Pages:
        mapping = map_read_only(number, length)
        os.truncate(file, 4096)  # stands for a disk that fails
        return mapping

    monkeypatch.setattr("meshcache.fuse.mapping.map_read_only", map_then_cut)
    monkeypatch.setattr("meshcache.fuse.mapping._is_tmpfs", lambda *_: False)
    with pytest.raises(StoreError, match="cannot be mapped"):
        map_file(file, 1 << 20)
    os.close(file)


def test_an_older_kernel_without_populate_reads_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshcache.fuse.mapping._MADV_POPULATE_READ", 9999)
    monkeypatch.setattr("meshcache.fuse.mapping._is_tmpfs", lambda *_: False)
    file = memory_file("block", b"x" * 3_000_000)
    assert map_file(file, 3_000_000) == b"x" * 3_000_000
    os.close(file)


def test_a_block_in_tmpfs_is_known_to_be_in_memory() -> None:
    file = memory_file("block", bytes(3_000_000))
    assert is_in_memory(file, 3_000_000)
    os.close(file)


def test_a_short_block_on_disk_is_in_memory_while_it_is_in_the_page_cache(tmp_path: Path) -> None:
    path = tmp_path / "block"
    path.write_bytes(bytes(100_000))
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.read(file, 100_000)
    here = is_in_memory(file, 100_000)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    away = is_in_memory(file, 100_000)
    os.close(file)
    if not here:
        pytest.skip("this file system cannot tell what is in the page cache")
    assert not away
