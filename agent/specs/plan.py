"""From documents to what an agent is asked for: all is understood before anything is done."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pydantic

from meshcache.agent.loads.schedule import check_schedule
from meshcache.agent.loads.selection import Selection
from meshcache.agent.loads.spec import NewLoad
from meshcache.agent.loads.spec import Target as LoadTarget
from meshcache.agent.specs import fluid, own
from meshcache.agent.specs.documents import Document, Path, shown
from meshcache.agent.specs.models import Model
from meshcache.agent.specs.options import Taken, options_of, secrets_of, url_of
from meshcache.dataset import Dataset, Mount
from meshcache.errors import InvalidInput
from meshcache.origin.open import check_mount
from meshcache.units import format_size, parse_size

M = TypeVar("M", bound=Model)

LOAD_OPTIONS = {"loadMetadataOnly": "metadata_only"}
"""Options of engines' loads -> a `NewLoad`'s truths."""


@dataclass
class Plan:
    """What was understood of all documents, in their order."""

    datasets: list[Dataset] = field(default_factory=list)
    loads: list[NewLoad] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What has no meaning here: ``FILE:LINE: KIND NAME: FIELD: why``."""
    errors: list[str] = field(default_factory=list)
    """What cannot be, in the same form. With any of them nothing may be done."""
    places: dict[str, str] = field(default_factory=dict)
    """``dataset NAME`` and ``load NAME`` -> where it stands."""


