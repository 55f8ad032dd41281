"""The mesh key: at least 32 random bytes in a file, which make an agent a member of the mesh.

The file holds it as hex or base64, as `meshcache keys generate` writes it, or as plain bytes. Text
may have several keys, one a line: the first is in use, the others are accepted while the key is
changed; lines that begin with # are comments. Text that is neither hex nor base64 is refused: a
pass phrase can be guessed by whoever has recorded one request, and a mistyped key would quietly
make a mesh of one.
"""

import base64
import binascii
import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from meshcache.errors import InvalidInput, StoreUnusable

KEY_SIZE = 32
"""Bytes at least, and of a key that is made here."""

OWN_KEY = "mesh.key"
"""The name, in the cache folder, of the key that an agent without a mesh makes for itself."""

_LARGEST_FILE = 64 << 10
_DISTINCT = 12
"""Different bytes that a key has at least. Of 32 random ones, 12 or fewer differ less than once in
10**20 times; of a placeholder like 0000... or deadbeef..., always."""


def generate() -> str:
    """A new key: 64 hex digits."""
    return secrets.token_hex(KEY_SIZE)


def load(path: Path, warn: Callable[[str], object]) -> list[bytes]:
    """The keys in a file, the one in use first.

    `warn` gets one line when others on this machine can read it.

    Raises:
        InvalidInput: no such file, or one that holds no key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise InvalidInput(f"mesh key file {path}: {error.strerror}") from error
    if len(content) > _LARGEST_FILE:
        raise InvalidInput(f"mesh key file {path}: too large to be a key")
    try:
        keys = parse(content)
    except InvalidInput as error:
        raise InvalidInput(f"mesh key file {path}: {error}") from None
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:
        warn(f"mesh key file {path} can be read by everyone on this machine: chmod o-r {path}")
    return keys


def parse(content: bytes) -> list[bytes]:
    """The keys in a file's content, the one in use first.

    Raises:
        InvalidInput: it holds no key, or something else beside.
    """
    if not all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in content):
        return [_checked(content)]
    lines = [line.strip() for line in content.split(b"\n")]
    keys = [_checked(_decode(line)) for line in lines if line and not line.startswith(b"#")]
    return keys or [_checked(b"")]


def _checked(key: bytes | None) -> bytes:
    if key is None:
        raise InvalidInput(
            "neither hex nor base64: make one by `meshcache keys generate` (the same for all)"
        )
    if len(key) < KEY_SIZE:
        raise InvalidInput(f"the key has {len(key)} bytes, of {KEY_SIZE} at least")
    if len(set(key)) <= _DISTINCT:
        raise InvalidInput("the key is not random: make one by `meshcache keys generate`")
    return key


def own(folder: Path) -> Path:
    """The key file of an agent without a mesh, made at its first start in the cache folder.

    Raises:
        StoreUnusable: the folder cannot be made or written.
    """
    path = folder / OWN_KEY
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write(path, generate())
    except FileExistsError:
        pass  # another agent was faster; which of the two may have the folder, its lock will say
    except OSError as error:
        raise StoreUnusable(f"cache folder {folder}: {error.strerror}") from error
    return path


def write(path: Path, key: str) -> None:
    """Write a key to a new file that only its owner can read. It is there whole or not at all.

    Raises:
        FileExistsError: the file is there already; it was not touched.
        OSError: the file cannot be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename, this never replaces
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def replace(path: Path, content: str) -> None:
    """Write a file anew, whole or not at all. One that was there keeps its mode and owner, a new
    one is its owner's alone.

    Raises:
        OSError: the file cannot be written.
    """
    path = path.resolve()  # a link stays one
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            with contextlib.suppress(FileNotFoundError):
                before = path.stat()
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _decode(line: bytes) -> bytes | None:
    if re.fullmatch(rb"(?:[0-9A-Fa-f]{2})+", line):
        return bytes.fromhex(line.decode())
    try:
        plain = line.translate(bytes.maketrans(b"-_", b"+/"))
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        return None
