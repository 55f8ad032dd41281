"""Which HTTP status an error becomes: the one table.

The body says more: ``{"error": "<class name>", "message": "<one line>"}``, from which a client
makes the same error again (`meshcache.errors.from_wire`).
"""

from http import HTTPStatus

from meshcache import errors
from meshcache.errors import MeshcacheError

STATUSES: dict[type[MeshcacheError], HTTPStatus] = {
    errors.CallerError: HTTPStatus.BAD_REQUEST,
    errors.DatasetNotFound: HTTPStatus.NOT_FOUND,
    errors.PathNotFound: HTTPStatus.NOT_FOUND,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.DatasetExists: HTTPStatus.CONFLICT,
    errors.LoadExists: HTTPStatus.CONFLICT,
    errors.DatasetBusy: HTTPStatus.CONFLICT,
    errors.KeyStepTooEarly: HTTPStatus.CONFLICT,
    errors.TooManyWatchers: HTTPStatus.TOO_MANY_REQUESTS,
    errors.ProofInvalid: HTTPStatus.UNAUTHORIZED,
    errors.Refused: HTTPStatus.FORBIDDEN,
    errors.OriginError: HTTPStatus.BAD_GATEWAY,
    errors.ObjectChanged: HTTPStatus.CONFLICT,
    errors.PeerError: HTTPStatus.BAD_GATEWAY,
    errors.BlockNotHeld: HTTPStatus.NOT_FOUND,
    errors.BlockElsewhere: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    errors.AgentUnreachable: HTTPStatus.BAD_GATEWAY,
    errors.MeshcacheError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def status_of(error: MeshcacheError) -> HTTPStatus:
    """The status of the error's own class, else of the nearest class above it in the table."""
    return next(STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)


def body_of(error: MeshcacheError) -> dict[str, str]:
    """The JSON body of an answer that is an error."""
    return {"error": type(error).__name__, "message": str(error)}
