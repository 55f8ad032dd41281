"""The container that serves one dataset to a pod."""

from typing import Any, Final

import msgspec

from meshcache.agent.webhook.names import CACHE_VOLUME, SIDECAR
from meshcache.agent.webhook.settings import SidecarSettings

Container = dict[str, Any]
Volume = dict[str, Any]

MOUNTS: Final = "/meshcache"
"""Where a sidecar has its mounts; the volumes that show them to the app are mounted there."""

CACHE: Final = "/var/cache/meshcache"

_READS_THE_MOUNT: Final = 'grep -qs " $0 fuse" /proc/self/mountinfo && ls "$0" >/dev/null'
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
    def mountpoint(self) -> str:
        return f"{MOUNTS}/{self.volume}"


def container(served: Served, settings: SidecarSettings, key: str) -> Container:
    """The sidecar; `key` is what it proves itself with to the mesh."""
    made: Container = {
        "name": served.name,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": _arguments(served, settings),
        "env": _environment(settings, key),
        "resources": settings.resources,
        "volumeMounts": [
            {"name": served.cache_volume, "mountPath": CACHE},
            *_mounts(served, settings),
        ],
    }
    if settings.lifecycle == "native":
        made["restartPolicy"] = "Always"
    made |= _probes(served, settings)
    if settings.mode == "privileged":
        made["securityContext"] = {
            "privileged": True,
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
        }
    return made | settings.container


def volumes(served: Served, settings: SidecarSettings) -> list[Volume]:
    """The volumes that a sidecar brings along, beside the one that it serves."""
    shown = [{"name": name, "emptyDir": {}} for name in served.subpaths.values()]
    limit = settings.cache_size.removesuffix("B")
    return [{"name": served.cache_volume, "emptyDir": {"sizeLimit": limit}}, *shown]


def _arguments(served: Served, settings: SidecarSettings) -> list[str]:
    if settings.mode == "none":
        port = settings.http_port + served.number
        return ["agent", "--role", "guest", "--listen", f"127.0.0.1:{port}", "--open-reads"]
    binds = [f"--bind={path}={MOUNTS}/{volume}" for path, volume in served.subpaths.items()]
    ends = [f"--until-alone={served.alone_for}"] if served.alone_for else []
    return ["mount", "--guest", *ends, *binds, served.dataset, served.mountpoint]


def _environment(settings: SidecarSettings, key: str) -> list[dict[str, Any]]:
    pod = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
    values = {
        "MESHCACHE_JOIN": ",".join(settings.join),
        "MESHCACHE_GUEST_KEY": key,
        "MESHCACHE_CACHE_DIR": CACHE,
        "MESHCACHE_CACHE_SIZE": settings.cache_size,
        **settings.env,
    }
    given = [{"name": name, "value": value} for name, value in values.items() if value]
    return [{"name": "MESHCACHE_NAME", "valueFrom": pod}, *given]


def _mounts(served: Served, settings: SidecarSettings) -> list[dict[str, Any]]:
    if settings.mode == "none":
        return []
    propagates = {"mountPropagation": "Bidirectional"} if settings.mode == "privileged" else {}
    places = [served.volume, *served.subpaths.values()]
    return [{"name": name, "mountPath": f"{MOUNTS}/{name}"} | propagates for name in places]


def _probes(served: Served, settings: SidecarSettings) -> dict[str, Any]:
    if settings.mode == "none":
        port = settings.http_port + served.number
        check: dict[str, Any] = {
            "exec": {"command": ["meshcache", "status", "--agent", f"http://127.0.0.1:{port}"]}
        }
    else:
        check = {"exec": {"command": ["sh", "-c", _READS_THE_MOUNT, served.mountpoint]}}
    # A native sidecar holds the app back until this succeeds: two minutes for a first listing.
    return {
        "startupProbe": check | {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 120}
    }
