"""Documents out of YAML files, with the line of each field.

Scalars stay the text that stands there (only an empty one and ``null`` are nothing), so no version
number becomes a float and no ``on`` a truth: what a field means is for its model to say.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from meshcache.errors import InvalidInput

Path = tuple[str | int, ...]

MAX_NODES = 100_000
"""Nodes of one file, aliases resolved: a few lines can stand for billions."""

_KEPT_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, to which every plain scalar but null is text."""


_Loader.yaml_implicit_resolvers = {
    first: [resolver for resolver in resolvers if resolver[0] in _KEPT_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Document(NamedTuple):
    """One object, and where it stands."""

    source: str
    """The file's name as it was given."""
    data: Any
    lines: dict[Path, int]
    """The line of each field, by its path."""

    def place(self, path: Path = ()) -> str:
        """``FILE:LINE`` of a field, or of what is nearest around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.source}:{self.lines.get(path, 1)}"

    def field(self, *path: str | int, default: Any = None) -> Any:
        """What stands at a path; the default where nothing does."""
        found = self.data
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        return default if found is None else found


def shown(path: Path) -> str:
    """A path as people write it: ``spec.mounts[0].name``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def documents(source: str, text: str) -> list[Document]:
    """The documents of a file; a list, or an object of kind List, counts as what is in it.

    Raises:
        InvalidInput: it is no YAML, or has the same key twice, or something else than objects.
    """
    found: list[Document] = []
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            lines = _lines(source, node)
            data = loader.construct_document(node)
            found += _objects(source, data, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InvalidInput(f"{source}:{line}: this is no YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{source}: this is no YAML: {str(error).splitlines()[0]}") from None
    return found


def _objects(source: str, data: Any, lines: dict[Path, int]) -> Iterator[Document]:
    if data is None:
        return
    items: Any = None
    prefix: Path = ()
    if isinstance(data, list):
        items = data
    elif isinstance(data, dict) and data.get("kind") == "List":
        items, prefix = data.get("items"), ("items",)
    if items is None:
        if not isinstance(data, dict):
            raise InvalidInput(f"{source}:{lines.get((), 1)}: this is no object with a kind")
        yield Document(source, data, lines)
        return
    for index in range(len(items) if isinstance(items, list) else 0):
        start = (*prefix, index)
        inner = {path[len(start) :]: n for path, n in lines.items() if path[: len(start)] == start}
        yield from _objects(source, items[index], inner)


def _lines(source: str, root: yaml.Node) -> dict[Path, int]:
    lines: dict[Path, int] = {}
    todo: list[tuple[Path, yaml.Node, yaml.Node]] = [((), root, root)]
    while todo:
        path, key, node = todo.pop()
        if len(lines) > MAX_NODES:
            raise InvalidInput(f"{source}: it has more than {MAX_NODES} fields")
        lines[path] = key.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            todo += [((*path, n), child, child) for n, child in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for name, child in node.value:
                word = str(name.value)
                if word in seen and word != "<<":
                    line = name.start_mark.line + 1
                    raise InvalidInput(f"{source}:{line}: {shown((*path, word))} is given twice")
                seen.add(word)
                todo.append(((*path, word), name, child))
    return lines
