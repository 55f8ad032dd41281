"""What an answer or an exception of the S3 client means, as an error of ours: one table."""

import re
import ssl
from typing import Any

import aiohttp

from meshcache.errors import (
    ObjectChanged,
    OriginDenied,
    OriginError,
    OriginFailed,
    OriginNotFound,
    OriginUnreachable,
)
from meshcache.http import BadAnswer
from meshcache.origin.attempts import Transient
from meshcache.origin.causes import cause_of

_REGION_HINT = "it is in another region: set the option region"
_KEYS_HINT = "check access_key and secret_key"

_CODES: dict[str, tuple[type[OriginError], str]] = {
    "NoSuchBucket": (OriginNotFound, "there is no such bucket"),
    "InvalidBucketName": (OriginNotFound, "there is no such bucket"),
    "NoSuchKey": (ObjectChanged, "the object is gone"),
    "NoSuchVersion": (ObjectChanged, "the object is gone"),
    "PreconditionFailed": (ObjectChanged, "the object was replaced"),
    "InvalidRange": (ObjectChanged, "the object has become shorter"),
    "InvalidObjectState": (OriginFailed, "the object is archived: restore it first"),
    "AccessDenied": (OriginDenied, "access denied"),
    "AllAccessDisabled": (OriginDenied, "access denied"),
    "InvalidAccessKeyId": (OriginDenied, f"unknown access key: {_KEYS_HINT}"),
    "SignatureDoesNotMatch": (OriginDenied, f"wrong secret key: {_KEYS_HINT}"),
    "ExpiredToken": (OriginDenied, "the session token has expired"),
    "InvalidToken": (OriginDenied, "the session token is not valid"),
    "RequestTimeTooSkewed": (OriginDenied, "this machine's clock is wrong"),
    "PermanentRedirect": (OriginFailed, _REGION_HINT),
    "TemporaryRedirect": (OriginFailed, _REGION_HINT),
    "AuthorizationHeaderMalformed": (OriginFailed, _REGION_HINT),
    "IllegalLocationConstraintException": (OriginFailed, _REGION_HINT),
}

_STATUSES: dict[int, tuple[type[OriginError], str]] = {
    301: (OriginFailed, _REGION_HINT),
    401: (OriginDenied, "access denied"),
    403: (OriginDenied, "access denied"),
    404: (ObjectChanged, "the object is gone"),
    412: (ObjectChanged, "the object was replaced"),
    416: (ObjectChanged, "the object has become shorter"),
}

_WORD = re.compile(r"[A-Za-z0-9.]{1,64}")


def failure(where: str, error: Exception) -> Exception:
    """The error of ours that stands for `error`, as `Transient` if it may pass.

    No text of the server is passed on but its error code: a message may hold what was signed.
    A timeout stays a TimeoutError, for `in_attempts`.
    """
    from botocore import exceptions as b
    from botocore.parsers import ResponseParserError

    if isinstance(error, b.ClientError):
        return _answered(where, error.response)
    if isinstance(error, (b.ConnectTimeoutError, b.ReadTimeoutError, TimeoutError)):
        return TimeoutError(where)
    if isinstance(error, b.NoCredentialsError):
        return OriginDenied(
            f"{where}: this node has no credentials: give the secret options access_key and "
            "secret_key, or the option anonymous=true"
        )
    if isinstance(error, _credential_errors()):
        return OriginDenied(f"{where}: this node's own credentials cannot be used")
    if isinstance(error, b.ParamValidationError):
        return OriginNotFound(f"{where}: no bucket can have that name")
    if isinstance(error, ResponseParserError):
        return Transient(OriginFailed(f"{where}: the answer cannot be read; is this S3?"))
    if isinstance(error, BadAnswer):
        return Transient(OriginFailed(f"{where}: {error}"))
    if isinstance(error, (b.SSLError, ssl.SSLError)):
        return OriginUnreachable(f"{where}: {cause_of(error)}")
    if isinstance(error, (b.HTTPClientError, b.ConnectionError, aiohttp.ClientError, OSError)):
        # Refused and broken connections; of a listing's body the errors are aiohttp's own.
        return Transient(OriginUnreachable(f"{where}: {cause_of(error)}"))
    return OriginFailed(f"{where}: the S3 client gave up ({type(error).__name__})")


def is_refused(error: Exception) -> bool:
    """Whether a server does not take a request as it is: S3's answer to a parameter that this kind
    of bucket does not have is 400 or 501."""
    from botocore.exceptions import ClientError

    return isinstance(error, ClientError) and _status(error.response) in (400, 501)


def _status(response: dict[str, Any]) -> int:
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _credential_errors() -> tuple[type[Exception], ...]:
    from botocore import exceptions as b

    return (
        b.PartialCredentialsError,
        b.CredentialRetrievalError,
        b.ConfigNotFound,
        b.ProfileNotFound,
        b.InvalidConfigError,
        b.MetadataRetrievalError,
        b.TokenRetrievalError,
    )


def _answered(where: str, response: dict[str, Any]) -> Exception:
    status = _status(response)
    code = str(response.get("Error", {}).get("Code", ""))
    code = code if _WORD.fullmatch(code) else ""
    told = f"HTTP {status}" if code in ("", str(status)) else f"{code}, HTTP {status}"
    cls, meaning = _CODES.get(code) or _STATUSES.get(status) or (OriginFailed, "it failed")
    ours = cls(f"{where}: {meaning} ({told})")
    passes = (status >= 500 and status != 501) or status == 429 or code == "SlowDown"
    return Transient(ours) if passes else ours
