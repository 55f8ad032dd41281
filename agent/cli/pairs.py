"""Pairs on the command line: KEY=VALUE, PATH=URL, KEY=REFERENCE."""

from collections.abc import Iterable
from pathlib import Path

from meshcache.errors import InvalidInput
from meshcache.secrets import is_reference


def parsed(flag: str, given: Iterable[str] | None, form: str) -> list[tuple[str, str]]:
    """What was given to a flag that may be repeated, cut at the first equals sign.

    Raises:
        InvalidInput: it is not of that form.
    """
    pairs = []
    for text in given or ():
        key, equals, value = text.partition("=")
        if not key or not equals or not value:
            raise InvalidInput(f"{flag} {text!r} cannot be read: write {form}")
        pairs.append((key, value))
    return pairs


def once(flag: str, pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The pairs as a map.

    Raises:
        InvalidInput: a key is given twice.
    """
    options: dict[str, str] = {}
    for key, value in pairs:
        if key in options:
            raise InvalidInput(f"{flag} {key} is given twice")
        options[key] = value
    return options


def secrets(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The pairs of `--secret-option`.

    Raises:
        InvalidInput: a value is no reference, or a key is given twice.
    """
    for key, reference in pairs:
        if not is_reference(reference):
            # The value is not repeated: it may be the secret itself.
            raise InvalidInput(
                f"--secret-option {key} takes where the secret is, never the secret: write "
                f"{key}=file:PATH, {key}=env:NAME or {key}=secret:NAME/KEY"
            )
    return once("--secret-option", [(key, _absolute(ref)) for key, ref in pairs])


def _absolute(reference: str) -> str:
    """Agents have working directories of their own: a path counts from the caller's."""
    kind, _, place = reference.partition(":")
    return f"{kind}:{Path(place).absolute()}" if kind == "file" and place else reference
