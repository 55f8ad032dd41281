"""The command line: ``meshcache NOUN ...``.

A command's module is imported when it is used, so that each starts as fast as it can. Whatever
goes wrong ends here as one line on stderr and an exit code; MESHCACHE_DEBUG=1 shows the traceback.
"""

import importlib
import io
import os
import sys
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from meshcache.agent.cli import exits
from meshcache.agent.cli.target import AgentOption, KeyOption, SocketOption, Target
from meshcache.errors import MeshcacheError

COMMANDS = {
    "agent": "agent:agent",
    "members": "members:members",
    "status": "status:status",
    "monitor": "monitor:monitor",
    "apply": "apply:apply",
    "get": "get:get",
    "delete": "apply:delete",
    "dataset": "dataset:app",
    "ls": "files:ls",
    "cat": "files:cat",
    "load": "load:load",
    "locality": "locality:locality",
    "bench": "bench:bench",
    "loads": "loads:loads",
    "mount": "mount:mount",
    "umount": "mount:umount",
    "upgrade-worker": "upgrade:upgrade_worker",
    "token": "token:token",
    "webhook": "webhook:webhook",
    "keys": "keys:app",
    "version": "version:version",
}
"""Command -> module of this folder, and the function or typer app in it."""


class _Commands(typer.core.TyperGroup):
    """The commands of the table, imported when they are asked for."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        # The keys are what suggestions for a mistyped command are made from.
        self.commands = dict.fromkeys(COMMANDS, self)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        found = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            command, found = found, typer.Typer(add_completion=False, rich_markup_mode=None)
            found.command(cmd_name)(command)
        built = typer.main.get_command(found)
        built.name = cmd_name
        return built


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        importlib.import_module(f"{__name__}.version").version()
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    socket: SocketOption = None,
    agent: AgentOption = None,
    mesh_key_file: KeyOption = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """A peer-to-peer read cache without a master.

    Start with `meshcache agent`, then `meshcache dataset create NAME URL` and
    `meshcache mount NAME MOUNTPOINT`.

    --socket, --agent and --mesh-key-file may stand before the command as well as after it.
    """
    ctx.obj = Target(socket, agent, mesh_key_file)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; gives the exit code. Never raises but when MESHCACHE_DEBUG is set."""
    # numpy's library of matrices, of which nothing is used, else starts a thread for each core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a name that is no UTF-8
        code = app(arguments, prog_name="meshcache", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else exits.OK
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except SystemExit as end:  # typer's own way to end at a broken pipe
        if isinstance(end.__context__, BrokenPipeError):
            return _pipe_broken()
        return end.code if isinstance(end.code, int) else exits.FAILED
    except Exception as error:
        return _fail(error)


def _pipe_broken() -> int:
    # What is still buffered goes nowhere, or the interpreter would complain at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return exits.BROKEN_PIPE


def _fail(error: Exception) -> int:
    if isinstance(error, BrokenPipeError):
        return _pipe_broken()
    if isinstance(error, typer.Exit):
        return error.exit_code
    if os.environ.get("MESHCACHE_DEBUG") == "1":
        raise error
    if isinstance(error, MeshcacheError):
        _say(str(error) or type(error).__name__)
        return exits.exit_of(error)
    if isinstance(error, typer.TyperException):  # a usage error
        context = getattr(error, "ctx", None)
        message = error.format_message()
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message, file=sys.stderr)
        else:
            path = context.command_path if context else "meshcache"
            _say(f"{message.rstrip('.')} (see {path} --help)")
        return error.exit_code
    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        _say(f"{what}{error.strerror or error}")
        return exits.FAILED
    _say(
        f"failed in a way that it should not: {type(error).__name__}: {error} "
        "(MESHCACHE_DEBUG=1 shows where)"
    )
    return exits.FAILED


def _say(message: str) -> None:
    from meshcache.agent.cli.output import printable

    print("meshcache:", printable(" ".join(message.split())), file=sys.stderr)
