"""What the webhook reads from files that somebody else renews: its certificate, and the mesh key.

In Kubernetes they are Secrets. The kubelet swaps a link that the files lead through, all files of a
Secret at once; by hand they may be written one after the other.
"""

import contextlib
import ssl
from abc import ABC, abstractmethod
from pathlib import Path

import structlog

from meshcache.agent.trust import guestkey, meshkey
from meshcache.errors import InvalidInput

log = structlog.get_logger()


class Renewed(ABC):
    """Some files that belong together."""

    what: str
    """What they hold, for the log."""

    def __init__(self, *files: Path) -> None:
        """Load them.

        Raises:
            InvalidInput: they cannot be read, or do not belong together.
        """
        self._files = files
        self._stamp = self._look()
        self._load()

    @abstractmethod
    def _load(self) -> None:
        """Take what the files hold now, or leave all as it was. Raises as `__init__`."""

    def _look(self) -> list[tuple[int, int]]:
        stats = []
        for file in self._files:
            with contextlib.suppress(OSError):
                found = file.stat()
                stats.append((found.st_ino, found.st_mtime_ns))
        return stats

    def renew(self) -> bool:
        """Take what the files hold now, if they changed; whether that was so. Files that cannot be
        used, or do not fit together yet, are left for the next look."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        try:
            self._load()
        except InvalidInput as error:
            log.warning(f"the new {self.what} cannot be used yet", error=str(error))
            return False
        log.info(f"{self.what} renewed")
        self._stamp = stamp
        return True


class Certificate(Renewed):
    """A certificate and its key."""

    what = "certificate"

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        """As `Renewed`. `client_ca` is what certificates of callers are checked with, if they show
        one; it is read once."""
        self.context = _context()
        super().__init__(cert, key)
        if client_ca is not None:
            try:
                self.context.load_verify_locations(client_ca)
            except (OSError, ssl.SSLError) as error:
                raise InvalidInput(f"--client-ca {client_ca}: {error.args[-1]}") from error
            self.context.verify_mode = ssl.CERT_OPTIONAL  # the kubelet's probes show none

    @property
    def checks_callers(self) -> bool:
        """Whether callers may show a certificate."""
        return self.context.verify_mode != ssl.CERT_NONE

    def _load(self) -> None:
        cert, key = self._files
        try:
            # Into a context aside first: a failed load would leave the one in use without a key.
            for context in (_context(), self.context):
                context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidInput(f"--tls-cert {cert}, --tls-key {key}: {error.args[-1]}") from error


def _context() -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made


class GuestKeys(Renewed):
    """The keys of the pods' guests, made of the mesh key in a file; none without a file."""

    what = "mesh key"

    def __init__(self, mesh_key_file: Path | None) -> None:
        """As `Renewed`."""
        self._key: bytes | None = None
        super().__init__(*([mesh_key_file] if mesh_key_file else []))

    def _load(self) -> None:
        for file in self._files:
            self._key = meshkey.load(file, log.warning)[0]

    def key_for(self, dataset: str) -> str:
        """What a guest of this dataset proves itself with; empty without a mesh key."""
        return str(guestkey.guest_key(self._key, dataset)) if self._key else ""
