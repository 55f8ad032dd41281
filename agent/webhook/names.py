"""The labels, annotations and names by which pods and the webhook know each other."""

from hashlib import blake2b
from typing import Final

INJECT: Final = "meshcache.io/inject"
"""Label: ``true`` asks for injection, ``false`` refuses it, whatever else the pod carries."""

ASKING: Final = {
    INJECT: "true",
    "serverless.fluid.io/inject": "true",
    "alibabacloud.com/fluid-sidecar-target": "eci",
}
"""Labels that ask for injection: ours, Fluid's, and ECI's."""

REFUSING: Final = {INJECT: "false", "fluid.io/enable-injection": "false"}
"""Labels that refuse it."""

DATASETS: Final = "meshcache.io/datasets"
"""Annotation: ``NAME:/PATH[:ro],...``; asks for datasets without a PVC, and needs no label."""

INJECTED: Final = "meshcache.io/injected"
"""Annotation, written by the webhook: ``VOLUME=NAME,...``, what it has put in."""

MIRROR: Final = "kubernetes.io/config.mirror"
"""Annotation of the kubelet's: the pod comes from a file on its node."""

SIDECAR: Final = "meshcache-fuse-"
"""What the names of the sidecar containers begin with; a number follows."""

CACHE_VOLUME: Final = "meshcache-cache-"
"""Likewise the volumes that their agents keep blocks in."""

RUN_VOLUME: Final = "meshcache-run-"
"""Likewise the volumes for sockets, and for what a sidecar leaves to the next."""


def label_of(name: str, *more: str) -> str:
    """A DNS label (a volume's name) that begins with `name`: the same for the same words, so that
    a second pass finds what the first one made."""
    digest = blake2b("\0".join((name, *more)).encode(), digest_size=4).hexdigest()
    return f"{name.replace('.', '-')[:54].rstrip('-')}-{digest}"
