"""Volumes that containers share: nothing of a killed container's mount is left when the next ends.

Mount namespaces stand for the containers, bound as a container runtime binds them: the *node* has
the volumes, each sidecar gets what lies on top of them then, and so does the app, once.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(
        os.getuid() != 0 or not Path("/dev/fuse").exists() or shutil.which("fusermount3") is None,
        reason="needs root, /dev/fuse and fusermount3",
    ),
]

NODE = """
set -eu
mkdir node root app
mount -t tmpfs node node; mount --make-rshared node
for name in volume reach; do mkdir "node/$name"; mount -t tmpfs "$name" "node/$name"; done
sidecar() {
    unshare --mount --propagation unchanged sh -euc '
        mount -t tmpfs root root; mkdir root/volume root/reach
        mount --rbind node/volume root/volume; mount --rbind node/reach root/reach
        exec "$0" -c "$1" "$PWD/root"' "$PYTHON" "$1"
}
mounts() { grep -c "$PWD/node/${1-}.* fuse.meshcache" /proc/self/mounts || true; }
"""

SIDECAR = """
import os, sys
from pathlib import Path
from meshcache.fuse.mountpoint import mount
from meshcache.fuse.volumes import Reach
root = Path(sys.argv[1])
reach = Reach(root / "reach", [root / "volume"])
reach.recover()
device = mount(reach.of(root / "volume"), "models")
reach.show()
"""
KILLED = f"{SIDECAR}\nos._exit(0)"
ENDED = f"{SIDECAR}\nos.close(device); reach.release()"
TWICE = f"""{SIDECAR}
from meshcache.errors import MountpointUnusable
try:
    reach.recover()
except MountpointUnusable:
    print("alive", flush=True)
os._exit(0)
"""


def run_on_a_node(folder: Path, script: str) -> list[str]:
    ended = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", NODE + script],
        cwd=folder,
        env=os.environ
        | {"PYTHON": sys.executable, "KILLED": KILLED, "ENDED": ENDED, "TWICE": TWICE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


def test_one_that_ends_leaves_nothing(tmp_path: Path) -> None:
    assert run_on_a_node(tmp_path, 'sidecar "$ENDED"; mounts; umount node/volume node/reach') == [
        "0"
    ]


def test_however_many_were_killed_the_node_has_one_mount_and_then_none(tmp_path: Path) -> None:
    script = """
    for n in 1 2 3; do sidecar "$KILLED"; mounts volume; done
    sidecar "$ENDED"; mounts; umount node/volume node/reach
    """
    assert run_on_a_node(tmp_path, script) == ["1", "1", "1", "0"]


@pytest.mark.parametrize("first", ["", 'sidecar "$KILLED"'])
def test_a_container_that_has_the_volume_already_sees_each_new_mount(
    tmp_path: Path, first: str
) -> None:
    # It was bound where nothing was mounted yet, or where the first mount was.
    script = f"""
    {first}
    mount --rbind node/volume app; mount --make-rslave app
    device() {{ grep " $PWD/app " /proc/self/mountinfo | tail -n 1 | cut -d" " -f3; }}
    for n in 1 2 3; do before=$(device); sidecar "$KILLED"; test "$before" != "$(device)"; done
    umount -l app; sidecar "$ENDED"; mounts
    """
    assert run_on_a_node(tmp_path, script) == ["0"]


def test_a_living_mount_is_not_taken_away(tmp_path: Path) -> None:
    ended = run_on_a_node(tmp_path, 'sidecar "$TWICE"; mounts volume')
    assert ended == ["alive", "1"]
