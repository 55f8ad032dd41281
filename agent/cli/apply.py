"""``meshcache apply`` and ``meshcache delete``: datasets and loads as files say."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshcache.agent.cli import exits
from meshcache.agent.cli.output import printable, warn
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.errors import DatasetNotFound, InvalidInput, MeshcacheError, NotFound

if TYPE_CHECKING:
    from meshcache.agent.client import AgentClient
    from meshcache.agent.specs import Plan
    from meshcache.dataset import Dataset

TITLES = {"dataset": "dataset.data.fluid.io", "load": "dataload.data.fluid.io"}
"""Kind -> how kubectl would call it."""

FilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filename",
        "-f",
        metavar="FILE",
        help="A YAML or JSON file, a folder of them, or - for stdin; repeatable.",
    ),
]


@asks_agent
def apply(
    target: Target,
    filename: FilesOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, and only say what would be done.")
    ] = False,
) -> int:
    """Make or change datasets and loads as files say: Fluid's objects, or our short form.

    All documents are checked before the first is applied. What has no meaning here is named in a
    warning.
    """
    plan = _plan(filename)
    for warning in plan.warnings:
        warn(warning)
    return ask(target, lambda client: _apply(client, plan, dry_run))


@asks_agent
def delete(
    target: Target,
    kind: Annotated[
        str | None, typer.Argument(metavar="[dataset|load]", help="What to delete.")
    ] = None,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    filename: FilesOption = None,
    ignore_not_found: Annotated[
        bool, typer.Option("--ignore-not-found", help="What is not there is no failure.")
    ] = False,
) -> int:
    """Delete datasets and loads, by name or as files name them. No origin is touched."""
    if filename and not kind:
        plan = _plan(filename)
        # What shows another goes before it.
        datasets = [dataset.name for dataset in reversed(_in_order(plan))]
        wanted = [("load", load.name) for load in plan.loads if load.name]
        wanted += [("dataset", name) for name in datasets]
    elif kind and names and not filename:
        wanted = [(kind_of(kind), name) for name in names]
    else:
        raise InvalidInput("say what: `meshcache delete dataset NAME`, or -f FILE")
    return ask(target, lambda client: _delete(client, wanted, ignore_not_found))


def kind_of(word: str) -> str:
    """``dataset`` or ``load``, of the words that kubectl's users have for them.

    Raises:
        InvalidInput: it is neither.
    """
    kinds = {"dataset": "dataset", "load": "load", "dataload": "load"}
    found = kinds.get(word.lower().partition(".")[0].removesuffix("s"))
    if found is None:
        raise InvalidInput(f"{word!r} is neither dataset nor load")
    return found


def _plan(filename: list[str] | None) -> "Plan":
    from meshcache.agent.specs import plan, read

    if not filename:
        raise InvalidInput("give the files: -f FILE, or -f - for stdin")
    made = plan(read(filename))
    for error in made.errors[:-1]:
        print("meshcache:", printable(error), file=sys.stderr)
    if made.errors:
        raise InvalidInput(made.errors[-1])
    if not made.datasets and not made.loads:
        raise InvalidInput(f"there is no dataset and no load in {', '.join(filename)}")
    return made


def _in_order(plan: "Plan") -> "list[Dataset]":
    from meshcache.agent.origins.references import in_order

    return in_order(plan.datasets)


async def _apply(client: "AgentClient", plan: "Plan", dry_run: bool) -> int:
    from meshcache.agent.applying import apply

    failed = False
    async for kind, name, result, message in apply(client, plan, dry_run=dry_run):
        failed |= not _tell(TITLES[kind], name, result, message, dry_run)
    return exits.FAILED if failed else exits.OK


def _tell(kind: str, name: str, result: str, message: str, dry_run: bool) -> bool:
    """Say what became of one object; whether it went well."""
    if result == "failed":
        print(f"meshcache: {kind}/{name}: {printable(message)}", file=sys.stderr)
        return False
    print(f"{kind}/{name} {result}{' (dry run)' if dry_run else ''}")
    return True


async def _delete(
    client: "AgentClient", wanted: list[tuple[str, str]], ignore_not_found: bool
) -> int:
    failed = False
    for kind, name in wanted:
        title = TITLES[kind]
        work: Any = client.delete_dataset if kind == "dataset" else client.delete_load
        try:
            await work(name)
        except (DatasetNotFound, NotFound) as error:
            failed |= not (ignore_not_found or _tell(title, name, "failed", str(error), False))
        except MeshcacheError as error:
            failed |= not _tell(title, name, "failed", str(error), False)
        else:
            print(f'{title} "{name}" deleted')
    return exits.FAILED if failed else exits.OK
