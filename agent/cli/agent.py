"""``meshcache agent``: run an agent. Its flags are made from `AgentConfig`."""

import functools
import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from meshcache.agent.cli.alone import AloneOption, ends_this_process
from meshcache.agent.cli.target import Target
from meshcache.agent.config import AgentConfig
from meshcache.agent.config.sources import flag_of, load

_CONFIG = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A YAML file whose keys are these flags without the dashes in front (env "
        "MESHCACHE_CONFIG).",
    ),
]


def _flag(name: str) -> inspect.Parameter:
    """The option for one field; it is None when it was not given."""
    field = AgentConfig.model_fields[name]
    extra: Any = field.json_schema_extra
    about = (field.description or "").partition(". ")[0].rstrip(".") + "."
    default = extra["shown"] or ("" if field.default in ("", None) else str(field.default))
    switch = field.annotation is bool
    repeated = not switch and "list" in str(field.annotation)
    kind: Any = (list[str] if repeated else bool if switch else str) | None
    option = typer.Option(
        f"{flag_of(name)}/--no-{flag_of(name)[2:]}" if switch else flag_of(name),
        metavar=None if switch else extra["unit"],
        help=about + (f" Default: {default}." if default and not switch else ""),
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option], default=None
    )


def _with_flags(command: Any) -> Any:
    @functools.wraps(command)
    def wrapper(**given: Any) -> int:
        own = {name: given.pop(name) for name in ("ctx", "config", "end_with_stdin", "until_alone")}
        return int(command(**own, flags=given))

    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "flags"
    ]
    fields = [_flag(name) for name in AgentConfig.model_fields]
    wrapper.__signature__ = inspect.Signature(own + fields)  # type: ignore[attr-defined]
    return wrapper


@_with_flags
def agent(
    ctx: typer.Context,
    config: _CONFIG = None,
    end_with_stdin: Annotated[bool, typer.Option("--end-with-stdin", hidden=True)] = False,
    until_alone: AloneOption = None,
    flags: Any = None,
) -> int:
    """Run an agent in the foreground, until SIGTERM or Ctrl-C.

    Without flags it is a mesh of one on loopback. To make a mesh, give every agent the same
    --mesh-key-file, an address to --listen and --gossip on, and a member to --join.

    Each flag can also be set by a variable (--cache-size: MESHCACHE_CACHE_SIZE) and in the --config
    file; a flag wins over a variable, that over the file.
    """
    before: Target = ctx.obj or Target()
    flags["socket"] = flags["socket"] or (str(before.socket) if before.socket else None)
    key = before.mesh_key_file
    flags["mesh_key_file"] = flags["mesh_key_file"] or (str(key) if key else None)
    settings = load(flags, file=config)

    from meshcache.agent import daemon, logs

    logs.configure(settings.log_level)
    with ends_this_process(until_alone):
        return daemon.run(settings, end_with_stdin=end_with_stdin)
