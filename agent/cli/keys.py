"""``meshcache keys``: the mesh key, and its change in the whole mesh without downtime."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from meshcache.agent.cli import exits
from meshcache.agent.cli.output import Column, Format, FormatOption, print_data, print_list
from meshcache.agent.cli.target import Target, ask, asks_agent
from meshcache.agent.trust import meshkey
from meshcache.errors import InvalidInput

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make the key that the members of a mesh share, or change it while they run.",
)

COLUMNS = (
    Column("KEY", lambda key: key["id"]),
    Column("HELD BY", lambda key: f"{key['held_by']}/{key['members']}"),
    Column("IN USE BY", lambda key: f"{key['used_by']}/{key['members']}"),
)

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, or how it begins.")]


@app.command()
def generate(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to; stdout if not given.")
    ] = None,
) -> None:
    """Make a mesh key. A file is new, and readable by its owner alone.

    Give the same key to every agent of the mesh, by --mesh-key-file.
    """
    if file is None:
        print(meshkey.generate())
        return
    try:
        meshkey.write(file, meshkey.generate())
    except FileExistsError:
        raise InvalidInput(f"{file} is there already: it was left as it is") from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}") from error


@app.command()
@asks_agent
def install(
    target: Target,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The new key; - reads stdin.")],
    output: FormatOption = Format.TABLE,
) -> int:
    """Have all members accept a new key beside the one in use: the first of three steps.

    Then put the key into the key files that agents cannot write themselves, and go on with `use`.
    """
    if file == "-":
        (key,) = _one(meshkey.parse(sys.stdin.buffer.read()), "stdin")
    else:
        (key,) = _one(meshkey.load(Path(file), lambda line: None), file)
    step = ask(target, lambda client: client.install_key(key.hex()))
    return _tell(step, "installed", output)


def _one(keys: list[bytes], where: str) -> list[bytes]:
    if len(keys) != 1:
        raise InvalidInput(f"{where} has {len(keys)} keys: install one at a time")
    return keys


@app.command()
@asks_agent
def guest(
    target: Target,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="What the guest may read.")],
) -> None:
    """Print a key for guests of one dataset, in the place of the mesh key.

    Give it to an agent by MESHCACHE_GUEST_KEY (`meshcache mount --guest` starts one). It is worth
    something until the mesh key that it was made of is removed, or the dataset deleted.
    """
    print(ask(target, lambda client: client.guest_key(dataset)))


@app.command()
@asks_agent
def use(target: Target, key: KeyId, output: FormatOption = Format.TABLE) -> int:
    """Have all members use an installed key; the old one is still accepted."""
    return _tell(ask(target, lambda client: client.use_key(key)), "in use", output)


@app.command()
@asks_agent
def remove(target: Target, key: KeyId, output: FormatOption = Format.TABLE) -> int:
    """Have all members forget a key that none uses: the last step.

    Tokens that were made with it end. A member that was away meanwhile needs the new key.
    """
    return _tell(ask(target, lambda client: client.remove_key(key)), "removed", output)


@app.command(name="list")
@asks_agent
def list_(target: Target, output: FormatOption = Format.TABLE) -> int:
    """List the keys by their ids, with how many members hold and use each. Never the keys."""
    survey = ask(target, lambda client: client.keys())
    if output in (Format.JSON, Format.YAML):
        print_data(survey, output)
    else:
        rows = [key | {"members": survey["members"]} for key in survey["keys"]]
        print_list(rows, COLUMNS, output, "no keys")
    return _name(dict.fromkeys(survey["silent"], "does not answer"))


def _tell(step: dict[str, Any], done: str, output: Format) -> int:
    if output in (Format.JSON, Format.YAML):
        print_data(step, output)
    else:
        count = len(step["done"])
        where = "from" if done == "removed" else "by" if done == "in use" else "on"
        print(f"[keys] {step['id']} {done} {where} {count}/{count + len(step['failed'])}")
    return _name(step["failed"])


def _name(failed: dict[str, str]) -> int:
    """Say who did not, one line each."""
    for name, reason in failed.items():
        print(f"meshcache: {name}: {reason}", file=sys.stderr)
    return exits.FAILED if failed else exits.OK