class _Wrong(Exception):
    """A field that cannot be. Stays in this module."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(why)
        self.path = path


def plan(documents: Iterable[Document]) -> Plan:
    """Understand documents. What is wrong is in the plan, all of it, and never raised."""
    made = Plan()
    for document in documents:
        try:
            _take(document, made)
        except _Wrong as wrong:
            _note(made.errors, document, wrong.path, str(wrong))
        except InvalidInput as error:
            _note(made.errors, document, (), str(error))
        except pydantic.ValidationError as error:
            for each in error.errors():
                _note(made.errors, document, each["loc"], _why(each))
    return made


def _take(document: Document, made: Plan) -> None:
    kind, api = document.field("kind"), document.field("apiVersion")
    if not isinstance(kind, str):
        raise _Wrong(("kind",), "is missing: write Dataset or Load")
    if api is None and kind in ("Dataset", "Load"):
        _take_own(document, kind, made)
    elif api is None:
        raise _Wrong(
            ("kind",),
            f"is Dataset or Load, or an object of Fluid with its apiVersion, not {kind!r}",
        )
    elif not isinstance(api, str) or not api.startswith(fluid.API):
        why = "only objects of Fluid are taken, and our own without an apiVersion"
        if kind == "Secret":
            why = "mount it as the folder of its name below each agent's --secret-root"
        _note(made.warnings, document, (), why)
    elif kind == "Dataset":
        _take_fluid_dataset(document, made)
    elif kind == "DataLoad":
        _take_fluid_load(document, made)
    elif kind.endswith("Runtime"):
        _take_runtime(document, made)
    else:
        _note(made.warnings, document, (), "meshcache has nothing of this kind")


def _take_own(document: Document, kind: str, made: Plan) -> None:
    if kind == "Dataset":
        dataset = _model(own.Dataset, document, made)
        _add_dataset(document, dataset.record(), ("mounts",), made)
    else:
        _add_load(document, _model(own.Load, document, made).spec(), (), made)


def _model(cls: type[M], document: Document, made: Plan) -> M:
    model = cls.model_validate(document.data)
    for path, why in model.untaken():
        _note(made.warnings, document, path, why)
    return model


# --- Fluid's ----------------------------------------------------------------------------------


def _take_fluid_dataset(document: Document, made: Plan) -> None:
    wish = _model(fluid.Dataset, document, made)
    spec = wish.spec
    shared: Path = ("spec", "sharedOptions")
    hidden: Path = ("spec", "sharedEncryptOptions")
    record = Dataset(
        name=wish.metadata.name,
        mounts=tuple(
            _mount(document, mount, ("spec", "mounts", index), made)
            for index, mount in enumerate(spec.mounts)
        ),
        options=_options(document, spec.shared_options, shared, made),
        secret_options=_secrets(document, spec.shared_encrypt_options, hidden, made),
        namespaces=(wish.metadata.namespace,) if wish.metadata.namespace else (),
    )
    _add_dataset(document, record, ("spec", "mounts"), made)


def _mount(document: Document, mount: fluid.Mount, path: Path, made: Plan) -> Mount:
    url, in_url = url_of(mount.mount_point)
    options = _options(document, mount.options, (*path, "options"), made)
    # Fluid's rule: a mount without a path stands below its name.
    return Mount(
        url=url,
        path=mount.path or f"/{mount.name}",
        options=in_url | options,
        secret_options=_secrets(document, mount.encrypt_options, (*path, "encryptOptions"), made),
        name=mount.name,
    )


def _options(document: Document, given: dict[str, str], path: Path, made: Plan) -> dict[str, str]:
    try:
        return _taken(document, options_of(given), path, made)
    except InvalidInput as error:
        name, _, why = str(error).partition(": ")
        raise _Wrong((*path, name), why) from None


def _secrets(
    document: Document, given: list[fluid.EncryptOption], path: Path, made: Plan
) -> dict[str, str]:
    try:
        pairs = [(option.name, option.reference) for option in given]
        return _taken(document, secrets_of(pairs), path, made)
    except InvalidInput as error:
        raise _Wrong(path, str(error)) from None


def _taken(document: Document, taken: Taken, path: Path, made: Plan) -> dict[str, str]:
    for name, why in taken.untaken:
        _note(made.warnings, document, (*path, name), why)
    return taken.options


def _take_fluid_load(document: Document, made: Plan) -> None:
    wish = _model(fluid.DataLoad, document, made)
    spec = wish.spec
    truths = {}
    for name, value in spec.options.items():
        if name in LOAD_OPTIONS:
            truths[LOAD_OPTIONS[name]] = value.lower() == "true"
        else:
            why = "it is about the processes of Fluid's engine"
            _note(made.warnings, document, ("spec", "options", name), why)
    load = NewLoad(
        name=wish.metadata.name,
        dataset=spec.dataset.name,
        targets=tuple(LoadTarget(target.path, target.replicas) for target in spec.target),
        metadata_only=truths.get("metadata_only", False),
        policy=spec.policy,
        schedule=spec.schedule,
        run_after=spec.run_after.name if spec.run_after else "",
        ttl=spec.ttl_seconds_after_finished,
    )
    _add_load(document, load, ("spec",), made)


def _take_runtime(document: Document, made: Plan) -> None:
    runtime = _model(fluid.Runtime, document, made)
    path: Path = ("spec", "tieredstore", "levels")
    for index, level in enumerate(runtime.spec.tieredstore.levels):
        try:
            flags = _tier_flags(level)
        except InvalidInput as error:
            raise _Wrong((*path, index), str(error)) from None
        _note(
            made.warnings,
            document,
            (*path, index),
            f"a store is set on each agent, by {flags}",
        )


def _tier_flags(level: fluid.Level) -> str:
    """The flags of an agent that has this tier as its store."""
    quotas = [quota for quota in (level.quota_list or level.quota).split(",") if quota]
    folder = level.path.split(",")[0]
    flags = [f"--cache-dir {folder}"] if folder else []
    flags += [f"--cache-size {format_size(sum(map(parse_size, quotas)))}"] if quotas else []
    return " ".join(flags) or "--cache-dir and --cache-size"


# --- both -------------------------------------------------------------------------------------


def _add_dataset(document: Document, record: Dataset, mounts: Path, made: Plan) -> None:
    _once(document, f"dataset {record.name}", made)
    for index, mount in enumerate(record.mounts):
        try:
            check_mount(mount, record.options, record.secret_options)
        except InvalidInput as error:
            raise _Wrong((*mounts, index), str(error)) from None
    made.datasets.append(record)


def _add_load(document: Document, load: NewLoad, spec: Path, made: Plan) -> None:
    try:
        if load.schedule:
            check_schedule(load.schedule)
    except InvalidInput as error:
        raise _Wrong((*spec, "schedule"), str(error)) from None
    Selection.of(load)  # which raises what no pattern can be
    if load.name:
        _once(document, f"load {load.name}", made)
    made.loads.append(load)


def _once(document: Document, what: str, made: Plan) -> None:
    if what in made.places:
        raise _Wrong((), f"{what} is given already, at {made.places[what]}")
    made.places[what] = document.place()


def _note(notes: list[str], document: Document, path: Path, why: str) -> None:
    name = document.field("metadata", "name") or document.field("name")
    what = " ".join(word for word in (document.field("kind"), name) if isinstance(word, str))
    parts = (document.place(path), what, shown(path), why)
    notes.append(": ".join(part for part in parts if part))


def _why(error: Any) -> str:
    """Why pydantic says no, without the value: it may be a secret."""
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    message = str(error["msg"])
    return message[0].lower() + message[1:]
