"""Which exit code an error becomes: the one table."""

from meshcache.errors import InvalidInput, MeshcacheError

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130
"""128 + SIGINT, as a shell has it."""
BROKEN_PIPE = 141
"""128 + SIGPIPE: what `cat` gives when `head` has seen enough."""

EXITS: dict[type[MeshcacheError], int] = {InvalidInput: USAGE, MeshcacheError: FAILED}


def exit_of(error: MeshcacheError) -> int:
    """The code of the error's own class, else of the nearest class above it in the table."""
    return next(EXITS[cls] for cls in type(error).__mro__ if cls in EXITS)
