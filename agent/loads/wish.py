"""A load as it was asked for: so that it can be shown, compared and asked for again."""

import msgspec

from meshcache.agent.loads.record import Load
from meshcache.agent.loads.selection import Selection
from meshcache.agent.loads.spec import NewLoad


def canonical(new: NewLoad) -> NewLoad:
    """The same load in the one form that all its spellings have.

    Raises:
        InvalidInput: a pattern cannot be read.
    """
    return _with(msgspec.structs.replace(new, dry_run=False), Selection.of(new))


def wish_of(load: Load, selection: Selection) -> NewLoad:
    """What was asked for when a load was started, in its one form.

    Args:
        load: the record.
        selection: what the record names, wherever it is kept.
    """
    named = set(NewLoad.__struct_fields__) & set(Load.__struct_fields__)
    fields = {field: getattr(load, field) for field in named} | {"dataset": load.subject}
    return _with(NewLoad(**fields), selection)


def _with(new: NewLoad, selection: Selection) -> NewLoad:
    files = selection.files or (None if selection.targets else ())
    return msgspec.structs.replace(
        new, paths=(), targets=selection.targets, exclude=selection.exclude, files=files
    )
