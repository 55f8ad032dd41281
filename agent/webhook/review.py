"""AdmissionReview v1: what the API server asks, and what it is told.

https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

import base64
from collections.abc import Callable
from typing import Any

import msgspec

from meshcache.agent.webhook import shape
from meshcache.agent.webhook.asks import Pod
from meshcache.agent.webhook.inject import Injection, inject
from meshcache.agent.webhook.settings import SidecarSettings
from meshcache.errors import InvalidInput

VERSION = "admission.k8s.io/v1"

PATCHED = (
    "metadata.annotations",
    "spec.volumes",
    "spec.initContainers",
    "spec.containers",
    "spec.shareProcessNamespace",
)
"""What an injection may change, as paths in the pod."""


class Request(msgspec.Struct):
    """The part of an AdmissionRequest that matters here."""

    uid: str
    namespace: str = ""
    object: dict[str, Any] | None = None
    """The pod; None if it is about something else."""


class Review(msgspec.Struct, rename={"api_version": "apiVersion"}):
    """An AdmissionReview as it comes in."""

    request: Request
    api_version: str = ""


_decode = msgspec.json.Decoder(Review).decode


class Allowed(msgspec.Struct, frozen=True):
    """The datasets that there are, and who may use them."""

    names: Callable[[str], bool]
    """Whether there is a dataset of this name."""
    namespaces: Callable[[str], tuple[str, ...]]
    """The namespaces that may use it; none named: all."""
    callers_known: bool
    """Whether only the API server can ask, so that the namespace in a question is the pod's."""


def read(body: bytes) -> Request:
    """What an AdmissionReview asks.

    Raises:
        InvalidInput: the body is none of a version that is spoken here, or its pod is none.
    """
    try:
        review = _decode(body)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"no AdmissionReview: {error}") from error
    if review.api_version != VERSION:
        raise InvalidInput(f"speaks {VERSION}, and was asked in {review.api_version!r}")
    pod = review.request.object
    if pod is not None and pod.get("kind") == "Pod":
        shape.check(pod)
    else:
        review.request.object = None  # of no concern
    return review.request


def answer(
    request: Request, settings: SidecarSettings, allowed: Allowed, key_for: Callable[[str], str]
) -> dict[str, Any]:
    """The AdmissionReview that answers a request."""
    pod = request.object
    if pod is None:
        return _answer(request, {"allowed": True})
    try:
        done = inject(pod, settings, is_dataset=allowed.names, key_for=key_for)
        for dataset in done.datasets:
            _check_namespace(dataset, request.namespace, allowed)
    except InvalidInput as error:
        refusal = {"code": 403, "reason": "Forbidden", "message": f"meshcache: {error}"}
        return _answer(request, {"allowed": False, "status": refusal})
    return _answer(request, {"allowed": True} | _patch(pod, done))


def _check_namespace(dataset: str, namespace: str, allowed: Allowed) -> None:
    may = allowed.namespaces(dataset)
    if may and namespace not in may:
        raise InvalidInput(
            f"dataset {dataset!r} is not for namespace {namespace!r}: whoever keeps the dataset "
            "lists the namespaces that may use it"
        )
    if may and not allowed.callers_known:
        raise InvalidInput(
            f"dataset {dataset!r} is for some namespaces alone, and this webhook cannot tell the "
            "API server from others that ask: start it with --client-ca, or with --trust-callers "
            "where the network lets only the API server ask"
        )


def _patch(pod: Pod, done: Injection) -> dict[str, Any]:
    operations = []
    for path in PATCHED:
        group, _, field = path.partition(".")
        after = done.pod[group].get(field)
        if after != pod.get(group, {}).get(field):
            # RFC 6902, 4.1: adding a member that exists replaces it.
            operations.append({"op": "add", "path": f"/{group}/{field}", "value": after})
    given: dict[str, Any] = {}
    if operations:
        patch = base64.b64encode(msgspec.json.encode(operations)).decode()
        given |= {"patchType": "JSONPatch", "patch": patch}
    if done.warnings:
        # The API server passes on 256 characters of each and 4096 in all.
        given["warnings"] = [f"meshcache: {text}"[:256] for text in done.warnings[:16]]
    return given


def _answer(request: Request, response: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": VERSION,
        "kind": "AdmissionReview",
        "response": {"uid": request.uid} | response,
    }
