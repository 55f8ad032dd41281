"""Names, attributes and listings, as the kernel and its users see them."""

import os
import stat

import pytest

from tests.fuse.agent import MTIME_NS
from tests.fuse.conftest import Mount
from tests.fuse.mounts import outside, undisturbed

pytestmark = pytest.mark.fuse

READ = "print(open(sys.argv[1], 'rb').read())"


def test_attributes_are_those_of_the_snapshot(mount: Mount) -> None:
    _, keeping = mount({"a/file": b"12345"})
    code = (
        "s = os.stat(sys.argv[1])\n"
        "print(s.st_mode, s.st_size, s.st_mtime_ns, s.st_uid, s.st_gid, s.st_nlink, s.st_blocks)"
    )
    mode = stat.S_IFREG | 0o444
    assert outside(code, keeping.mountpoint / "a/file") == f"{mode} 5 {MTIME_NS} 0 0 1 1"
    for path in (keeping.mountpoint / "a", keeping.mountpoint):
        assert outside(code, path).startswith(f"{stat.S_IFDIR | 0o555} 0 ")


def test_another_user_reads_and_may_not_write(mount: Mount) -> None:
    _, keeping = mount({"a/file": b"12345"})
    assert outside(READ, keeping.mountpoint / "a/file", uid=1000) == "b'12345'"
    assert outside("print(os.listdir(sys.argv[1]))", keeping.mountpoint, uid=1000) == "['a']"
    access = "print(os.access(sys.argv[1], os.R_OK), os.access(sys.argv[1], os.W_OK))"
    assert outside(access, keeping.mountpoint / "a/file", uid=1000) == "True False"


REFUSED = {
    "open(p + '/a/file', 'r+')": "EROFS",
    "open(p + '/a/file', 'w')": "EROFS",
    "open(p + '/a/new', 'w')": "EROFS",
    "os.truncate(p + '/a/file', 1)": "EROFS",
    "os.unlink(p + '/a/file')": "EROFS",
    "os.rmdir(p + '/a/b')": "EROFS",
    "os.mkdir(p + '/new')": "EROFS",
    "os.mknod(p + '/new')": "EROFS",
    "os.symlink('x', p + '/new')": "EROFS",
    "os.link(p + '/a/file', p + '/new')": "EROFS",
    "os.rename(p + '/a/file', p + '/new')": "EROFS",
    "os.chmod(p + '/a/file', 0o777)": "EROFS",
    "os.chown(p + '/a/file', 1, 1)": "EROFS",
    "os.utime(p + '/a/file')": "EROFS",
    "os.setxattr(p + '/a/file', 'user.x', b'')": "EROFS",
    "os.removexattr(p + '/a/file', 'user.x')": "EROFS",
    "os.getxattr(p + '/a/file', 'user.x')": "ENOTSUP",
    "os.stat(p + '/absent')": "ENOENT",
    "os.stat(p + '/a/file/x')": "ENOTDIR",
    "os.listdir(p + '/a/file')": "ENOTDIR",
    "os.listdir(p + '/absent')": "ENOENT",
    "os.read(os.open(p + '/a', os.O_RDONLY), 1)": "EISDIR",
    "os.readlink(p + '/a/file')": "EINVAL",
    "os.stat(p + '/' + 'x' * 256)": "ENAMETOOLONG",
}


def test_every_refusal_has_its_errno(mount: Mount) -> None:
    _, keeping = mount({"a/file": b"12345", "a/b/c": b""})
    lines = ["p = sys.argv[1]"]
    for operation in REFUSED:
        lines += [f"try: {operation}", "except OSError as e: print(errno.errorcode[e.errno])"]
        lines += ["else: print('ok')"]
    got = outside("\n".join(lines), keeping.mountpoint).split()
    same = {"EOPNOTSUPP": "ENOTSUP"}
    assert [same.get(name, name) for name in got] == list(REFUSED.values())


