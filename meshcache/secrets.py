"""Secret references, resolved on the node that uses them.

A dataset's record travels to every member, so it names secrets and never holds them:
``file:/etc/keys/s3-secret`` or ``env:S3_SECRET``. Whoever may create a dataset chooses both the
reference and the endpoint that the secret is sent to, so an agent that others can reach resolves
only what its own operator listed. What it was started with (MESHCACHE_*) it never gives away.
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from meshcache.beneath import Outside, is_beneath, open_beneath
from meshcache.errors import InvalidInput
from meshcache.origin.file import folder_of

MAX_SECRET = 64 * 1024
"""Bytes of a file that may be a secret. More is some other file."""


class SecretSource:
    """What this node resolves: which files, which variables, which local folders as origins."""

    def __init__(
        self,
        *,
        roots: Sequence[Path] | None,
        env: Collection[str] | None,
        file_roots: Sequence[Path] | None,
    ) -> None:
        """Set the limits; None is no limit, for an agent that only this machine can reach.

        Args:
            roots: folders that ``file:`` references may lie below.
            env: variables that ``env:`` references may name.
            file_roots: folders that ``file://`` origins may lie below.
        """
        self._roots = roots
        self._env = env
        self._file_roots = file_roots

    def resolve(self, ref: str) -> str:
        """The secret that ``file:PATH`` or ``env:NAME`` names; a file's last newline is not of it.

        Raises:
            InvalidInput: no such form, not allowed on this node, not there, empty or too large.
                The message names the reference, never what is behind it.
        """
        kind, colon, name = ref.partition(":")
        if not colon or not name or kind not in ("file", "env"):
            # Not quoted: somebody may have written the secret itself.
            raise InvalidInput("a secret option is a reference: write file:PATH or env:NAME")
        secret = self._from_file(name) if kind == "file" else self._from_env(name)
        if not secret:
            raise InvalidInput(f"the secret {ref} is empty")
        return secret

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
