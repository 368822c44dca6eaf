"""What is raised where the authority gives no answer."""

from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DOMAIN = "token.casapay.com"

# Asking again does not help: the program, its settings or its certificate must change.
_MISTAKES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


class AuthorityError(Exception):
    """A call that was not answered with what it asked for. Never holds a key."""

    code: grpc.StatusCode
    reason: str | None
    """As the contract lists them, such as `TOKEN_NOT_FOUND`; None where the authority itself did not answer."""
    field: str | None
    """The field that is at fault, where one is."""
    message: str
    request_id: str | None
    """Of a `create` whose outcome is unknown: given again, it answers the token that may have been made."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str | None = None,
        field: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.reason = reason
        self.field = field
        self.request_id = request_id

    @property
    def is_mistake(self) -> bool:
        """Whether asking again is of no use: the question, the settings or the certificate is wrong. Else an outage."""
        return self.code in _MISTAKES

    def __str__(self) -> str:
        return ", ".join(filter(None, [self.code.name, self.reason])) + f": {self.message}"


class Undecided(AuthorityError):
    """Nothing was decided about a key. It says nothing about the key: never tell its bearer that it is bad."""


def error_from_rpc(error: grpc.RpcError) -> AuthorityError:
    """What a call that failed says: its status, and the google.rpc.ErrorInfo where there is one."""
    # Pairs in both of gRPC's clients, whatever their types say.
    metadata: Any = error.trailing_metadata() or ()
    info = _error_info(dict(metadata).get("grpc-status-details-bin"))
    return AuthorityError(
        error.code(),
        error.details() or "no details",
        reason=info.reason or None,
        field=info.metadata.get("field"),
    )


def client_closed() -> AuthorityError:
    return AuthorityError(grpc.StatusCode.CANCELLED, "the client was closed")


def client_forked() -> AuthorityError:
    """A call would never be answered: the threads of gRPC stayed behind in the other process."""
    message = "the client made its first call before this process was forked: make it after the fork"
    return AuthorityError(grpc.StatusCode.FAILED_PRECONDITION, message)


def client_elsewhere() -> AuthorityError:
    message = "the client made its first call in another event loop: each loop needs a client of its own"
    return AuthorityError(grpc.StatusCode.FAILED_PRECONDITION, message)


def _error_info(details: str | bytes | None) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    try:
        status = status_pb2.Status.FromString(details if isinstance(details, bytes) else b"")
        for detail in status.details:
            found = error_details_pb2.ErrorInfo()
            if detail.Unpack(found) and found.domain == _DOMAIN:
                info = found
    except DecodeError:
        pass
    return info
