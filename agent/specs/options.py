"""Fluid's engines' names of options, and ours: one table for each (docs/datasets.md shows them)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshcache.errors import InvalidInput
from meshcache.origin import open as origins

OPTIONS: dict[str, str] = {name: name for name in sorted(origins.OPTIONS)} | {
    "alluxio.underfs.s3.endpoint": "endpoint",
    "fs.oss.endpoint": "endpoint",
    "fs.s3.endpoint": "endpoint",
    "fs.s3a.endpoint": "endpoint",
    "fs.cos.endpoint": "endpoint",
    "fs.cosn.bucket.endpoint_suffix": "endpoint",
    "fs.obs.endpoint": "endpoint",
    "fs.gcs.endpoint": "endpoint",
    "minio-url": "endpoint",
    "endpoint_url": "endpoint",
    "alluxio.underfs.s3.endpoint.region": "region",
    "alluxio.underfs.s3.region": "region",
    "fs.oss.region": "region",
    "fs.s3.region": "region",
    "fs.s3a.endpoint.region": "region",
    "fs.cos.region": "region",
    "fs.cosn.bucket.region": "region",
    "fs.cosn.userinfo.region": "region",
    "fs.obs.region": "region",
    "region_name": "region",
}
"""An engine's name -> ours."""

PATH_STYLE = (
    "alluxio.underfs.s3.disable.dns.buckets",
    "fs.s3a.path.style.access",
    "path_style",
)
"""Names whose truth is ``addressing=path``, and whose untruth ``addressing=virtual``."""

SECRETS: dict[str, str] = {name: name for name in sorted(origins.SECRETS)} | {
    "aws.accessKeyId": "access_key",
    "s3a.accessKeyId": "access_key",
    "fs.oss.accessKeyId": "access_key",
    "fs.s3.accessKeyId": "access_key",
    "fs.s3a.access.key": "access_key",
    "fs.cos.accessKeyId": "access_key",
    "fs.cosn.userinfo.secretId": "access_key",
    "fs.obs.accessKey": "access_key",
    "fs.obs.accessKeyId": "access_key",
    "fs.gcs.accessKeyId": "access_key",
    "access-key": "access_key",
    "minio-access-key": "access_key",
    "access": "access_key",
    "aws.secretKey": "secret_key",
    "s3a.secretKey": "secret_key",
    "fs.oss.accessKeySecret": "secret_key",
    "fs.s3.accessKeySecret": "secret_key",
    "fs.s3a.secret.key": "secret_key",
    "fs.cos.accessKeySecret": "secret_key",
    "fs.cosn.userinfo.secretKey": "secret_key",
    "fs.obs.secretKey": "secret_key",
    "fs.obs.accessKeySecret": "secret_key",
    "fs.gcs.secretAccessKey": "secret_key",
    "secret-key": "secret_key",
    "minio-access-secret": "secret_key",
    "secret": "secret_key",
    "aws.sessionToken": "session_token",
    "fs.oss.securityToken": "session_token",
    "fs.s3.securityToken": "session_token",
    "fs.s3a.session.token": "session_token",
}
"""An engine's name of a secret -> ours."""

NO_MEANING = "meshcache has no such option"
_REASONS = {
    "fs.gcs.credential.path": "gs:// is read with interoperability keys: access_key, secret_key",
}

SCHEMES = {"s3a": "s3", "s3n": "s3", "cosn": "cos", "local": "file"}
"""Other spellings of schemes."""

_IN_HOST = (".aliyuncs.com", ".amazonaws.com", ".myqcloud.com", ".myhuaweicloud.com")
"""Services whose names may stand behind a bucket's: ``oss://bucket.oss-cn-x.aliyuncs.com/``."""


class Taken(NamedTuple):
    """What was understood of a map of options."""

    options: dict[str, str]
    untaken: list[tuple[str, str]]
    """(name, why it has no meaning)."""


def options_of(given: Mapping[str, str]) -> Taken:
    """Our options for an engine's.

    Raises:
        InvalidInput: a secret in plain text, a value that cannot be, or two names of one option
            with different values. The message begins with the name, and has no value of a secret.
    """
    found: dict[str, str] = {}
    untaken = []
    for name, value in given.items():
        if name in SECRETS:
            raise InvalidInput(
                f"{name}: a secret in plain text would travel to every member: give it by "
                "encryptOptions, with a secretKeyRef"
            )
        pair = _option(name, value)
        if pair is None:
            untaken.append((name, _REASONS.get(name, NO_MEANING)))
        elif found.setdefault(*pair) != pair[1]:
            raise InvalidInput(f"{name}: the {pair[0]} is given twice, and not the same")
    return Taken(found, untaken)


def _option(name: str, value: str) -> tuple[str, str] | None:
    if name in PATH_STYLE:
        styles = {"true": "path", "false": "virtual"}
        if value.lower() not in styles:
            raise InvalidInput(f"{name}: it is true or false, not {value!r}")
        return "addressing", styles[value.lower()]
    ours = OPTIONS.get(name)
    if ours is None:
        return None
    return (ours, endpoint_of(value)) if ours == "endpoint" else (ours, value)


def endpoint_of(text: str) -> str:
    """An endpoint with its scheme; engines leave it out, and then a port means no TLS."""
    if "://" in text or not text:
        return text
    host, _, port = text.partition("/")[0].rpartition(":")
    return f"http://{text}" if host and port != "443" else f"https://{text}"


def secrets_of(given: Iterable[tuple[str, str]]) -> Taken:
    """Our secret options for an engine's, from (name, reference) pairs.

    Raises:
        InvalidInput: two names of one secret with different references.
    """
    found: dict[str, str] = {}
    untaken = []
    for name, reference in given:
        ours = SECRETS.get(name)
        if ours is None:
            untaken.append((name, "meshcache has no such secret option"))
        elif found.setdefault(ours, reference) != reference:
            raise InvalidInput(f"{name}: the {ours} is given twice, and not the same")
    return Taken(found, untaken)


def url_of(mount_point: str) -> tuple[str, dict[str, str]]:
    """A mountPoint as an origin's URL, and the options that are in it."""
    scheme, separator, rest = mount_point.partition("://")
    scheme = SCHEMES.get(scheme.lower(), scheme)
    if not separator:
        return mount_point, {}
    host, slash, path = rest.partition("/")
    if scheme == "dataset":
        # Fluid's is dataset://NAMESPACE/NAME/PATH.
        return f"{scheme}://{path}", {}
    bucket, dot, service = host.partition(".")
    if scheme in ("s3", "oss", "cos", "obs") and dot and host.endswith(_IN_HOST):
        return f"{scheme}://{bucket}{slash}{path}", {"endpoint": f"https://{service}"}
    return f"{scheme}://{rest}", {}
