"""Members as the user sees them."""

from meshcache.gossip import wire
from meshcache.gossip.core.events import Member, State
from meshcache.gossip.core.table import ALIVE, FAILED, FULL, LEFT, Row, Table

_STATES = {ALIVE: State.ALIVE, FAILED: State.FAILED, LEFT: State.LEFT}


def member(row: Row) -> Member:
    """The member of a row."""
    suspect = row.status == ALIVE and row.suspect
    state = State.SUSPECT if suspect else _STATES[row.status]
    return _member(row.record, state, row.incarnation, row.learned)


def leaf(record: wire.Record) -> Member:
    """A leaf, which is in no table: it lives, or would not be shown."""
    return _member(record, State.ALIVE, record.incarnation, record.epoch)


def everybody(table: Table, mine: wire.Record | None) -> list[Member]:
    """All members of a table, and (if this is a leaf) its own, sorted by name; one that failed or
    left is not shown once a newer process has its name."""
    members = [
        member(row)
        for _, row in table.rows.items()
        if row.status == ALIVE or not table.named(row.record.name)
    ]
    if mine is not None:
        members.append(leaf(mine))
    return sorted(members, key=lambda one: (one.name, one.epoch, one.uid))


def _member(record: wire.Record, state: State, incarnation: int, since_ms: int) -> Member:
    return Member(
        uid=record.uid.hex(),
        name=record.name,
        address=record.address,
        state=state,
        incarnation=incarnation,
        role="full" if record.role == FULL else "leaf",
        tags=dict(record.tags),
        since=since_ms / 1000,
        epoch=record.epoch,
    )
