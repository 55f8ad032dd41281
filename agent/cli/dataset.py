"""``meshcache dataset``: name data in remote storage, look at it, forget it."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from meshcache.agent.cli.cached import size, tell_answers
from meshcache.agent.cli.dataset_tables import (
    COLUMNS,
    LINES,
    NOTHING,
    SKIPPED,
    VERSION_COLUMNS,
)
from meshcache.agent.cli.output import Format, FormatOption, print_list, print_one
from meshcache.agent.cli.pairs import once, parsed, secrets
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.errors import InvalidInput
from meshcache.units import parse_duration, parse_size

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make, list, show, refresh and delete datasets.",
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The dataset.")]


ExactOption = Annotated[
    bool,
    typer.Option("--exact", help="Ask every member what it holds, and say how many answered."),
]


@app.command()
@asks_agent
def create(
    target: Target,
    name: NameArgument,
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="Where the data is: s3://BUCKET/PREFIX, oss://..., gs://..., https://..., "
            "file:///..., pvc://..., dataset://...",
        ),
    ] = None,
    mount: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=URL", help="A further origin, shown below PATH; repeatable."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="For the origin: endpoint, region, addressing=path|virtual, anonymous=true, "
            "list=true.",
        ),
    ] = None,
    secret_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=REF",
            help="access_key, secret_key or session_token, as file:PATH, env:NAME or "
            "secret:NAME/KEY, which every node resolves for itself.",
        ),
    ] = None,
    block_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="The unit of caching: 256KiB to 64MiB, 4MiB if not given."
        ),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many members own each block; 1 if not given."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="When the origin is looked at again: immutable (the default), ttl, check-on-open.",
        ),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long a listing is good under --policy ttl."),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Refresh it by itself so often, like 5m."),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Make a dataset. Its origin is listed first: if that fails, nothing is made."""
    mounts = [{"url": url, "path": "/"}] if url else []
    mounts += [{"url": at, "path": path} for path, at in parsed("--mount", mount, "PATH=URL")]
    if not mounts:
        raise InvalidInput("a dataset needs an origin: give a URL, or --mount PATH=URL")
    record: dict[str, Any] = {
        "name": name,
        "mounts": mounts,
        "options": once("--option", parsed("--option", option, "KEY=VALUE")),
        "secret_options": secrets(parsed("--secret-option", secret_option, "KEY=file:PATH")),
    }
    if block_size is not None:
        record["block_size"] = parse_size(block_size)
    if replicas is not None:
        record["replicas"] = replicas
    if policy is not None or ttl is not None:
        record["policy"] = policy or "ttl"
    if ttl is not None:
        record["ttl"] = parse_duration(ttl)
    if every is not None:
        record["refresh_every"] = parse_duration(every)
    made = ask(target, lambda client: client.create_dataset(record))
    _tell(made, "created", output)


@app.command("list")
@asks_agent
def list_(target: Target, exact: ExactOption = False, output: FormatOption = Format.TABLE) -> None:
    """List the datasets of the mesh.

    CACHED is the bytes of blocks that at least one living member holds, from what the members say
    of themselves: nobody is asked, and it is right to 2 %.
    """
    rows = ask(target, lambda client: client.datasets(exact=exact))
    print_list(rows, COLUMNS, output, NOTHING)
    tell_answers(rows)


@app.command()
@asks_agent
def show(
    target: Target,
    name: NameArgument,
    exact: ExactOption = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show all of one dataset."""
    shown = ask(target, lambda client: client.dataset(name, exact=exact))
    print_one(shown, LINES, output)
    tell_answers([shown])


@app.command()
@asks_agent
def skipped(target: Target, name: NameArgument, output: FormatOption = Format.TABLE) -> None:
    """List the origin's keys that are no paths, and so are shown as no file: the first 10000."""
    rows = ask(target, lambda client: client.skipped(name))
    print_list(rows, SKIPPED, output, f"no key of dataset {name} was skipped")


@app.command()
@asks_agent
def refresh(
    target: Target,
    name: NameArgument,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Have the mesh do it by itself from now on, like 5m; 0: no more."
        ),
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """List the origin again, and show what is there now to every mount."""
    seconds = None if every is None else 0.0 if every == "0" else parse_duration(every)
    _tell(ask(target, lambda client: client.refresh_dataset(name, seconds)), "refreshed", output)


@app.command()
@asks_agent
def versions(target: Target, name: NameArgument, output: FormatOption = Format.TABLE) -> None:
    """List what a dataset has shown. NAME@VERSION mounts and reads one of them."""
    found = ask(target, lambda client: client.versions(name))
    print_list(found, VERSION_COLUMNS, output, f"dataset {name} was not listed yet")


@app.command()
@asks_agent
def delete(
    target: Target,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The datasets.")],
) -> None:
    """Forget datasets. Nothing at the origin is touched."""
    for name in names:
        ask(target, lambda client, name=name: client.delete_dataset(name))  # type: ignore[misc]
        print(f"dataset {name} deleted")


def _tell(dataset: Mapping[str, Any], done: str, output: Format) -> None:
    if output in (Format.JSON, Format.YAML):
        print_one(dataset, LINES, output)
        return
    skipped = f", {dataset['skipped']} keys skipped" if dataset["skipped"] else ""
    print(
        f"dataset {dataset['name']} {done}: {dataset['files']} files, "
        f"{size(dataset['ufs_total'])}{skipped}"
    )
