"""Mounts are known from mountinfo alone, whatever their paths look like."""

from pathlib import Path

from meshcache.fuse.mountinfo import Mounted, locate, mount_at, mounts

LINES = rb"""22 1 254:0 / / rw,relatime - ext4 /dev/root rw
90 22 0:51 / /mnt/a\040b\134c\011d rw,nosuid shared:3 master:1 - fuse.meshcache meshcache:models rw
91 22 0:300 / /mnt/\303\244 rw - fuse.meshcache meshcache:x\040y rw
"""


def test_escaped_paths_are_read(tmp_path: Path) -> None:
    file = tmp_path / "mountinfo"
    file.write_bytes(LINES)
    root, first, second = mounts(file)
    assert root.fs_type == "ext4"
    assert first.path == Path("/mnt/a b\\c\td")
    assert (first.device, first.source) == ((0, 51), "meshcache:models")
    assert (second.path, second.source) == (Path("/mnt/ä"), "meshcache:x y")


def test_a_connection_is_numbered_as_the_kernel_encodes_devices() -> None:
    numbers = {51: 51, 255: 255, 256: 1 << 20, 300: (1 << 20) | 44}
    for minor, connection in numbers.items():
        assert Mounted(Path("/m"), (0, minor), "fuse", "").connection == connection


def test_a_place_is_found_through_links_and_dots(tmp_path: Path) -> None:
    (tmp_path / "real" / "mnt").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "last").symlink_to(tmp_path / "link" / "mnt")
    place = tmp_path / "real" / "mnt"
    for path in ("link/mnt", "last", "real/../link/mnt/", "real/mnt"):
        assert locate(tmp_path / path) == place
    assert locate(tmp_path / "absent" / "x") == tmp_path / "absent" / "x"


def test_this_machine_s_own_mounts_are_read() -> None:
    assert mount_at(Path("/")) is not None
    assert mount_at(Path("/proc/self")) is None
