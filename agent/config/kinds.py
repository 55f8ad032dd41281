"""The kinds of values that settings have, and how each is read from the text of a flag, a variable
or the file."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from meshcache.agent.address import GOSSIP_PORT, HostPort
from meshcache.errors import InvalidInput
from meshcache.units import parse_size

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")

T = TypeVar("T")


def _reading(read: Callable[[str], T]) -> BeforeValidator:
    """Have text read by one of our own functions; what is no text is the value itself."""

    def validate(value: object) -> object:
        if not isinstance(value, str | int) or isinstance(value, bool):
            return value
        try:
            return read(str(value))
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    return BeforeValidator(validate)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise InvalidInput(f"{text!r} is not a name: use letters, digits, '.', '_' and '-'")
    return text


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise InvalidInput(f"{text!r} is not a path")
    return Path(text).expanduser().absolute()


def _seed(text: str) -> HostPort:
    seed = HostPort.parse(text, GOSSIP_PORT)
    if seed.everywhere:
        raise InvalidInput(f"{text!r} names no member: write HOST or HOST:PORT")
    return seed


def _host(text: str) -> str:
    host = HostPort.parse(f"[{text}]" if text.count(":") > 1 else text, 0)
    if host.port or host.everywhere:
        raise InvalidInput(f"{text!r} is not a host that others can reach: write HOST, no port")
    return host.host


def _listed(value: Any) -> Any:
    """``a,b`` as it stands in an environment variable, or one value where a list may stand."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):  # several --join, each of which may hold several
        parts = (_listed(each) if isinstance(each, str) else [each] for each in value)
        return list(itertools.chain.from_iterable(parts))
    return value


FilePath = Annotated[Path, _reading(_path)]
ListenAddress = Annotated[HostPort, NoDecode, _reading(HostPort.parse)]
Size = Annotated[int, _reading(parse_size)]
Name = Annotated[str, _reading(_name)]
Zone = Annotated[str, _reading(lambda text: _name(text) if text else text)]
Host = Annotated[str, _reading(_host)]
Seeds = Annotated[list[Annotated[HostPort, _reading(_seed)]], NoDecode, BeforeValidator(_listed)]
Paths = Annotated[list[FilePath], NoDecode, BeforeValidator(_listed)]
Names = Annotated[list[str], NoDecode, BeforeValidator(_listed)]
