"""Where an agent's mesh keys come from, and where they are kept once they were changed.

Changed keys go back into the file that the first one came from. If that cannot be written, as a
Secret of Kubernetes cannot, they are kept in the cache folder, together with the ids of the file's
keys that they replace. At the next start the kept ones count as long as the file is the one that
they replaced, or has a key in common with them; a file with other keys is another mesh's, or its
owner has started the mesh anew.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from meshcache.agent.trust import meshkey
from meshcache.errors import InvalidInput
from meshcache.gossip.keys import key_id

KEPT = "mesh.keys"
"""The name, in the cache folder, of changed keys whose file could not be written."""


class Kept(msgspec.Struct):
    """What the file in the cache folder holds, as JSON."""

    instead_of: list[str]
    """Ids of the keys in the mesh key file at that time."""
    keys: list[str]
    """In hex, the one in use first."""


class KeyFile:
    """The mesh keys of one agent, on disk."""

    def __init__(self, file: Path | None, cache_dir: Path, warn: Callable[[str], object]) -> None:
        """Without a `file` the agent has a key of its own in its cache folder. `warn` gets lines
        for the operator."""
        self._file = file
        self._cache_dir = cache_dir
        self._kept = cache_dir / KEPT
        self._warn = warn
        self.path: Path | None = file

    def load(self) -> list[bytes]:
        """The keys, the one in use first. Makes the agent's own key if it needs one.

        Raises:
            InvalidInput: the file is missing or holds no key.
            StoreUnusable: the cache folder cannot be written.
        """
        if self._file is None:
            self.path = meshkey.own(self._cache_dir)
            return meshkey.load(self.path, lambda line: None)
        given = meshkey.load(self._file, self._warn)
        kept = self._read_kept()
        if kept is None:
            return given
        keys = [bytes.fromhex(key) for key in kept.keys]
        if _ids(given) != kept.instead_of and not set(given) & set(keys):
            return given
        if given != keys:
            self._warn(
                f"mesh key file {self._file} is behind the mesh, whose keys were changed: using "
                f"those in {self._kept}; put the new key into {self._file} for members that start "
                "without them"
            )
        return keys

    def _read_kept(self) -> Kept | None:
        try:
            kept = msgspec.json.decode(self._kept.read_bytes(), type=Kept)
            return kept if all(map(bytes.fromhex, kept.keys)) and kept.keys else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._warn(f"{self._kept} cannot be read and is not used: {error}")
            return None

    async def keep(self, keys: list[bytes]) -> None:
        """Keep changed keys for the next start; what cannot be written is said."""
        await asyncio.to_thread(self._keep, keys)

    def _keep(self, keys: list[bytes]) -> None:
        assert self.path is not None, "keys are loaded before they are changed"
        try:
            meshkey.replace(self.path, "".join(f"{key.hex()}\n" for key in keys))
            self._kept.unlink(missing_ok=True)
            return
        except OSError as error:
            reason = error.strerror or str(error)
        try:
            given = meshkey.load(self.path, lambda line: None)
            kept = Kept(_ids(given), [key.hex() for key in keys])
            meshkey.replace(self._kept, msgspec.json.encode(kept).decode())
            self._warn(
                f"mesh key file {self.path} cannot be written ({reason}): the changed keys are "
                f"kept in {self._kept}; put the new key into {self.path} yourself, for members "
                "that start without it"
            )
        except (OSError, InvalidInput) as error:
            self._warn(
                f"the changed mesh keys are not kept over a restart: neither {self.path} nor "
                f"{self._kept} can be written ({error})"
            )


def _ids(keys: list[bytes]) -> list[str]:
    return [key_id(key) for key in keys]
