"""docs/configuration.md, made from `AgentConfig`: ``python -m meshcache.agent.config.docs``.

A test compares the file with what this makes, so the two cannot differ.
"""

import sys
from typing import Any

from meshcache.agent.config import AgentConfig
from meshcache.agent.config.sources import flag_of, key_of, variable_of

_HEAD = """\
# Configuration

<!-- Made by `python -m meshcache.agent.config.docs > docs/configuration.md`. Do not edit. -->

Everything about an agent can be set in three places, and a value in the first of them wins:

1. a flag of `meshcache agent`: `--cache-size 100GiB`
2. a variable: `MESHCACHE_CACHE_SIZE=100GiB`
3. a key of the YAML file that `--config FILE` or `MESHCACHE_CONFIG` names: `cache-size: 100GiB`

Sizes are binary: `64MiB`, `64Mi` and `64M` all are 64 * 2^20 bytes; a bare number is bytes. Lists
are YAML lists in the file, repeated flags on the command line, and `a,b` in a variable. An empty
variable counts as not set. A key that the file should not have is an error that names the nearest
right one.

Two settings belong to commands alone: `MESHCACHE_AGENT` (`--agent http://HOST:PORT`), the agent to
ask where it is not the one on this machine's socket, and `MESHCACHE_DEBUG=1`, which shows the
traceback of a command that fails.

## Fields
"""

_TAIL = """
## Examples

A mesh of one, for trying it out. It listens on loopback and makes a key of its own:

```sh
meshcache agent
```

A mesh of three nodes:

```sh
meshcache keys generate mesh.key     # once; then give the file to each node
meshcache agent --listen :7440 --gossip :7441 --mesh-key-file mesh.key --join node-1 --join node-2
```

The same as a file:

```yaml
listen: ":7440"
gossip: ":7441"
mesh-key-file: /etc/meshcache/mesh.key
join: [node-1, node-2]
cache-dir: /data/meshcache
cache-size: 500GiB
zone: rack-7
secret-root: [/etc/meshcache/secrets]
```
"""


def render() -> str:
    """The whole page."""
    sections = [_section(name) for name in AgentConfig.model_fields]
    return _HEAD + "\n" + "\n".join(sections) + _TAIL


def _section(name: str) -> str:
    field = AgentConfig.model_fields[name]
    extra: Any = field.json_schema_extra
    switch = not extra["unit"]
    value = f" / --no-{key_of(name)}" if switch else f" {extra['unit']}"
    default = "`false`" if switch else extra["shown"] or f"`{field.default}`"
    cells = (f"`{flag_of(name)}{value}`", f"`{variable_of(name)}`", f"`{key_of(name)}`", default)
    row = " | ".join(cell.replace("|", "\\|") for cell in cells)
    return (
        f"### {key_of(name)}\n\n{field.description}\n\n"
        f"| flag | variable | key | default |\n|---|---|---|---|\n| {row} |\n"
    )


if __name__ == "__main__":
    sys.stdout.write(render())
