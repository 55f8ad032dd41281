"""What can go wrong, named by situation and by whose fault it is.

Every error that crosses a module of meshcache is one of these; a library's exceptions stop at the
module that uses the library and travel on as the ``__cause__``. An error becomes an errno in
`meshcache.fuse.errnos`, an HTTP status in `meshcache.agent.statuses` and an exit code in
`meshcache.agent.cli.exits`: one table each, nowhere else. Each message is one line that says what
is wrong and, where the reader can do something, what to do.
"""


class MeshcacheError(Exception):
    """The base of all errors of meshcache. Never raised itself."""


# --- the caller's ---------------------------------------------------------------------------


class CallerError(MeshcacheError):
    """What was asked is wrong; asking again in the same way fails again."""


class InvalidInput(CallerError):
    """Raised when an argument, an option, a URL, a size or a file of settings cannot be read."""


class DatasetNotFound(CallerError):
    """Raised when no dataset of that name is known to this member."""


class VersionNotFound(DatasetNotFound):
    """Raised when a dataset has no such version, or no member holds its listing any more."""


class DatasetExists(CallerError):
    """Raised when a dataset of that name is already there; nothing was changed."""


class LoadExists(CallerError):
    """Raised when a load of that name is already there; nothing was changed."""


class DatasetBusy(CallerError):
    """Raised when a record was changed by somebody else meanwhile; nothing was written."""


class PathNotFound(CallerError):
    """Raised when the snapshot has no such path."""


class NotAFile(CallerError):
    """Raised when a path names a directory where a file is needed."""


class NotADirectory(CallerError):
    """Raised when a path names a file where a directory is needed."""


class NotFound(CallerError):
    """Raised when a mount, a load or another named thing of an agent is not there."""


class KeyStepTooEarly(CallerError):
    """Raised when a step of a change of the mesh key would cut members off; nothing was changed."""


class TooManyWatchers(CallerError):
    """Raised when no more can follow an agent's events at the same time."""


class MountpointUnusable(CallerError):
    """Raised when a mountpoint is missing, not empty, not a directory, or mounted already."""


# --- proof ----------------------------------------------------------------------------------


class Refused(MeshcacheError):
    """The caller did not prove that it may; nothing was read or changed."""


class ProofInvalid(Refused):
    """Raised when a request has no proof of the mesh key or token, or one that is not right."""


class NotAllowed(Refused):
    """Raised when the proof is right but does not reach as far as the request."""


# --- the origin's ---------------------------------------------------------------------------


class OriginError(MeshcacheError):
    """The remote storage did not give what was asked. Nothing was written to the store."""


class OriginUnreachable(OriginError):
    """Raised when the origin cannot be reached or does not answer in time; may pass."""


class OriginDenied(OriginError):
    """Raised when the origin refuses the credentials, or asks for some that were not given."""


class OriginNotFound(OriginError):
    """Raised when the bucket, the URL or the directory that a mount names is not there."""


class OriginFailed(OriginError):
    """Raised when the origin answers with an error of its own (5xx), or with nonsense."""


class ObjectChanged(OriginError):
    """Raised when an object's bytes are no longer those of the version that was asked for, or
    when it is gone. The version can only be read from what the mesh holds."""


class OriginUnversioned(OriginError):
    """Raised when an origin gives neither ETag nor modification time: versions of a file could
    not be told apart, so it is not cached."""


# --- a peer's -------------------------------------------------------------------------------


class PeerError(MeshcacheError):
    """Another member did not give what was asked; the reader goes on to the next source."""


class PeerUnreachable(PeerError):
    """Raised when a peer refuses or drops the connection, or does not answer in time."""


class PeerFailed(PeerError):
    """Raised when a peer answers with an error of its own, or with something unreadable."""


class BlockNotHeld(PeerError):
    """Raised when a peer that was asked only for what it holds does not hold the block."""


class BlockElsewhere(PeerError):
    """Raised when a peer gives the block to others just now, and one of these is to be asked; the
    message is that one's store id."""


# --- the store's ----------------------------------------------------------------------------


class StoreError(MeshcacheError):
    """The local store cannot take or give a block; reading goes on without it."""


class StoreFull(StoreError):
    """Raised when a block cannot be kept: everything else is in use, or the disk is full."""


class StoreUnusable(StoreError):
    """Raised at start when the cache folder cannot be made, written or locked."""


class ChecksumMismatch(StoreError):
    """Raised when bytes do not have the checksum they came with. They are thrown away."""


# --- time, and the environment --------------------------------------------------------------


class DeadlineExceeded(MeshcacheError):
    """Raised when a request's time is over; what was under way goes on for others who wait."""


class AgentUnreachable(MeshcacheError):
    """Raised by commands when no agent answers at the socket or address."""


class EnvironmentUnfit(MeshcacheError):
    """Raised when this machine lacks something: /dev/fuse, a right, a free port, descriptors."""


def _subclasses(base: type[MeshcacheError]) -> dict[str, type[MeshcacheError]]:
    found = {base.__name__: base}
    for child in base.__subclasses__():
        found |= _subclasses(child)
    return found


BY_NAME: dict[str, type[MeshcacheError]] = _subclasses(MeshcacheError)
"""Every error by its class name: how an error crosses from one process to another."""


def from_wire(name: str, message: str) -> MeshcacheError:
    """The error that another process named; one this version does not know is a `PeerFailed`."""
    return BY_NAME.get(name, PeerFailed)(message)
