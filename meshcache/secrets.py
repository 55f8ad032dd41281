"""Secret references, resolved on the node that uses them.

A dataset's record travels to every member, so it names secrets and never holds them:
``file:/etc/keys/s3-secret``, ``env:S3_SECRET``, or ``secret:NAME/KEY`` for a Kubernetes Secret
that is mounted as the folder NAME below a ``--secret-root`` of the node. Whoever may create a
dataset chooses both the reference and the endpoint that the secret is sent to, so an agent that
others can reach resolves only what its own operator listed. What it was started with (MESHCACHE_*)
it never gives away.
"""

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from meshcache.beneath import Outside, is_beneath, open_beneath
from meshcache.errors import InvalidInput
from meshcache.origin.file import folder_of

MAX_SECRET = 64 * 1024
"""Bytes of a file that may be a secret. More is some other file."""

_SECRET = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/(?!\.\.?$)[A-Za-z0-9._-]{1,253}")
"""A Secret's name and one of its keys, as Kubernetes allows them."""


def is_reference(text: str) -> bool:
    """Whether this has the form of a reference; it may name nothing."""
    kind, colon, name = text.partition(":")
    return bool(colon and name) and kind in ("file", "env", "secret")


class SecretSource:
    """What this node resolves: which files, which variables, which local folders as origins."""

    def __init__(
        self,
        *,
        roots: Sequence[Path] | None,
        env: Collection[str] | None,
        file_roots: Sequence[Path] | None,
        pvc_root: Path | None = None,
    ) -> None:
        """Set the limits; None is no limit, for an agent that only this machine can reach.

        Args:
            roots: folders that ``file:`` references may lie below, and that ``secret:``
                references are looked for in, in this order.
            env: variables that ``env:`` references may name.
            file_roots: folders that ``file://`` origins may lie below.
            pvc_root: the folder that has a folder for each claim of a ``pvc://`` origin.
        """
        self._roots = roots
        self._env = env
        self._file_roots = file_roots
        self.pvc_root = pvc_root

    def resolve(self, ref: str) -> str:
        """The secret that a reference names; a file's last newline is not of it.

        Raises:
            InvalidInput: no such form, not allowed on this node, not there, empty or too large.
                The message names the reference, never what is behind it.
        """
        if not is_reference(ref):
            # Not quoted: somebody may have written the secret itself.
            raise InvalidInput(
                "a secret option is a reference: write file:PATH, env:NAME or secret:NAME/KEY"
            )
        kind, _, name = ref.partition(":")
        read = {"file": self._from_file, "env": self._from_env, "secret": self._from_mounted}
        secret = read[kind](name)
        if not secret:
            raise InvalidInput(f"the secret {ref} is empty")
        return secret

    def _from_mounted(self, name: str) -> str:
        if not _SECRET.fullmatch(name):
            raise InvalidInput(f"secret:{name} names no key of a Secret: write secret:NAME/KEY")
        if not self._roots:
            raise InvalidInput(f"secret:{name} needs a --secret-root on this node to lie below")
        for root in self._roots:
            place = root / name
            if place.exists():
                return self._from_file(str(place))
        raise InvalidInput(f"secret:{name} is not on this node: no --secret-root has it")

    def _from_env(self, name: str) -> str:
        if name.upper().startswith("MESHCACHE_"):
            raise InvalidInput(f"env:{name} is not given away: MESHCACHE_* are the agent's own")
        if self._env is not None and name not in self._env:
            raise InvalidInput(f"env:{name} is not allowed on this node: add --secret-env {name}")
        secret = os.environ.get(name)
        if secret is None:
            raise InvalidInput(f"env:{name} is not set in the agent's environment")
        return secret

    def _from_file(self, name: str) -> str:
        if not name.startswith("/"):
            raise InvalidInput(f"file:{name} is not absolute: the agent has its own directory")
        try:
            with os.fdopen(open_beneath(name, self._roots), "rb") as file:
                data = file.read(MAX_SECRET + 1)
        except Outside:
            raise InvalidInput(
                f"file:{name} is not allowed on this node: it is outside every --secret-root"
            ) from None
        except (OSError, ValueError) as error:
            # Below the roots only: elsewhere the answer would tell which files there are.
            why = getattr(error, "strerror", None) or "no regular file"
            if not self._may_say(name):
                why = "not allowed on this node, or not there"
            raise InvalidInput(f"file:{name} cannot be read: {why}") from None
        if len(data) > MAX_SECRET:
            raise InvalidInput(f"file:{name} is larger than a secret may be ({MAX_SECRET} bytes)")
        try:
            return data.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise InvalidInput(f"file:{name} is not text") from None

    def _may_say(self, name: str) -> bool:
        if self._roots is None:
            return True
        path = os.path.normpath(name)
        return any(is_beneath(path, os.path.normpath(root)) for root in self._roots)

    def check_file_origin(self, url: str) -> None:
        """Let pass any URL but a ``file://`` one outside the folders that are allowed here.

        Raises:
            InvalidInput: this node does not serve that folder.
        """
        if not url.lower().startswith("file:") or self._file_roots is None:
            return
        folder = folder_of(url)
        real = os.path.realpath(folder)
        if not any(is_beneath(real, os.path.realpath(root)) for root in self._file_roots):
            raise InvalidInput(
                f"{url} is not allowed on this node: it is outside every --file-root"
            )
