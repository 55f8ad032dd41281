"""Reading what the options of origins have in common."""

from collections.abc import Mapping

from meshcache.errors import InvalidInput

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def truth(options: Mapping[str, str], name: str) -> bool:
    """An option that is true or false; false if it is not given.

    Raises:
        InvalidInput: it is neither.
    """
    text = options.get(name, "false")
    found = _TRUTH.get(text.lower())
    if found is None:
        raise InvalidInput(f"the option {name} is true or false, not {text!r}")
    return found
