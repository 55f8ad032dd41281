"""What the operator decides about sidecars: the file that `meshcache webhook --config` reads."""

from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml
from pydantic import ConfigDict, Field

from meshcache import __version__
from meshcache.errors import InvalidInput

Mode = Literal["privileged", "platform", "fd", "none"]
Lifecycle = Literal["native", "classic"]


class SidecarSettings(pydantic.BaseModel):
    """How sidecars are made. The file's keys are these names with dashes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-")
    )

    image: str = f"meshcache:{__version__}"
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    mode: Mode = "privileged"
    """privileged: the sidecar mounts, and the mount propagates into the app's containers. platform:
    the platform gives device and propagation by `container` and `annotations`. fd: a driver of
    the platform's mounts, `fd_volume`, and hands the device to an unprivileged sidecar. none: no
    FUSE, the app reads over HTTP from its own pod."""
    lifecycle: Lifecycle = "native"
    """native: an init container with restartPolicy Always (Kubernetes 1.29 and newer). classic: an
    ordinary container, for older ones."""
    join: list[str] = Field(default_factory=list)
    """Members to join by, HOST[:PORT]: the headless Service of the agents."""
    cache_size: str = "1GiB"
    """What a sidecar may keep, in an emptyDir that is the pod's."""
    resources: dict[str, Any] = Field(
        default_factory=lambda: {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"memory": "1Gi"},
        }
    )
    env: dict[str, str] = Field(default_factory=dict)
    """More variables of the sidecar; ECI's ECI_CONTAINER_TYPE, say."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """More annotations of the pod, for platforms that are asked by them."""
    container: dict[str, Any] = Field(default_factory=dict)
    """More fields of the sidecar's container: a vendor's device, a securityContext."""
    fd_volume: dict[str, Any] = Field(default_factory=dict)
    """mode fd: what the dataset's volume is made of (``csi: {...}``); in its strings ``{dataset}``
    and ``{socket}`` stand for the dataset's name and the sidecar's socket."""
    http_port: int = Field(default=17440, ge=1, le=65535)
    """mode none: the first sidecar's port on 127.0.0.1; the next ones follow."""


def load(path: Path | None) -> SidecarSettings:
    """The settings in a YAML file; the defaults without one.

    Raises:
        InvalidInput: the file cannot be read, or says what cannot be.
    """
    if path is None:
        return SidecarSettings()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    try:
        found = SidecarSettings.model_validate(content or {})
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidInput(
            f"{path}: {where}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        ) from None
    if found.mode == "fd" and not found.fd_volume:
        raise InvalidInput(f"{path}: mode fd needs fd-volume: what the platform's driver mounts")
    return found
