"""What of a pod does not go with what it asks for: refused, or warned of."""

from collections.abc import Iterator, Sequence

from meshcache.agent.webhook.asks import Ask, Container, Pod, containers
from meshcache.agent.webhook.settings import SidecarSettings
from meshcache.errors import InvalidInput


def check(pod: Pod, asks: Sequence[Ask], settings: SidecarSettings) -> None:
    """Refuse a pod that could not have what it asks for.

    Raises:
        InvalidInput: with the reason, for whoever made the pod.
    """
    spec = pod["spec"]
    if asks and (spec.get("os") or {}).get("name") == "windows":
        raise InvalidInput("a pod of Windows has no FUSE: datasets are for pods of Linux")
    if asks and settings.mode == "privileged" and spec.get("hostUsers") is False:
        raise InvalidInput(
            "hostUsers: false: a mount made in a user namespace does not reach the app's "
            "containers, which would see an empty folder; leave hostUsers away"
        )
    volumes = {ask.volume: ask.dataset for ask in asks}
    for container in containers(pod):
        for device in container.get("volumeDevices") or ():
            if device.get("name") in volumes:
                raise InvalidInput(
                    f"container {container['name']!r} wants dataset "
                    f"{volumes[device['name']]!r} as a block device: it is a folder"
                )


def warnings(pod: Pod, served: dict[str, str], settings: SidecarSettings) -> Iterator[str]:
    """What will not work as it may be meant.

    Args:
        pod: as it is to be.
        served: volume -> dataset.
        settings: how sidecars are made.
    """
    if served and settings.mode == "none" and pod["spec"].get("hostNetwork"):
        yield (
            "it shares its node's network: another pod with a dataset on the same node finds port "
            f"{settings.http_port} taken"
        )
    for container in containers(pod):
        yield from _mounts_within(container, served)


def _mounts_within(container: Container, served: dict[str, str]) -> Iterator[str]:
    mounts = container.get("volumeMounts") or ()
    datasets = {
        one["mountPath"].rstrip("/"): one["name"] for one in mounts if one["name"] in served
    }
    for mount in mounts:
        for path, volume in datasets.items():
            if mount["mountPath"].startswith(f"{path}/"):
                yield (
                    f"container {container['name']!r} mounts {mount['name']!r} at "
                    f"{mount['mountPath']}, within dataset {served[volume]!r}: it starts only if "
                    "the dataset has a folder there"
                )
