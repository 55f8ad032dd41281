"""How a sidecar gets the data to the app, by how much privilege it is given."""

import json
from typing import Any, Final, Protocol

import msgspec

from meshcache.agent.webhook.names import CACHE_VOLUME, RUN_VOLUME, SIDECAR
from meshcache.agent.webhook.settings import Mode, SidecarSettings

MOUNTS: Final = "/meshcache"
"""Where a sidecar has its mounts; the volumes that show them to the app are mounted there."""

RUN: Final = "/run/meshcache"
"""Where a sidecar has its agent's socket, gets a mounted device handed in, and keeps its volumes in
reach of the sidecar that comes after it was killed."""

_UNMEASURED: Final = {"medium": "Memory"}
"""The kubelet measures a volume on disk by its files, those of a mount that lies over it: it would
count the dataset as the pod's ephemeral storage, and evict the pod."""

_READS_THE_MOUNT: Final = 'grep -qs " $0 fuse" /proc/self/mounts && ls "$0" >/dev/null'
"""Ready is what answers: a mount that is there and hangs is not."""


class Served(msgspec.Struct, frozen=True):
    """What one sidecar serves."""

    number: int
    dataset: str
    volume: str
    alone_for: int
    """Seconds without another program after which it ends; 0: it ends when it is told to."""
    subpaths: dict[str, str]
    """Folder of the dataset -> the volume that shows it alone."""

    @property
    def name(self) -> str:
        return f"{SIDECAR}{self.number}"

    @property
    def cache_volume(self) -> str:
        return f"{CACHE_VOLUME}{self.number}"

    @property
    def run_volume(self) -> str:
        return f"{RUN_VOLUME}{self.number}"

    @property
    def mountpoint(self) -> str:
        return f"{MOUNTS}/{self.volume}"


class Way(Protocol):
    """One way to get the data to the app."""

    splits_subpaths: bool
    """Whether a folder of a dataset gets a volume of its own."""
    propagates: bool
    """Whether a mount that the sidecar makes reaches the app's containers by Kubernetes' means."""
    security: dict[str, Any]
    """The sidecar's securityContext."""

    def source(self, served: Served, settings: SidecarSettings) -> dict[str, Any]:
        """What the dataset's volume is made of."""

    def arguments(self, served: Served, settings: SidecarSettings) -> list[str]:
        """Of the program `meshcache`."""

    def mounts(self, served: Served) -> list[dict[str, Any]]:
        """The sidecar's volumeMounts beside its cache."""

    def check(self, served: Served) -> list[str]:
        """A command that succeeds when the data can be read."""

    def variables(self, served: Served, settings: SidecarSettings) -> dict[str, str]:
        """What the app is told, as environment variables."""


class _Fuse:
    """The sidecar mounts, and the mount propagates into the app's containers."""

    def __init__(self, *, privileged: bool) -> None:
        self.splits_subpaths = self.propagates = privileged
        as_root = {"privileged": True, "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}
        self.security: dict[str, Any] = as_root if privileged else {}

    def source(self, served: Served, settings: SidecarSettings) -> dict[str, Any]:
        return {"emptyDir": _UNMEASURED if self.propagates else {}}

    def arguments(self, served: Served, settings: SidecarSettings) -> list[str]:
        binds = [f"--bind={path}={MOUNTS}/{volume}" for path, volume in served.subpaths.items()]
        reach = [f"--reach={RUN}"] if self.propagates else []
        return [*_mount(served), "--volume", *reach, *binds, served.dataset, served.mountpoint]

    def mounts(self, served: Served) -> list[dict[str, Any]]:
        places = {name: f"{MOUNTS}/{name}" for name in (served.volume, *served.subpaths.values())}
        more = {}
        if self.propagates:
            more = {"mountPropagation": "Bidirectional"}
            places[served.run_volume] = RUN
        return [{"name": name, "mountPath": place} | more for name, place in places.items()]

    def check(self, served: Served) -> list[str]:
        return ["sh", "-c", _READS_THE_MOUNT, served.mountpoint]

    def variables(self, served: Served, settings: SidecarSettings) -> dict[str, str]:
        return {}


_UNPRIVILEGED: Final[dict[str, Any]] = {
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What the pod-security level `restricted` asks for."""


class _Descriptor:
    """A driver of the platform's mounts the volume, and hands the device to the sidecar."""

    splits_subpaths = propagates = False
    security = _UNPRIVILEGED

    def source(self, served: Served, settings: SidecarSettings) -> dict[str, Any]:
        words = {"{dataset}": served.dataset, "{socket}": _socket(served)}
        text = json.dumps(settings.fd_volume)
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        source: dict[str, Any] = json.loads(text)
        return source

    def arguments(self, served: Served, settings: SidecarSettings) -> list[str]:
        given = [f"--fd-socket={_socket(served)}", f"--ready-file={RUN}/ready"]
        return [*_mount(served), *given, served.dataset]

    def mounts(self, served: Served) -> list[dict[str, Any]]:
        return [{"name": served.run_volume, "mountPath": RUN}]

    def check(self, served: Served) -> list[str]:
        return ["test", "-e", f"{RUN}/ready"]

    def variables(self, served: Served, settings: SidecarSettings) -> dict[str, str]:
        return {}


class _Http:
    """No mount: the app reads over HTTP from its own pod."""

    splits_subpaths = propagates = False
    security = _UNPRIVILEGED

    def source(self, served: Served, settings: SidecarSettings) -> dict[str, Any]:
        return {"emptyDir": {}}

    def arguments(self, served: Served, settings: SidecarSettings) -> list[str]:
        where = f"--listen=127.0.0.1:{settings.http_port + served.number}"
        socket = f"--socket={RUN}/agent.sock"
        reads = ["--role=guest", where, "--gossip=:0", "--open-reads", socket]
        return ["agent", *_ends(served), *reads]

    def mounts(self, served: Served) -> list[dict[str, Any]]:
        return [{"name": served.run_volume, "mountPath": RUN}]

    def check(self, served: Served) -> list[str]:
        return ["meshcache", "ls", f"--socket={RUN}/agent.sock", served.dataset]

    def variables(self, served: Served, settings: SidecarSettings) -> dict[str, str]:
        name = served.dataset.upper().replace("-", "_").replace(".", "_")
        port = settings.http_port + served.number
        url = f"http://127.0.0.1:{port}/v1/datasets/{served.dataset}/files"
        return {f"MESHCACHE_URL_{name}": url}


def _mount(served: Served) -> list[str]:
    return ["mount", "--guest", *_ends(served)]


def _ends(served: Served) -> list[str]:
    return [f"--until-alone={served.alone_for}"] if served.alone_for else []


def _socket(served: Served) -> str:
    return f"{RUN}/fd.sock"


WAYS: Final[dict[Mode, Way]] = {
    "privileged": _Fuse(privileged=True),
    "platform": _Fuse(privileged=False),
    "fd": _Descriptor(),
    "none": _Http(),
}
