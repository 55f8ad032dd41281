"""The only place where an error becomes an errno."""

import errno

from meshcache import errors

_TABLE: dict[type[BaseException], int] = {
    errors.PathNotFound: errno.ENOENT,
    errors.NotAFile: errno.EISDIR,
    errors.NotADirectory: errno.ENOTDIR,
    # The name may be good again in a newer snapshot: the kernel looks it up once more on ESTALE.
    errors.ObjectChanged: errno.ESTALE,
    errors.DatasetNotFound: errno.ESTALE,
    errors.NotFound: errno.ESTALE,
    errors.Refused: errno.EACCES,
    errors.DeadlineExceeded: errno.ETIMEDOUT,
    TimeoutError: errno.ETIMEDOUT,
    MemoryError: errno.ENOMEM,
    # Everything else, an error of the origin, of a peer, of the store or of our own making:
    BaseException: errno.EIO,
}


def set_too_late(number: int) -> None:
    """Have this process, which serves one mount, say that deadlines have passed by this errno."""
    _TABLE[errors.DeadlineExceeded] = _TABLE[TimeoutError] = number


def errno_of(error: BaseException) -> int:
    """The errno of the nearest class in the table; EIO for all that is not named there.

    An OSError's own number is not passed on: that a local file is missing (ENOENT) says nothing
    about the file that was asked for.
    """
    return next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
