"""Fluid's objects, as far as they mean something here (data.fluid.io/v1alpha1).

The names are those of Fluid's Go types. `Model.meaningless` has the fields that Fluid knows and
meshcache does not need; docs/datasets.md lists them.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from meshcache.agent.specs.documents import Path
from meshcache.agent.specs.models import Model

API = "data.fluid.io/"

_PODS = "meshcache starts no pods for it"
_NODES = "every dataset is cached on every member of the mesh"
_META = "meshcache keeps no such metadata"


class Metadata(Model):
    """Of an object: its name; of a dataset, the namespace that may use it."""

    meaningless = dict.fromkeys(
        (
            *("labels", "annotations", "uid", "resourceVersion", "generation", "finalizers"),
            *("creationTimestamp", "managedFields", "ownerReferences", "selfLink"),
        ),
        _META,
    )
    name: str
    namespace: str = ""


class _SecretKeyRef(Model):
    name: str
    key: str


class _ValueFrom(Model):
    secret_key_ref: _SecretKeyRef


class EncryptOption(Model):
    """An option whose value is a key of a Secret."""

    name: str
    value_from: _ValueFrom

    @property
    def reference(self) -> str:
        """What a node resolves: the Secret is mounted below its --secret-root."""
        ref = self.value_from.secret_key_ref
        return f"secret:{ref.name}/{ref.key}"


class Mount(Model):
    """One origin."""

    mount_point: str
    name: str = ""
    path: str = ""
    options: dict[str, str] = {}
    encrypt_options: list[EncryptOption] = []
    read_only: bool = True
    shared: bool = True

    def untaken(self, path: Path = ()) -> Iterator[tuple[Path, str]]:
        yield from super().untaken(path)
        if not self.read_only:
            yield (*path, "readOnly"), "a mount is always read-only"
        if not self.shared:
            yield (*path, "shared"), "a mount is always shared"


class DatasetSpec(Model):
    """What a Dataset asks for."""

    meaningless = {
        "owner": "files belong to who mounts them",
        "nodeAffinity": _NODES,
        "tolerations": _NODES,
        "runtimes": "meshcache needs no runtime",
        "dataRestoreLocation": "a listing is kept by the mesh and needs no backup",
    }
    mounts: list[Mount] = Field(min_length=1)
    shared_options: dict[str, str] = {}
    shared_encrypt_options: list[EncryptOption] = []
    access_modes: list[str] = ["ReadOnlyMany"]
    placement: str = "Shared"

    def untaken(self, path: Path = ()) -> Iterator[tuple[Path, str]]:
        yield from super().untaken(path)
        if self.access_modes != ["ReadOnlyMany"]:
            yield (*path, "accessModes"), "a mount is always ReadOnlyMany"
        if self.placement != "Shared":
            yield (*path, "placement"), "the datasets of a mesh share its members"


class _Object(Model):
    meaningless = {"status": "it is what Fluid saw"}

    api_version: str
    kind: str
    metadata: Metadata


class Dataset(_Object):
    """Fluid's Dataset."""

    spec: DatasetSpec


class Target(Model):
    """A part of a dataset to load."""

    path: str
    replicas: int = Field(0, ge=0)


class _TargetDataset(Model):
    meaningless = {"namespace": "a dataset's name is its own in the whole mesh"}

    name: str


class _RunAfter(Model):
    meaningless = {
        "namespace": "a load's name is its own in the whole mesh",
        "apiVersion": "only loads can be waited for",
        "affinityStrategy": _PODS,
    }
    kind: Literal["DataLoad"]
    name: str


class LoadSpec(Model):
    """What a DataLoad asks for."""

    meaningless = dict.fromkeys(
        (
            *("podMetadata", "affinity", "tolerations", "nodeSelector", "schedulerName"),
            *("resources", "imagePullSecrets"),
        ),
        _PODS,
    )
    dataset: _TargetDataset
    load_metadata: bool = False
    target: list[Target] = []
    options: dict[str, str] = {}
    policy: Literal["Once", "Cron", "OnEvent"] = "Once"
    schedule: str = ""
    run_after: _RunAfter | None = None
    ttl_seconds_after_finished: float | None = Field(None, ge=0)


class DataLoad(_Object):
    """Fluid's DataLoad."""

    spec: LoadSpec


class Level(Model):
    """A tier of a runtime's cache."""

    meaningless = dict.fromkeys(
        ("volumeType", "volumeSource"), "an agent's cache is a folder of its node"
    ) | dict.fromkeys(("high", "low"), "a store is kept below its size at every moment")

    mediumtype: Literal["MEM", "SSD", "HDD"]
    path: str = ""
    quota: str = ""
    quota_list: str = ""


class TieredStore(Model):
    """A runtime's tiers."""

    levels: list[Level] = []


class RuntimeSpec(Model):
    """Of a runtime, its tiers: all else is of Fluid's own processes."""

    tieredstore: TieredStore = TieredStore()

    def untaken(self, path: Path = ()) -> Iterator[tuple[Path, str]]:
        for name in self.model_extra or {}:
            yield (*path, name), "it is about the processes of Fluid's engine"
        yield from self.tieredstore.untaken((*path, "tieredstore"))


class Runtime(_Object):
    """Any of Fluid's runtimes."""

    spec: RuntimeSpec = RuntimeSpec()


KINDS: dict[str, type[_Object]] = {"Dataset": Dataset, "DataLoad": DataLoad}
