"""A pod goes in, a pod with sidecars comes out. Pure; a second pass finds nothing left to do."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from meshcache.agent.webhook import sidecar, unfit
from meshcache.agent.webhook.asks import (
    Ask,
    Pod,
    asks_of,
    containers,
    injected,
    wants_injection,
)
from meshcache.agent.webhook.modes import WAYS, Served
from meshcache.agent.webhook.names import CACHE_VOLUME, INJECTED, RUN_VOLUME, SIDECAR, label_of
from meshcache.agent.webhook.settings import SidecarSettings

ALONE_FOR = {"Never": 3, "OnFailure": 330}
"""restartPolicy -> seconds that the app's containers are gone for good after. A container that
failed is started again after up to five minutes (the kubelet's longest back-off)."""


class Injection(msgspec.Struct, frozen=True):
    """What came of one pod."""

    pod: Pod
    """The pod as it is to be; the one that went in is left as it was."""
    datasets: list[str]
    """Datasets that this pass put in."""
    warnings: list[str]


def inject(
    pod: Pod,
    settings: SidecarSettings,
    *,
    is_dataset: Callable[[str], bool],
    key_for: Callable[[str], str],
) -> Injection:
    """Give a pod the sidecars that it asks for.

    Args:
        pod: as the API server sent it (`request.object`).
        is_dataset: whether the mesh has a dataset of this name.
        key_for: the key that a guest of this dataset proves itself with.

    Raises:
        InvalidInput: the pod asks for what cannot be; the message is for whoever made the pod.
    """
    if not wants_injection(pod):
        return Injection(pod, [], [])
    rewrite = _Rewrite(copy.deepcopy(pod), settings, key_for)
    asks = asks_of(pod, is_dataset)
    unfit.check(pod, asks, settings)
    for ask in asks:
        rewrite.serve(ask)
    rewrite.propagate()
    if asks:
        rewrite.warnings += unfit.warnings(rewrite.pod, rewrite.served, settings)
    return Injection(rewrite.pod, [ask.dataset for ask in asks], rewrite.warnings)


class _Rewrite:
    def __init__(self, pod: Pod, settings: SidecarSettings, key_for: Callable[[str], str]) -> None:
        self.pod = pod
        self.warnings: list[str] = []
        self._settings = settings
        self._way = WAYS[settings.mode]
        self._key_for = key_for
        self._done = injected(pod)
        self._added: list[dict[str, Any]] = []
        named = (*containers(pod), *(pod["spec"].get("volumes") or ()))
        self._number = 1 + max((_number_of(one["name"]) for one in named), default=-1)

    @property
    def served(self) -> dict[str, str]:
        """Volume -> the dataset that it shows."""
        return self._done

    def _apps(self) -> Iterator[dict[str, Any]]:
        return (one for one in containers(self.pod) if not _is_ours(one["name"]))

    # --- one dataset

    def serve(self, ask: Ask) -> None:
        """Put one dataset in: its volume, its sidecar, and how the containers see it."""
        if ask.path:
            self._show_at(ask)
        subpaths = self._split_subpaths(ask)
        alone_for = self._alone_for()
        served = Served(self._number, ask.dataset, ask.volume, alone_for, subpaths)
        self._number += 1
        spec = self.pod["spec"]
        kept = [one for one in spec.get("volumes") or () if one["name"] != ask.volume]
        spec["volumes"] = [*kept, *sidecar.volumes(served, self._settings)]
        made = sidecar.container(served, self._settings, self._key_for(ask.dataset))
        self._insert(made)
        self._tell(self._way.variables(served, self._settings))
        for volume in (ask.volume, *subpaths.values()):
            self._done[volume] = ask.dataset
        self._mark()

    def _show_at(self, ask: Ask) -> None:
        """The annotation says where: every container of the pod sees it there."""
        for container in self._apps():
            shown = {"name": ask.volume, "mountPath": ask.path, "readOnly": True}
            container["volumeMounts"] = [*(container.get("volumeMounts") or ()), shown]

    def _alone_for(self) -> int:
        """How long a classic sidecar waits for the app to come back before it ends."""
        spec = self.pod["spec"]
        seconds = ALONE_FOR.get(spec.get("restartPolicy", "Always"), 0)
        if self._settings.lifecycle != "classic" or not seconds:
            return 0
        if spec.get("hostPID"):
            self.warnings.append(
                "its sidecars cannot tell when the app has ended, so the pod will not complete: "
                "it sees its node's processes"
            )
            return 0
        spec["shareProcessNamespace"] = True
        return seconds

    def _split_subpaths(self, ask: Ask) -> dict[str, str]:
        """A volume of its own for each folder that a container sees alone.

        A subPath is bound once, when a container starts: after a sidecar's crash it would stay with
        the dead mount. A volume of its own propagates the new one.
        """
        subpaths: dict[str, str] = {}
        for container in self._apps():
            for mount in container.get("volumeMounts") or ():
                if mount["name"] != ask.volume:
                    continue
                if mount.get("subPathExpr"):
                    self.warnings.append(
                        f"container {container['name']!r} sees {ask.dataset!r} by a subPathExpr: "
                        "after a crash of the sidecar it reads an error until it is restarted"
                    )
                path = (mount.get("subPath") or "").strip("/")
                if path and self._way.splits_subpaths:
                    name = label_of(ask.volume, path)
                    mount["name"] = subpaths.setdefault(path, name)
                    del mount["subPath"]
        return subpaths

    def _insert(self, made: dict[str, Any]) -> None:
        """Before all others: init containers may read the data, too."""
        spec = self.pod["spec"]
        group = "initContainers" if self._settings.lifecycle == "native" else "containers"
        there = list(spec.get(group) or ())
        after = sum(_is_ours(one.get("name", "")) for one in there)
        spec[group] = [*there[:after], made, *there[after:]]

    def _tell(self, variables: dict[str, str]) -> None:
        """Set variables in the app's containers that do not have them."""
        for container in self._apps() if variables else ():
            there = container.get("env") or []
            known = {variable.get("name") for variable in there}
            more = [{"name": n, "value": v} for n, v in variables.items() if n not in known]
            container["env"] = [*there, *more]

    def _mark(self) -> None:
        metadata = self.pod["metadata"]
        text = ",".join(f"{place}={dataset}" for place, dataset in sorted(self._done.items()))
        metadata["annotations"] = (
            (metadata.get("annotations") or {}) | self._settings.annotations | {INJECTED: text}
        )

    # --- all of them

    def propagate(self) -> None:
        """Let every container that mounts a dataset's volume see mounts that are made later; also
        one that another webhook added since."""
        if not self._way.propagates:
            return
        for container in self._apps():
            for mount in container.get("volumeMounts") or ():
                if mount["name"] in self._done:
                    mount["mountPropagation"] = "HostToContainer"
                    mount.pop("recursiveReadOnly", None)  # which forbids propagation


def _is_ours(name: str) -> bool:
    return name.startswith(SIDECAR) and _number_of(name) >= 0


def _number_of(name: str) -> int:
    """The number of a sidecar or one of its volumes; -1 for whatever else has this name."""
    for kind in (SIDECAR, CACHE_VOLUME, RUN_VOLUME):
        number = name.removeprefix(kind)
        if number != name and number.isdecimal() and number.isascii():
            return int(number)
    return -1
