"""A mountpoint that cannot be used is refused in one clear line, and nothing is left behind."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from meshcache.errors import EnvironmentUnfit, MountpointUnusable
from meshcache.fuse import mountpoint
from meshcache.fuse.keeper import MountSpec, keep
from meshcache.fuse.mountpoint import check_mountpoint, is_mounted, unmount
from tests.fuse.conftest import Mount
from tests.fuse.mounts import Keeping


def test_an_empty_directory_is_fine_and_links_to_it_too(tmp_path: Path) -> None:
    (tmp_path / "mnt").mkdir()
    (tmp_path / "link").symlink_to("mnt")
    assert check_mountpoint(tmp_path / "link") == tmp_path / "mnt"
    assert not is_mounted(tmp_path / "link")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "does not exist: make it with `mkdir -p"),
        ("absent/deeper", "does not exist"),
        ("file", "is not a directory"),
        ("file/below", "is not a directory"),
        ("full", "is not empty"),
    ],
)
def test_what_is_no_empty_directory_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(MountpointUnusable, match=message) as caught:
        check_mountpoint(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_machine_without_the_device_or_fusermount_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentUnfit, match="install the package fuse3"):
        mountpoint.mount(tmp_path, "models")
    empty = tmp_path / "mnt"
    empty.mkdir()
    with pytest.raises(EnvironmentUnfit, match="fusermount3 is missing"):
        check_mountpoint(empty)
    monkeypatch.setattr(mountpoint, "DEVICE", tmp_path / "fuse")
    with pytest.raises(EnvironmentUnfit, match="modprobe fuse"):
        check_mountpoint(empty)


def test_a_kernel_that_cannot_hold_a_process_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pidfd_open(pid: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", pidfd_open)
    with pytest.raises(EnvironmentUnfit, match=r"Linux 5\.3"):
        keep(MountSpec("models", tmp_path), lambda _: pytest.fail("begun"), lambda: None)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("fusermount3: mount failed: Operation not permitted\n", "mounting takes root"),
        (
            "fusermount3: option allow_other only allowed if 'user_allow_other' is set",
            "--no-allow-other",
        ),
        ("", "did not say why"),
    ],
)
def test_what_fusermount_says_is_passed_on_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, message: str
) -> None:
    fake = tmp_path / "fusermount3"
    fake.write_text(f"#!/bin/sh\nprintf '%s' \"{output}\" >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(EnvironmentUnfit, match=message) as caught:
        mountpoint.mount(tmp_path, "models")
    assert "\n" not in str(caught.value)


def test_unmounting_what_is_not_mounted_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", Path("/proc")):
        with pytest.raises(MountpointUnusable, match=r"nothing of meshcache's"):
            unmount(path)


@pytest.mark.fuse
def test_a_mount_in_use_is_not_unmounted_nor_mounted_over(mount: Mount, open_folder: Path) -> None:
    agent, keeping = mount({"file": b"data"})
    place = os.open(keeping.mountpoint, os.O_PATH)
    try:
        with pytest.raises(MountpointUnusable, match="in use"):
            unmount(keeping.mountpoint)
    finally:
        os.close(place)
    with pytest.raises(MountpointUnusable, match="mounted already"):
        check_mountpoint(keeping.mountpoint)
    second = Keeping(agent.path, keeping.mountpoint, open_folder / "second log")
    assert not second.ready
    assert second.process.wait(5) == 3
    assert second.log.startswith("MountpointUnusable: ")
    second.discard()


@pytest.mark.fuse
def test_nothing_is_mounted_when_the_agent_shows_nothing(mount: Mount, open_folder: Path) -> None:
    mount({"file": b""})  # skips where nothing can be mounted
    place = open_folder / "mnt"
    place.mkdir()
    keeping = Keeping(open_folder / "no such door", place, open_folder / "log")
    assert not keeping.ready
    assert keeping.process.wait(5) != 0
    assert not is_mounted(place)
    keeping.close()


AS_A_USER = """
from pathlib import Path
from meshcache.fuse.mountpoint import detach, is_mounted, mount
place = Path(sys.argv[1])
os.setgroups([]); os.setgid(1000); os.setuid(1000)
device = mount(place, "models", allow_other=False)
print(is_mounted(place), os.get_inheritable(device), detach(place), is_mounted(place))
"""


@pytest.mark.fuse
def test_a_user_mounts_and_unmounts_through_fusermount(mount: Mount, open_folder: Path) -> None:
    mount({"file": b""})  # skips where nothing can be mounted
    if not Path("/usr/bin/fusermount3").stat().st_mode & 0o4000:
        pytest.skip("fusermount3 is not set-uid here")
    place = open_folder / "mnt"
    place.mkdir()
    os.chown(place, 1000, 1000)
    # On most machines everybody may open /dev/fuse. Where not, a private view of /dev has one.
    device = open_folder / "fuse"
    os.mknod(device, 0o666 | stat.S_IFCHR, Path("/dev/fuse").stat().st_rdev)
    device.chmod(0o666)
    private = 'mount --bind "$0" /dev/fuse && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", private, str(device)]
    command += [sys.executable, "-c", f"import os, sys\n{AS_A_USER}", str(place)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert result.stdout.split() == ["True", "False", "False", "False"], result.stderr
