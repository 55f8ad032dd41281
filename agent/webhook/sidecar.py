"""The container that serves one dataset to a pod."""

from typing import Any, Final

from meshcache.agent.webhook.modes import WAYS, Served
from meshcache.agent.webhook.settings import SidecarSettings
from meshcache.units import parse_size

Container = dict[str, Any]
Volume = dict[str, Any]

CACHE: Final = "/var/cache/meshcache"


def container(served: Served, settings: SidecarSettings, key: str) -> Container:
    """The sidecar; `key` is what it proves itself with to the mesh."""
    way = WAYS[settings.mode]
    check = {"exec": {"command": way.check(served)}, "timeoutSeconds": 5}
    made: Container = {
        "name": served.name,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": way.arguments(served, settings),
        "env": _environment(settings, key),
        "resources": settings.resources,
        "volumeMounts": [
            {"name": served.cache_volume, "mountPath": CACHE},
            *way.mounts(served),
        ],
        # A native sidecar holds the app back until this succeeds: two minutes for a first listing.
        "startupProbe": check | {"periodSeconds": 1, "failureThreshold": 120},
        # A mount that hangs for two minutes is made anew.
        "livenessProbe": check | {"periodSeconds": 30, "failureThreshold": 4},
    }
    if settings.lifecycle == "native":
        made["restartPolicy"] = "Always"
    if way.security:
        made["securityContext"] = way.security
    return made | settings.container


def volumes(served: Served, settings: SidecarSettings) -> list[Volume]:
    """The volumes of a sidecar: the dataset's, and those that it brings along."""
    way = WAYS[settings.mode]
    limit = str(parse_size(settings.cache_size))
    source = way.source(served, settings)
    made = [{"name": name} | source for name in (served.volume, *served.subpaths.values())]
    made.append({"name": served.cache_volume, "emptyDir": {"sizeLimit": limit}})
    if any(mount["name"] == served.run_volume for mount in way.mounts(served)):
        made.append({"name": served.run_volume, "emptyDir": {"medium": "Memory"}})
    return made


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
