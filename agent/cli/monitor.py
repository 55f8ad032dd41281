"""``meshcache monitor``: what happens in the mesh, as it happens."""

import asyncio
import json
import sys
from asyncio import sleep
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from meshcache.agent.cli import exits
from meshcache.agent.cli.output import printable
from meshcache.agent.cli.target import Target, asks_agent
from meshcache.errors import AgentUnreachable, DeadlineExceeded

AGAIN_AFTER = 1.0
"""Seconds until an agent that was lost is asked again."""

_SHOWN_ELSEWHERE = ("time", "kind", "event", "name")


class Kind(StrEnum):
    """What can be followed."""

    MEMBER = "member"
    VIEW = "view"
    MAP = "map"
    KEYS = "keys"
    EVENT = "event"


class Lines(StrEnum):
    """How to print: for people, or one JSON object a line."""

    TABLE = "table"
    JSON = "json"


@asks_agent
def monitor(
    target: Target,
    events: Annotated[
        str,
        typer.Option(metavar="KIND,...", help="Which: member, view, map, keys, event. All if not."),
    ] = "",
    output: Annotated[
        Lines, typer.Option("--output", "-o", help="How to print; json is one object a line.")
    ] = Lines.TABLE,
) -> int:
    """Print what happens in the mesh, a line for each event, until Ctrl-C.

    member: joined, updated, suspect, alive, failed, left, name-conflict, incompatible. view: the
    members that count changed. map: an entry of the replicated map was written or deleted. keys:
    mesh keys. event: what users of gossip say. An agent that is lost is asked again for ever; what
    happened meanwhile is not seen.
    """
    kinds = [one.strip() for one in events.split(",") if one.strip()]
    for kind in kinds:
        if kind not in list(Kind):
            raise typer.BadParameter(
                f"{kind!r} is not one of {', '.join(Kind)}", param_hint="--events"
            )
    asyncio.run(_follow(target, kinds, output))
    return exits.FAILED  # pragma: no cover  (it ends by an error or Ctrl-C alone)


async def _follow(target: Target, kinds: Sequence[str], output: Lines) -> None:
    begun = lost = False
    while True:
        reason = "the agent ended the stream"
        try:
            async with target.client() as client:
                async for record in client.events(kinds):
                    if record["kind"] == "begin":
                        if lost:
                            _say(f"{record['name']} answers again")
                        begun, lost = True, False
                    elif record["kind"] == "end":
                        reason = record["detail"]
                    else:
                        print(_line(record, output), flush=True)
        except (AgentUnreachable, DeadlineExceeded) as error:
            if not begun:
                raise
            reason = str(error)
        if not lost:
            _say(f"{reason}; trying again, and what happens meanwhile is not seen")
        lost = True
        await sleep(AGAIN_AFTER)


def _line(record: Mapping[str, Any], output: Lines) -> str:
    if output is Lines.JSON:
        return json.dumps(record, ensure_ascii=False)
    moment = datetime.fromtimestamp(record["time"], UTC).isoformat(timespec="milliseconds")
    what = f"{record['kind']}-{record['event']}"
    details = [
        f"{key}={','.join(value) if isinstance(value, list) else value}"
        for key, value in record.items()
        if key not in _SHOWN_ELSEWHERE and value != ""
    ]
    words = (moment.replace("+00:00", "Z"), f"{what:<14}", record.get("name", ""), *details)
    return printable("  ".join(filter(None, words)))


def _say(line: str) -> None:
    print(f"meshcache: {printable(line)}", file=sys.stderr, flush=True)
