"""Which datasets a pod asks for, and where its containers want to see them."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from meshcache.agent.webhook.names import ASKING, DATASETS, INJECTED, MIRROR, REFUSING, label_of
from meshcache.errors import InvalidInput

Pod = dict[str, Any]
Container = dict[str, Any]

_PART = re.compile(r"(?P<name>[^:,\s]+):(?P<path>/[^:,]*)(?P<ro>:ro)?")


class Ask(msgspec.Struct, frozen=True):
    """One dataset that a pod asks for."""

    dataset: str
    volume: str
    """The pod's volume that is to show it."""
    path: str = ""
    """Where all containers are to see it; empty if they name the volume themselves."""


def wants_injection(pod: Pod) -> bool:
    """Whether the pod asks at all: by a label or by the annotation, unless it refuses, or is the
    picture of one that a kubelet has from a file, which cannot be changed."""
    labels = _labels(pod)
    if MIRROR in _annotations(pod):
        return False
    if any(labels.get(label) == value for label, value in REFUSING.items()):
        return False
    if any(labels.get(label) == value for label, value in ASKING.items()):
        return True
    return DATASETS in _annotations(pod)


def mentioned(pod: Pod) -> set[str]:
    """The names in a pod that asks which may be those of datasets."""
    if not wants_injection(pod):
        return set()
    text = _annotations(pod).get(DATASETS, "")
    return {claim for _, claim in _claims(pod)} | {part["name"] for part in _PART.finditer(text)}


def asks_of(pod: Pod, is_dataset: Callable[[str], bool]) -> list[Ask]:
    """What the pod asks for and has not got yet, sorted by dataset.

    A PVC asks for the dataset that has its claim's name; one that has no dataset's name is
    the pod's own. The annotation asks by name, so a name that is no dataset is a mistake.

    Raises:
        InvalidInput: the annotation cannot be read, names an unknown dataset, or a path that a
            container has something else at.
    """
    found = [Ask(claim, volume["name"]) for volume, claim in _claims(pod) if is_dataset(claim)]
    done = injected(pod)
    for name, path in _annotated(_annotations(pod).get(DATASETS, "")):
        if not is_dataset(name):
            raise InvalidInput(f"annotation {DATASETS}: there is no dataset {name!r} in the mesh")
        volume = label_of(f"meshcache-{name}", path)
        if volume not in done:
            _check_free(pod, name, path)
            if any(ask.path == path for ask in found):
                raise InvalidInput(f"annotation {DATASETS}: two datasets at {path}")
            found.append(Ask(name, volume, path))
    return sorted(found, key=lambda ask: (ask.dataset, ask.volume))


def injected(pod: Pod) -> dict[str, str]:
    """What an earlier pass has put in: volume -> dataset."""
    parts = _annotations(pod).get(INJECTED, "").split(",")
    pairs = (part.rpartition("=") for part in parts if "=" in part)
    return {place: dataset for place, _, dataset in pairs}


def _claims(pod: Pod) -> Iterator[tuple[dict[str, Any], str]]:
    for volume in pod["spec"].get("volumes") or ():
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim:
            yield volume, claim


def _annotated(text: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _PART.fullmatch(part)
        if match is None:
            raise InvalidInput(
                f"annotation {DATASETS}: {part!r} cannot be read: write NAME:/PATH or NAME:/PATH:ro"
            )
        path = match["path"].rstrip("/")
        if not path or {"", ".", ".."} & set(path[1:].split("/")):
            raise InvalidInput(
                f"annotation {DATASETS}: {match['path']!r} is no place for a dataset"
            )
        yield match["name"], path


def containers(pod: Pod) -> Iterator[Container]:
    """All containers of a pod, in the order in which they start."""
    for group in ("initContainers", "containers"):
        yield from pod["spec"].get(group) or ()


def _check_free(pod: Pod, dataset: str, path: str) -> None:
    for container in containers(pod):
        for mount in container.get("volumeMounts") or ():
            if mount.get("mountPath", "").rstrip("/") == path:
                raise InvalidInput(
                    f"annotation {DATASETS}: container {container.get('name')!r} has volume "
                    f"{mount.get('name')!r} at {path}, where dataset {dataset!r} was to be"
                )


def _labels(pod: Pod) -> Mapping[str, str]:
    return pod.get("metadata", {}).get("labels") or {}


def _annotations(pod: Pod) -> Mapping[str, str]:
    return pod.get("metadata", {}).get("annotations") or {}
