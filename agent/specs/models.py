"""What the models of all documents have in common: naming what they do not take."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pydantic
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from meshcache.agent.specs.documents import Path

UNKNOWN = "meshcache knows no such field"


class Model(pydantic.BaseModel):
    """A part of a document. Fields are spelled in camelCase; others are kept, to be named."""

    model_config = ConfigDict(
        extra="allow", frozen=True, alias_generator=to_camel, populate_by_name=False
    )

    meaningless: ClassVar[Mapping[str, str]] = {}
    """Fields of Fluid that mean nothing here -> why."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, data: Any) -> Any:
        """A field without a value is not given, as Kubernetes has it."""
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value is not None}
        return data

    def untaken(self, path: Path = ()) -> Iterator[tuple[Path, str]]:
        """The fields that are not taken, here and below, with the reason."""
        for name in self.model_extra or {}:
            yield (*path, name), self.meaningless.get(name, UNKNOWN)
        for name, field in type(self).model_fields.items():
            yield from _untaken(getattr(self, name), (*path, field.alias or name))


def _untaken(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, Model):
        yield from value.untaken(path)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _untaken(item, (*path, index))
