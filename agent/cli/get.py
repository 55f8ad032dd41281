"""``meshcache get``: datasets and loads, as tables or as the documents that `apply` takes."""

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshcache.agent.cli.apply import kind_of
from meshcache.agent.cli.output import Format, FormatOption, print_data, print_list
from meshcache.agent.cli.target import Target, ask, asks_agent

if TYPE_CHECKING:
    from meshcache.agent.client import AgentClient

_COLUMNS_OF = {"dataset": "dataset", "load": "loads"}
"""Kind -> the command's module that has its columns."""


@asks_agent
def get(
    target: Target,
    kind: Annotated[str, typer.Argument(metavar="dataset|load", help="What to show.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="All if not given.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show datasets or loads. As yaml or json they are what `meshcache apply -f` takes."""
    kind = kind_of(kind)
    if output in (Format.TABLE, Format.WIDE):
        rows = ask(target, lambda client: _rows(client, kind, names or []))
        shown = importlib.import_module(f"meshcache.agent.cli.{_COLUMNS_OF[kind]}")
        print_list(rows, shown.COLUMNS, output, shown.NOTHING)
        return
    documents = ask(target, lambda client: _documents(client, kind, names or []))
    if output is Format.YAML:
        import yaml

        yaml.safe_dump_all(documents, sys.stdout, sort_keys=False, allow_unicode=True)
    else:
        print_data(documents[0] if len(documents) == 1 and names else documents, output)


async def _rows(client: "AgentClient", kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    if not names:
        return await (client.datasets() if kind == "dataset" else client.loads())
    one = client.dataset if kind == "dataset" else client.load
    return [await one(name) for name in names]


async def _documents(
    client: "AgentClient", kind: str, names: Sequence[str]
) -> list[dict[str, Any]]:
    import msgspec

    from meshcache.agent.loads.spec import NewLoad
    from meshcache.agent.specs.own import dataset_document, load_document
    from meshcache.dataset import Dataset

    rows = await _rows(client, kind, names)
    if kind == "dataset":
        return [dataset_document(msgspec.convert(row, Dataset)) for row in rows]
    specs = [await client.load_spec(row["name"]) for row in rows]
    return [load_document(msgspec.convert(spec, NewLoad)) for spec in specs]