def test_a_missing_name_is_remembered_and_not_asked_for_again(mount: Mount) -> None:
    _, keeping = mount({"a": b""})
    code = "print(os.path.exists(sys.argv[1] + '/absent'))"

    def second_look() -> int:
        assert outside(code, keeping.mountpoint) == "False"
        before = keeping.requests
        assert outside(code, keeping.mountpoint) == "False"
        return keeping.requests - before

    assert undisturbed(second_look) == 0


def test_names_and_attributes_are_asked_for_once_and_then_the_kernels(mount: Mount) -> None:
    paths = [f"{folder}/{number}" for folder in range(5) for number in range(200)]
    _, keeping = mount({path: path.encode() for path in paths})
    code = """
paths = (f'{sys.argv[1]}/{folder}/{number}' for folder in range(5) for number in range(200))
print(sum(os.stat(path).st_size for path in paths))
"""
    sizes = str(sum(map(len, paths)))
    before = keeping.requests
    assert outside(code, keeping.mountpoint) == sizes
    assert keeping.requests - before >= 1000

    def later_look() -> int:
        assert outside(code, keeping.mountpoint) == sizes
        before = keeping.requests
        assert outside(code, keeping.mountpoint) == sizes
        return keeping.requests - before

    assert undisturbed(later_look) == 0


def test_a_listing_brings_what_is_needed_to_look_at_each_file(mount: Mount) -> None:
    _, keeping = mount({f"{number:04}": b"" for number in range(2000)})
    code = "print(sum(entry.stat().st_nlink for entry in os.scandir(sys.argv[1])))"

    def look() -> int:
        before = keeping.requests
        assert outside(code, keeping.mountpoint) == "2000"
        return keeping.requests - before

    assert undisturbed(look) < 200


def test_a_directory_of_a_hundred_thousand_names_is_listed_whole(mount: Mount) -> None:
    count = 100_000
    _, keeping = mount({f"big/{number:06}": b"" for number in range(count)})
    code = "names = sorted(os.listdir(sys.argv[1]))\nprint(len(names), len(set(names)), names[-1])"
    assert outside(code, keeping.mountpoint / "big") == f"{count} {count} {count - 1:06}"


def test_a_listing_can_be_taken_up_where_it_was_left(mount: Mount) -> None:
    _, keeping = mount({f"{number:04}": b"" for number in range(2000)})
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = libc.telldir.restype = libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
class Dirent(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('len', ctypes.c_uint16),
                ('type', ctypes.c_uint8), ('name', ctypes.c_char * 256)]
folder = ctypes.c_void_p(libc.opendir(sys.argv[1].encode()))
def names(count):
    found = []
    while len(found) < count and (entry := libc.readdir(folder)):
        found.append(Dirent.from_address(entry).name)
    return found
first = names(700)
place = libc.telldir(folder)
rest = names(9999)
libc.seekdir(folder, ctypes.c_long(place))
assert names(9999) == rest
assert first[:2] == [b'.', b'..']
assert first[2:] + rest == [b'%04d' % n for n in range(2000)], len(rest)
print('same')
"""
    assert outside(code, keeping.mountpoint) == "same"


def test_df_shows_the_size_of_the_dataset_and_no_room(mount: Mount) -> None:
    _, keeping = mount({"a": bytes(10_000_000), "b/c": bytes(5)})
    code = (
        "s = os.statvfs(sys.argv[1])\n"
        "print(s.f_blocks * s.f_frsize, s.f_bavail, s.f_files, s.f_namemax)"
    )
    assert outside(code, keeping.mountpoint) == f"{-(-10_000_005 // 4096) * 4096} 0 4 255"


def test_odd_names_are_kept(mount: Mount) -> None:
    odd = ["with space", "ünï", "newline\n", "-dash", os.fsdecode(b"\xff\xfe")]
    _, keeping = mount({name: name.encode("utf-8", "surrogateescape") for name in odd})
    code = "print(sorted(os.listdir(os.fsencode(sys.argv[1]))))"
    assert outside(code, keeping.mountpoint) == str(sorted(map(os.fsencode, odd)))
    for name in odd:
        assert outside(READ, keeping.mountpoint / name) == str(os.fsencode(name))
