"""Our own short form: flat objects without apiVersion, of the kinds Dataset and Load."""

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BeforeValidator, Field
from pydantic.alias_generators import to_camel

from meshcache.agent.loads.spec import NewLoad
from meshcache.agent.loads.spec import Target as LoadTarget
from meshcache.agent.specs.models import Model
from meshcache.block import DEFAULT_BLOCK_SIZE
from meshcache.dataset import Dataset as Record
from meshcache.dataset import Mount as RecordMount
from meshcache.dataset import Policy
from meshcache.errors import InvalidInput
from meshcache.units import KIB, parse_duration, parse_size


def _reading(read: Any) -> BeforeValidator:
    """Have text read by one of our own functions, which know no zero."""

    def validate(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return 0 if value in ("0", "0s") else read(value)
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    return BeforeValidator(validate)


Size = Annotated[int, _reading(parse_size)]
Duration = Annotated[float, _reading(parse_duration)]


class Mount(Model):
    """One origin. A text alone is its URL."""

    url: str
    path: str = "/"
    name: str = ""
    options: dict[str, str] = {}
    secrets: dict[str, str] = {}


def _as_mount(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class Dataset(Model):
    """A dataset."""

    kind: Literal["Dataset"]
    name: str
    mounts: list[Annotated[Mount, BeforeValidator(_as_mount)]] = Field(min_length=1)
    options: dict[str, str] = {}
    secrets: dict[str, str] = {}
    block_size: Size = DEFAULT_BLOCK_SIZE
    replicas: int = 1
    policy: Policy = "immutable"
    ttl: Duration = 0.0
    refresh_every: Duration = 0.0
    namespaces: list[str] = []

    def record(self) -> Record:
        """The record it asks for.

        Raises:
            InvalidInput: it cannot be.
        """
        return Record(
            name=self.name,
            mounts=tuple(
                RecordMount(
                    url=mount.url,
                    path=mount.path,
                    options=mount.options,
                    secret_options=mount.secrets,
                    name=mount.name,
                )
                for mount in self.mounts
            ),
            options=self.options,
            secret_options=self.secrets,
            block_size=self.block_size,
            replicas=self.replicas,
            policy=self.policy,
            ttl=self.ttl,
            refresh_every=self.refresh_every,
            namespaces=tuple(self.namespaces),
        )


class Target(Model):
    """A path with replicas of its own. A text alone is the path."""

    path: str
    replicas: int = 0


class Load(Model):
    """A load."""

    kind: Literal["Load"]
    name: str = ""
    dataset: str
    paths: list[str] = []
    targets: list[Target] = []
    exclude: list[str] = []
    files: list[str] | None = None
    metadata_only: bool = False
    replicas: int = 0
    zones: list[str] = []
    nodes: list[str] = []
    all: bool = False
    rate: Size = 0
    policy: Literal["Once", "Cron", "OnEvent"] = "Once"
    schedule: str = ""
    run_after: str = ""
    ttl: Duration | None = None

    def spec(self) -> NewLoad:
        """The load it asks for.

        Raises:
            InvalidInput: it cannot be.
        """
        return NewLoad(
            name=self.name,
            dataset=self.dataset,
            paths=tuple(self.paths),
            targets=tuple(LoadTarget(target.path, target.replicas) for target in self.targets),
            exclude=tuple(self.exclude),
            files=None if self.files is None else tuple(self.files),
            metadata_only=self.metadata_only,
            replicas=self.replicas,
            zones=tuple(self.zones),
            nodes=tuple(self.nodes),
            all=self.all,
            rate=self.rate,
            policy=self.policy,
            schedule=self.schedule,
            run_after=self.run_after,
            ttl=self.ttl,
        )


def dataset_document(record: Record) -> dict[str, Any]:
    """A record in the short form, without what is as it is anyway: the inverse of `Dataset`."""
    document: dict[str, Any] = {
        "kind": "Dataset",
        "name": record.name,
        "mounts": [_mount_document(mount) for mount in record.mounts],
        "options": dict(record.options),
        "secrets": dict(record.secret_options),
        "blockSize": None if record.block_size == DEFAULT_BLOCK_SIZE else _size(record.block_size),
        "replicas": None if record.replicas == 1 else record.replicas,
        "policy": None if record.policy == "immutable" else record.policy,
        "ttl": _duration(record.ttl) if record.ttl else None,
        "refreshEvery": _duration(record.refresh_every) if record.refresh_every else None,
        "namespaces": list(record.namespaces),
    }
    return {name: value for name, value in document.items() if value not in (None, {}, [])}


def _mount_document(mount: RecordMount) -> str | dict[str, Any]:
    document = {
        "url": mount.url,
        "path": "" if mount.path == "/" else mount.path,
        "name": mount.name,
        "options": dict(mount.options),
        "secrets": dict(mount.secret_options),
    }
    document = {name: value for name, value in document.items() if value}
    return mount.url if document.keys() == {"url"} else document


def load_document(spec: NewLoad) -> dict[str, Any]:
    """A load in its one form in the short form, without what is as it is anyway."""
    default = NewLoad(dataset="")
    alone = all(target.replicas == 0 for target in spec.targets)
    everything = spec.targets == (LoadTarget("/"),) and spec.files is None
    paths = [target.path for target in spec.targets] if alone and not everything else []
    document: dict[str, Any] = {
        "kind": "Load",
        "name": spec.name,
        "dataset": spec.dataset,
        "paths": paths or None,
        "targets": None if alone else [msgspec.to_builtins(target) for target in spec.targets],
    }
    for field in ("exclude", "files", "metadata_only", "replicas", "zones", "nodes", "all"):
        document[field] = getattr(spec, field)
    for field in ("policy", "schedule", "run_after"):
        document[field] = getattr(spec, field)
    document["rate"] = _size(spec.rate) if spec.rate else None
    document["ttl"] = None if spec.ttl is None else _duration(spec.ttl)
    return {
        to_camel(field): list(value) if isinstance(value, tuple) else value
        for field, value in document.items()
        if value is not None and value != getattr(default, field, None)
    }


def _size(size: int) -> str | int:
    for unit, factor in (("GiB", KIB**3), ("MiB", KIB**2), ("KiB", KIB)):
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return size


def _duration(seconds: float) -> str:
    if not seconds:
        return "0s"
    for unit, factor in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= factor and seconds % factor == 0:
            return f"{seconds / factor:.0f}{unit}"
    return f"{seconds!r}"
