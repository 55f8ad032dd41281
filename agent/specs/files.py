"""The files that ``-f`` names: a file, a folder of them, or what comes in at stdin."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from meshcache.agent.specs.documents import Document, documents
from meshcache.errors import InvalidInput

ENDINGS = (".yaml", ".yml", ".json")
"""What files of a folder are read."""

MAX_FILE = 16 << 20
"""Bytes of one file."""


def read(names: Iterable[str]) -> list[Document]:
    """The documents of all files, in order.

    Raises:
        InvalidInput: a file cannot be read, is no YAML, or a folder has none.
    """
    return [document for source, text in _texts(names) for document in documents(source, text)]


def _texts(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        if name == "-":
            yield "stdin", _decoded("stdin", sys.stdin.buffer.read(MAX_FILE + 1))
        elif Path(name).is_dir():
            files = sorted(path for path in Path(name).iterdir() if path.suffix in ENDINGS)
            if not files:
                raise InvalidInput(f"{name} has no file that ends in {', '.join(ENDINGS)}")
            for path in files:
                yield str(path), _text(path)
        else:
            yield name, _text(Path(name))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _decoded(str(path), file.read(MAX_FILE + 1))
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None


def _decoded(source: str, data: bytes) -> str:
    if len(data) > MAX_FILE:
        raise InvalidInput(f"{source}: it is larger than 16MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{source}: this is no YAML: it is no UTF-8") from None
