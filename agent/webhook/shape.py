"""The parts of a pod that are read here, as the API server sends them.

It has checked them already; whoever else asks may send anything.
"""

from typing import Any

import msgspec

from meshcache.errors import InvalidInput


class _Metadata(msgspec.Struct):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Claim(msgspec.Struct, rename="camel"):
    claim_name: str


class _Volume(msgspec.Struct, rename="camel"):
    name: str
    persistent_volume_claim: _Claim | None = None


class _VolumeMount(msgspec.Struct, rename="camel"):
    name: str
    mount_path: str
    sub_path: str | None = None
    sub_path_expr: str | None = None


class _Variable(msgspec.Struct):
    name: str


class _Container(msgspec.Struct, rename="camel"):
    name: str
    volume_mounts: list[_VolumeMount] | None = None
    env: list[_Variable] | None = None


class _Spec(msgspec.Struct, rename="camel"):
    containers: list[_Container]
    init_containers: list[_Container] | None = None
    volumes: list[_Volume] | None = None
    restart_policy: str = "Always"
    host_pid: bool = msgspec.field(name="hostPID", default=False)


class _Pod(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec


def check(pod: dict[str, Any]) -> None:
    """Refuse what is no pod.

    Raises:
        InvalidInput: a field that is read here is missing, or of another type.
    """
    try:
        msgspec.convert(pod, _Pod)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"no pod: {error}") from error
