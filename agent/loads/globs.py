"""Globs, as rsync's and git's users know them, over the parts of a path.

``*`` stands for any characters of one name, ``?`` for one of them, ``[a-z]`` and ``[!a-z]`` for one
of a set, a backslash takes the next character as it is; names that begin with a dot are names like
any other. ``**`` as a whole part stands for any number of directories, none among them.
"""

import re
from collections.abc import Sequence

import msgspec

from meshcache.errors import InvalidInput

ANY_DEPTH = "**"

_SPECIAL = re.compile(r"[*?\[\\]")


def is_glob(text: str) -> bool:
    """Whether anything in it has a meaning but itself."""
    return _SPECIAL.search(text) is not None


def parts_of(path: str) -> list[str]:
    """A path's parts; slashes at the ends, doubled ones and ``.`` mean nothing, as in a shell.

    Raises:
        InvalidInput: it goes up, or has a NUL.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise InvalidInput(f"{path!r} is not a path in a dataset: write it from the dataset's root")
    return parts


def compile_part(part: str) -> re.Pattern[str] | str:
    """What a name must be: itself, if the part is no glob.

    Raises:
        InvalidInput: a set is not closed, or a backslash escapes nothing.
    """
    return re.compile(_expression(part), re.DOTALL) if is_glob(part) else part


def _expression(part: str) -> str:
    expression = ""
    at = 0
    while at < len(part):
        letter = part[at]
        if letter == "*":
            expression += "[^/]*"
            at = len(part) - len(part[at:].lstrip("*"))
            continue
        if letter == "?":
            expression += "[^/]"
        elif letter == "[":
            closing, members = _set(part, at)
            expression += members
            at = closing
        elif letter == "\\":
            at += 1
            if at == len(part):
                raise InvalidInput(f"{part!r} ends in a backslash that escapes nothing")
            expression += re.escape(part[at])
        else:
            expression += re.escape(letter)
        at += 1
    return expression


def _set(part: str, at: int) -> tuple[int, str]:
    """Where the set that begins at `at` ends, and its expression."""
    start = at + 1
    negated = part[start : start + 1] in ("!", "^")
    start += negated
    # A bracket that comes first is a member.
    closing = part.find("]", start + 1)
    if closing < 0:
        raise InvalidInput(f"{part!r} has a [ without its ]: write \\[ for the character itself")
    members = _members(part, part[start:closing])
    return closing, f"(?!/)[{'^' if negated else ''}{members}]"


def _members(part: str, text: str) -> str:
    """What stands in a set: characters, and ranges of them."""
    expression = ""
    while text:
        first, text = text[0], text[1:]
        expression += re.escape(first)
        if len(text) > 1 and text[0] == "-":
            if text[1] < first:
                raise InvalidInput(f"{part!r} has a range from {first!r} down to {text[1]!r}")
            expression += "-" + re.escape(text[1])
            text = text[2:]
    return expression


class Exclusion(msgspec.Struct, frozen=True):
    """One pattern of what is left out.

    Without a slash it names files and directories at any depth; with one it is a path from the
    dataset's root. One that ends in a slash names directories alone. What lies in a directory that
    is left out is left out.
    """

    expression: re.Pattern[str]
    by_name: bool
    directories_only: bool

    @classmethod
    def parse(cls, text: str) -> "Exclusion":
        """Read a pattern.

        Raises:
            InvalidInput: it cannot be one.
        """
        parts = parts_of(text)
        if not parts:
            raise InvalidInput(f"{text!r} excludes everything: name what is to be left out")
        by_name = len(parts) == 1 and "/" not in text.rstrip("/") and parts[0] != ANY_DEPTH
        return cls(re.compile(_path_expression(parts), re.DOTALL), by_name, text.endswith("/"))

    def matches(self, path: str, name: str, *, is_dir: bool) -> bool:
        """Whether it names this file or directory itself."""
        if self.directories_only and not is_dir:
            return False
        return self.expression.fullmatch(name if self.by_name else path) is not None


def _path_expression(parts: Sequence[str]) -> str:
    expression = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == ANY_DEPTH:
            expression += ".+" if last else "(?:[^/]+/)*"
        else:
            expression += _expression(part) + ("" if last else "/")
    return expression
