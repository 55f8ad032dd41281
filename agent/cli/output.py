"""What commands print: tables for people, JSON and YAML for programs.

Tables are kubectl's: no borders, three spaces between columns, never cut off, so that they can be
piped. JSON and YAML have sizes in bytes and times in seconds, as the agent's API has them.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import typer

GAP = "   "


class Format(StrEnum):
    """How to print."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


FormatOption = Annotated[
    Format,
    typer.Option("--output", "-o", help="How to print; wide is a table with more columns."),
]


class Column(NamedTuple):
    """One column of a table, or one line of a single thing."""

    title: str
    cell: Callable[[Mapping[str, Any]], str]
    wide: bool = False
    """Only shown by ``-o wide``."""


def print_list(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], output: Format, nothing: str
) -> None:
    """Print rows; `nothing` goes to stderr in place of a table without any."""
    if output in (Format.JSON, Format.YAML):
        print_data(list(rows), output)
    elif not rows:
        print(nothing, file=sys.stderr)
    else:
        print_table(rows, columns, output)


def print_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], output: Format
) -> None:
    """Print rows as a table, whatever else is printed."""
    shown = [column for column in columns if output is Format.WIDE or not column.wide]
    lines = [[column.title for column in shown]]
    lines += [[printable(column.cell(row)) for column in shown] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(GAP.join(padded).rstrip())


def print_one(thing: Mapping[str, Any], lines: Sequence[Column], output: Format) -> None:
    """Print one thing: a line for each column."""
    if output in (Format.JSON, Format.YAML):
        print_data(thing, output)
        return
    shown = [line for line in lines if output is Format.WIDE or not line.wide]
    width = max(len(line.title) for line in shown) + 2
    for line in shown:
        first, *more = line.cell(thing).split("\n")
        print(f"{line.title + ':':<{width}}{printable(first)}".rstrip())
        for rest in more:
            print(" " * width + printable(rest))


def print_data(data: Any, output: Format) -> None:
    """Print as JSON or YAML."""
    if output is Format.YAML:
        import yaml

        yaml.safe_dump(data, sys.stdout, sort_keys=False, allow_unicode=True)
    else:
        print(json.dumps(data, indent=2, ensure_ascii=False))


def printable(text: str) -> str:
    """The text with what would move a terminal's cursor shown as ``?``, as `ls` does."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def warn(line: str) -> None:
    """One line on stderr that stops nothing."""
    print(f"meshcache: warning: {printable(line)}", file=sys.stderr)
