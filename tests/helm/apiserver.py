"""A small API server for Helm: it keeps objects by their paths. A fake, not Kubernetes.

It knows the kinds that the chart makes by default, and what Helm asks of a server: discovery,
objects one by one, lists by label, and all ways to write. It checks no object, fills in no defaults
and runs no controller. In a patch ``name`` is the key of a list's elements, which is right for what
is here, and whoever applies is the only one who does.
"""

import copy
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.helm import protobuf

Object = dict[str, Any]

KINDS = {
    "v1": {
        "configmaps": "ConfigMap",
        "namespaces": "Namespace",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "apps/v1": {"daemonsets": "DaemonSet"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "admissionregistration.k8s.io/v1": {
        "mutatingwebhookconfigurations": "MutatingWebhookConfiguration"
    },
}
"""Version -> resource -> kind."""
CLUSTER_WIDE = {"Namespace", "MutatingWebhookConfiguration"}

_PATH = re.compile(
    "/apis?/(?P<version>.+?)(/namespaces/[^/]+(?=/))?/(?P<resource>[a-z]+)(/(?P<name>[^/]+))?"
)


class Refused(Exception):
    """An answer that is none of 200."""

    def __init__(self, code: int, reason: str, what: str) -> None:
        self.code = code
        self.status = {
            "kind": "Status",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": f"{what}: {reason}",
        }


class Cluster:
    """The objects, and what may be done with them."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        """By path, as /api/v1/namespaces/mc/secrets/NAME."""
        self.url = ""
        self._versions = itertools.count(1)

    def of(self, resource: str) -> dict[str, Object]:
        """The objects of a resource by their names, in all namespaces."""
        paths = [path for path in self.objects if path.split("/")[-2] == resource]
        return {path.split("/")[-1]: self.objects[path] for path in paths}

    def get(self, target: str) -> Object:
        """An object, a list of some, or what a server says of itself. Raises `Refused`."""
        url = urlsplit(target)
        found = _discovery(url.path)
        match = _PATH.fullmatch(url.path)
        if found is not None:
            return found
        if match is None or match["name"]:
            return self._there(url.path)
        kind = KINDS[match["version"]][match["resource"]]
        selector = parse_qs(url.query).get("labelSelector", [""])[0]
        wanted = dict(part.split("=") for part in selector.split(",") if part)
        items = [
            one
            for path, one in self.objects.items()
            if path.rpartition("/")[0] == url.path
            and wanted.items() <= one["metadata"].get("labels", {}).items()
        ]
        return {"kind": f"{kind}List", "apiVersion": match["version"], "items": items}

    def write(self, method: str, path: str, form: str, body: bytes) -> Object:
        """Do as told with an object, and give it. Raises `Refused`."""
        if method == "DELETE":
            return self.objects.pop(path) if self._there(path) else {}
        given = protobuf.secret(body) if form == protobuf.CONTENT_TYPE else yaml.safe_load(body)
        if method == "POST":
            path = f"{path}/{given['metadata']['name']}"
            if path in self.objects:
                raise Refused(409, "AlreadyExists", path)
        elif not form.startswith("application/apply-patch"):
            there = self._there(path)
            given = _merged(there, given) if method == "PATCH" else given
        stored = copy.deepcopy(given)
        stored["metadata"] |= {"uid": path, "resourceVersion": str(next(self._versions))}
        self.objects[path] = stored
        return stored

    def _there(self, path: str) -> Object:
        if path not in self.objects:
            raise Refused(404, "NotFound", path)
        return self.objects[path]


def _discovery(path: str) -> Object | None:
    if path == "/version":
        return {"major": "1", "minor": "37", "gitVersion": "v1.37.0"}
    if path == "/openapi/v2":
        return {}  # no schemas: Helm then checks nothing
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        versions = [{"groupVersion": one, "version": "v1"} for one in KINDS if "/" in one]
        groups = [
            {"name": one["groupVersion"][:-3], "versions": [one], "preferredVersion": one}
            for one in versions
        ]
        return {"kind": "APIGroupList", "groups": groups}
    version = re.sub("^/apis?/", "", path)
    if version not in KINDS:
        return None
    resources = [
        {"name": name, "kind": kind, "namespaced": kind not in CLUSTER_WIDE, "verbs": ["get"]}
        for name, kind in KINDS[version].items()
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def _merged(there: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386), and of a strategic one what Helm says in it."""
    if isinstance(patch, list) and all(isinstance(one, dict) and "name" in one for one in patch):
        merged = {one["name"]: one for one in there or ()}
        for one in patch:
            merged[one["name"]] = _merged(merged.get(one["name"]), one)
        return [one for one in merged.values() if one.get("$patch") != "delete"]
    if not isinstance(patch, dict):
        return patch
    changed = {name: value for name, value in patch.items() if not name.startswith("$setElement")}
    kept = {name: value for name, value in (there or {}).items() if name not in changed}
    return kept | {
        name: _merged((there or {}).get(name), value)
        for name, value in changed.items()
        if value is not None
    }


@contextmanager
def running() -> Iterator[Cluster]:
    """A server on loopback, without TLS."""
    cluster, one_at_a_time = Cluster(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            form = self.headers.get("Content-Type", "")
            try:
                code = 200
                with one_at_a_time:
                    if self.command == "GET":
                        said = cluster.get(self.path)
                    else:
                        said = cluster.write(self.command, urlsplit(self.path).path, form, body)
            except Refused as refused:
                code, said = refused.code, refused.status
            data = json.dumps(said).encode() if said else b""
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        cluster.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()
