"""Folders of a mounted dataset, shown elsewhere by bind mounts.

A container may be meant to see one folder of a dataset alone. The place is another mount, which
propagates into containers as the dataset's own does; so it is made anew, too, when a mount whose
keeper was killed is made anew.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from meshcache.errors import EnvironmentUnfit, MeshcacheError, MountpointUnusable
from meshcache.fuse.mountinfo import FS_TYPE, locate, mount_at
from meshcache.fuse.mountpoint import detach

_WITHIN = 30.0
"""Seconds for one bind: the mount answers by then, or not at all."""


def clear(places: Iterable[Path], *, volume: bool = False) -> None:
    """Take away what an earlier keeper left at these places.

    Args:
        volume: they are a container's volumes, so its runtime has mounted something there.

    Raises:
        MountpointUnusable: something else than meshcache's is mounted there.
        EnvironmentUnfit: the right to unmount is missing.
    """
    for place in map(locate, places):
        while (mounted := mount_at(place)) is not None and mounted.fs_type == FS_TYPE:
            detach(place)
        if mounted is not None and not volume:
            raise MountpointUnusable(f"{place} is mounted already ({mounted.source})")


def bind(dataset: Path, binds: Mapping[str, Path]) -> None:
    """Show folders of the dataset mounted at `dataset`: path within it -> place. All or none.

    Raises:
        MountpointUnusable: the dataset has no such folder, a place is missing or no directory, or
            the right to mount is.
        EnvironmentUnfit: this machine has no mount(8), or the dataset's mount does not answer.
    """
    made: list[Path] = []
    try:
        for path, place in binds.items():
            _bind(dataset / path.strip("/"), locate(place))
            made.append(place)
    except BaseException:
        unbind(made)
        raise


def _bind(folder: Path, place: Path) -> None:
    # By a process of its own, with a limit: it asks the mount, which the keeper never does.
    command = ["mount", "--bind", "--", str(folder), str(place)]
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_WITHIN,
            env=os.environ | {"LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise EnvironmentUnfit("mount is missing: install the package mount") from None
    except subprocess.TimeoutExpired:
        raise EnvironmentUnfit(f"{folder} did not answer in {_WITHIN:g} s") from None
    if result.returncode:
        why = " ".join(result.stderr.split()).removeprefix("mount: ")
        raise MountpointUnusable(f"cannot show {folder} at {place}: {why}")


def unbind(places: Iterable[Path]) -> None:
    """Take the binds away, in use or not."""
    for place in places:
        with contextlib.suppress(MeshcacheError):
            detach(locate(place))
