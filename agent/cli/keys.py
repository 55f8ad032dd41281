"""``meshcache keys``: the mesh key."""

from pathlib import Path
from typing import Annotated

import typer

from meshcache.agent import meshkey
from meshcache.errors import InvalidInput

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make the key that the members of a mesh share.",
)


@app.callback()
def _keys() -> None:
    """Make the key that the members of a mesh share."""


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
