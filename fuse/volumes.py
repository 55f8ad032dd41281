"""A container's volumes, kept in reach of the container that comes after it.

A sidecar shows a dataset to other containers by mounting it over a volume that all of them have:
the mount propagates to them (shared subtrees, mount_namespaces(7)). When the sidecar is killed its
mount stays, dead, on the node too. The next sidecar is given what lies on top at the volume's path:
the dead mount itself. What is under it, and shares mounts with the node, is out of its reach.

So the volume is bound once more, below a name in a second volume, the *reach*. The next sidecar
finds it there with the dead mount on it, unmounts that, and mounts there: on the node all is as if
nobody had died. Containers that started while the dead mount was alive have it as their volume, and
see what is mounted over it; so the new mount is bound over what the sidecar was given, too.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from meshcache.errors import EnvironmentUnfit, MeshcacheError
from meshcache.fuse.mountinfo import locate, mount_at
from meshcache.fuse.mountpoint import bury, detach, is_mounted

_MS_BIND = 4096

_libc = ctypes.CDLL(None, use_errno=True)


class Reach:
    """Some volumes of this container, in a folder that outlives it and propagates as they do."""

    def __init__(self, folder: Path, volumes: Iterable[Path]) -> None:
        """Nothing is done yet. The volumes' last parts differ."""
        self._folder = folder
        self._volumes = [locate(volume) for volume in volumes]
        self._taken: list[Path] = []

    def of(self, volume: Path) -> Path:
        """Where a volume is in reach: the place to mount at, instead of the volume itself."""
        return locate(self._folder / volume.name)

    def recover(self) -> None:
        """Put the volumes in reach, and unmount what killed keepers left on them.

        Raises:
            MountpointUnusable: what is mounted on one of them is alive.
            EnvironmentUnfit: the right to mount is missing, or the folder cannot be written.
        """
        for volume in self._volumes:
            kept = self.of(volume)
            if mount_at(kept) is not None:
                bury(kept)
            else:
                _make(kept)
                _bind(volume, kept)
            self._taken.append(volume)

    def show(self) -> None:
        """Show at the volumes, too, what was mounted in reach, if it did not come there already.

        Raises:
            EnvironmentUnfit: the right to mount is missing.
        """
        for volume in self._volumes:
            kept = self.of(volume)
            mounted, shown = mount_at(kept), mount_at(volume)
            if mounted is not None and (shown is None or shown.device != mounted.device):
                _bind(kept, volume)

    def release(self) -> None:
        """Leave nothing of what was recovered: no mount of meshcache's on the volumes, and nothing
        in reach."""
        for volume in self._taken:
            kept = self.of(volume)
            with contextlib.suppress(MeshcacheError):
                for place in (volume, kept):
                    while is_mounted(place):
                        detach(place)
                detach(kept)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentUnfit(f"cannot make {folder}: {error.strerror}") from error


def _bind(source: Path, place: Path) -> None:
    """mount(2); no file system is asked, for both are the roots of mounts."""
    if _libc.mount(os.fsencode(source), os.fsencode(place), None, _MS_BIND, None):
        why = os.strerror(ctypes.get_errno())
        raise EnvironmentUnfit(f"cannot bind {source} to {place}: {why}")
