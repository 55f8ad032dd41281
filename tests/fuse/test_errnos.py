"""Every error has one errno."""

import errno

import pytest

from meshcache import errors
from meshcache.fuse.errnos import errno_of


@pytest.mark.parametrize("kind", errors.BY_NAME.values(), ids=lambda kind: kind.__name__)
def test_every_error_of_ours_has_an_errno(kind: type[errors.MeshcacheError]) -> None:
    assert errno_of(kind("why")) in errno.errorcode


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.PathNotFound(""), errno.ENOENT),
        (errors.NotADirectory(""), errno.ENOTDIR),
        (errors.NotAFile(""), errno.EISDIR),
        (errors.NotFound(""), errno.ESTALE),
        (errors.ObjectChanged(""), errno.ESTALE),
        (errors.OriginUnreachable(""), errno.EIO),
        (errors.ChecksumMismatch(""), errno.EIO),
        (errors.DeadlineExceeded(""), errno.ETIMEDOUT),
        (TimeoutError(), errno.ETIMEDOUT),
        (FileNotFoundError(errno.ENOENT, "some local file"), errno.EIO),
        (KeyError("a fault of ours"), errno.EIO),
    ],
)
def test_an_error_has_the_errno_of_its_situation(error: Exception, expected: int) -> None:
    assert errno_of(error) == expected
