"""Keys that are no paths.

An object store's key may be any string; a file's path may not. The rules (docs/semantics.md):
a key is skipped, and counted by reason, when no file can be shown for it.
"""

MAX_NAME = 255
"""Bytes of one part of a path: NAME_MAX of Linux."""

MAX_PATH = 4095
"""Bytes of a whole path: PATH_MAX of Linux, less the closing NUL."""


def why_no_path(path: bytes) -> str | None:
    """Why a key's path cannot be shown as a file, or None if it can."""
    if not path or path.endswith(b"/"):
        return "directory marker"
    if len(path) > MAX_PATH:
        return "path too long"
    for part in path.split(b"/"):
        if not part:
            return "empty path part"
        if part in (b".", b".."):
            return "'.' or '..' in path"
        if len(part) > MAX_NAME:
            return "name too long"
    if b"\0" in path:
        return "NUL in path"
    return None
