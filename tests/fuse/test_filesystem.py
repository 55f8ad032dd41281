"""Every request has an answer, whatever goes wrong inside."""

import errno
import inspect
import os
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest

from meshcache.errors import NotFound
from meshcache.fuse.blocks import Blocks
from meshcache.fuse.filesystem import Filesystem
from meshcache.fuse.opens import OpenWatch
from meshcache.fuse.tree import Tree
from meshcache.fuse.waits import Waits
from meshcache.snapshot import ROOT_INODE, Snapshot
from tests.fuse.agent import snapshot_of


class Broken:
    """Fails at whatever a tree is asked."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        # Not at other names: a renderer of tracebacks that looks for its own must not meet it.
        raise self._error if hasattr(Tree, name) else AttributeError(name)


REQUESTS: dict[str, tuple[Any, ...]] = {
    "lookup": (ROOT_INODE, b"name", None),
    "getattr": (ROOT_INODE, None),
    "open": (5, os.O_RDONLY, None),
    "read": (5, 0, 4096),
    "opendir": (ROOT_INODE, None),
    "readdir": (ROOT_INODE, 0, None),
    "access": (ROOT_INODE, os.R_OK, None),
    "statfs": (None,),
}

READ_ONLY = ["setattr", "mknod", "mkdir", "unlink", "rmdir", "symlink", "rename", "link", "create",
             "write"]  # fmt: skip

# Answered by pyfuse3's own ENOSYS, after which the kernel does not ask again.
NOT_OFFERED = {"flush", "fsync", "fsyncdir", "poll", "setxattr", "getxattr", "listxattr",
               "removexattr"}  # fmt: skip
NO_REQUESTS = {"init", "forget", "stacktrace", "release", "releasedir", "readlink"}


def filesystem(tree: Any) -> Filesystem:
    waits = Waits(SimpleNamespace(behind=0.0), lambda: 0.0, deadline=60.0)
    return Filesystem(tree, Blocks(), OpenWatch(lambda: 0.0), waits, uid=0, gid=0)


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize(
    ("error", "number"),
    [(RuntimeError("a fault"), errno.EIO), (NotFound("gone"), errno.ESTALE),
     (MemoryError(), errno.ENOMEM), (pyfuse3.FUSEError(errno.EACCES), errno.EACCES)],
    ids=["fault", "ours", "memory", "fuse"],
)  # fmt: skip
async def test_whatever_is_raised_is_answered_with_an_errno(
    request_name: str, error: Exception, number: int
) -> None:
    broken = filesystem(Broken(error))
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await getattr(broken, request_name)(*REQUESTS[request_name])
    assert caught.value.errno == number


@pytest.mark.parametrize("request_name", READ_ONLY)
async def test_whatever_would_change_something_is_refused_as_read_only(request_name: str) -> None:
    tree = Tree()
    tree.show(Snapshot(snapshot_of({"x": b"1"})))
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await getattr(filesystem(tree), request_name)(1, 2, 3, 4, 5)
    assert caught.value.errno == errno.EROFS


async def test_opening_to_write_is_refused_as_read_only() -> None:
    tree = Tree()
    tree.show(Snapshot(snapshot_of({"x": b"1"})))
    inode = tree.lookup(ROOT_INODE, b"x").inode
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
        with pytest.raises(pyfuse3.FUSEError) as caught:
            await filesystem(tree).open(inode, flags, None)  # type: ignore[arg-type]
        assert caught.value.errno == errno.EROFS


def test_every_request_of_pyfuse3_is_thought_of() -> None:
    handlers = {
        name
        for name, _ in inspect.getmembers(pyfuse3.Operations, inspect.isfunction)
        if not name.startswith("_")
    }
    assert handlers == {*REQUESTS, *READ_ONLY} | NOT_OFFERED | NO_REQUESTS
