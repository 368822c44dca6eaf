"""Middleware for ASGI: Starlette, FastAPI, or anything else that speaks it."""

import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from casapay_token_authority._presented_key import Conflict, presented_key
from casapay_token_authority.aio import AsyncTokenAuthority
from casapay_token_authority.errors import Undecided
from casapay_token_authority.values import Principal, Question, Refusal, RefusalReason

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_CREDENTIALS = (b"authorization", b"x-api-key")
_PRINCIPAL = "casapay.principal"
# Also of one that was cut off where it was copied: what is missing can be computed or guessed.
_KEY_ANYWHERE = re.compile(r"(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{24}")
_PERMISSION = re.compile(r"[a-z][a-z0-9_]{0,62}:(?:read|write)")

_log = logging.getLogger("casapay_token_authority")


class RequireKey:
    """Lets a request through to `app` when the authority decided that its key may pass, and in no other case.

    The key is taken from `Authorization: Bearer`, from `Authorization: Basic` as user name, or from `X-API-Key`; the
    app gets neither header. A refused key is answered with 401 or 403, an outage with 503, and a mistake of this
    service with 500. A WebSocket is refused before it is accepted. `question` is one for all requests, or a function
    that says it for each; what that raises is a mistake.
    """

    def __init__(
        self,
        app: App,
        authority: AsyncTokenAuthority,
        question: Question | Callable[[Scope], Question],
        *,
        timeout: float | None = None,
    ) -> None:
        self._app = app
        self._authority = authority
        self._question = question
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            raise ValueError(f"no rule for requests of type {scope['type']}")
        outcome = await self._decide(scope)
        if isinstance(outcome, Principal):
            headers = [(name, value) for name, value in scope["headers"] if name.lower() not in _CREDENTIALS]
            await self._app({**scope, "headers": headers, _PRINCIPAL: outcome}, receive, send)
        elif scope["type"] == "http":
            await _respond(outcome, scope, send, "http.response")
        else:
            await _refuse_websocket(outcome, scope, receive, send)

    async def _decide(self, scope: Scope) -> "Principal | _Answer":
        """Never raises, but for cancellation."""
        try:
            question = self._question if isinstance(self._question, Question) else self._question(scope)
            key = presented_key(_values(scope, b"authorization"), _values(scope, b"x-api-key"))
            if key is None:
                return _KEY_MISSING
            if isinstance(key, Conflict):
                return _KEYS_CONFLICT
            outcome = await self._authority.authenticate(key, question, timeout=self._timeout)
            return outcome if isinstance(outcome, Principal) else _refused(outcome, question)
        except Undecided as error:
            if not error.is_mistake:
                _log.warning("no decision about a key: %s", error)
                return _UNDECIDED
            _log.error("the authority does not take this service's question: %s", error)
            return _MISCONFIGURED
        except Exception as error:
            # Not its message, which is somebody else's words and may repeat the key.
            _log.error("no decision about a key: %s", type(error).__name__)
            return _MISCONFIGURED


def principal_of(scope: Scope) -> Principal:
    """Who makes this request. Raises `LookupError` where no `RequireKey` let it through."""
    principal = scope.get(_PRINCIPAL)
    if not isinstance(principal, Principal):
        raise LookupError("no RequireKey stands before this app")
    return principal


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    type: str
    code: str
    message: str
    challenge: str | None = None
    """The WWW-Authenticate header (RFC 6750 section 3)."""
    retry_after: bool = False
    required_permissions: tuple[str, ...] | None = None
    """Those that the key must have, where that is why it is refused."""


_INVALID_TOKEN = 'Bearer realm="CasaPay", error="invalid_token"'
_KEY_MISSING = _Answer(
    401,
    "authentication_error",
    "key_missing",
    "No API key was presented: send it as Authorization: Bearer KEY.",
    'Bearer realm="CasaPay"',
)
_KEYS_CONFLICT = _Answer(
    401,
    "authentication_error",
    "keys_conflict",
    "More than one credential was presented: send one API key, as Authorization: Bearer KEY.",
    _INVALID_TOKEN,
)
_UNDECIDED = _Answer(
    503, "api_error", "unavailable", "The API key could not be checked just now: try again.", retry_after=True
)
_MISCONFIGURED = _Answer(
    500, "api_error", "gateway_misconfigured", "The API key could not be checked: this service is not set up for it."
)
_REFUSALS = {
    RefusalReason.KEY_MALFORMED: (401, "The API key is not a key: check that it was copied whole."),
    RefusalReason.KEY_UNKNOWN: (401, "There is no such API key."),
    RefusalReason.TOKEN_REVOKED: (401, "The API key was revoked."),
    RefusalReason.TOKEN_EXPIRED: (401, "The API key has expired."),
    RefusalReason.KEY_RETIRED: (401, "The API key was replaced by a newer one of the same token, and has ended."),
    RefusalReason.ACCOUNT_CLOSED: (401, "The account of this API key is closed."),
    RefusalReason.TOKEN_HELD: (403, "The API key is on hold: it is not bad, and may work again."),
    RefusalReason.ACCOUNT_HELD: (
        403,
        "The account of this API key is on hold: the key is not bad, and may work again.",
    ),
    RefusalReason.LIVEMODE_MISMATCH: (
        403,
        "The API key is of the other mode: live keys and test keys are not exchangeable.",
    ),
    RefusalReason.TYPE_NOT_ALLOWED: (403, "API keys of this type may not do this."),
    RefusalReason.INSUFFICIENT_PERMISSIONS: (403, "The API key lacks a permission that this needs."),
    RefusalReason.UNKNOWN: (403, "The API key may not do this."),
}


def _refused(refusal: Refusal, question: Question) -> _Answer:
    status, message = _REFUSALS[refusal.reason]
    if status == 401:
        return _Answer(status, "authentication_error", refusal.reason.value, message, _INVALID_TOKEN)
    if refusal.reason is not RefusalReason.INSUFFICIENT_PERMISSIONS:
        return _Answer(status, "permission_error", refusal.reason.value, message)
    required = tuple(question.permissions)
    challenge = 'Bearer realm="CasaPay", error="insufficient_scope"' + _scope(required)
    return _Answer(status, "permission_error", refusal.reason.value, message, challenge, required_permissions=required)


def _scope(required: tuple[str, ...]) -> str:
    """The permissions in a challenge. A stand-in for the client may not have looked at them, and what is no permission
    could end the header.
    """
    permissions = [permission for permission in required if _PERMISSION.fullmatch(permission)]
    return f', scope="{" ".join(permissions)}"' if permissions else ""


def _values(scope: Scope, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for each, value in headers if each.lower() == name]


async def _respond(answer: _Answer, scope: Scope, send: Send, event: str) -> None:
    error: dict[str, Any] = {"type": answer.type, "code": answer.code, "message": answer.message, "param": None}
    if answer.required_permissions is not None:
        error["required_permissions"] = answer.required_permissions
    error["request_id"] = _request_id(scope)
    body = json.dumps({"error": error}, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if answer.challenge is not None:
        headers.append((b"www-authenticate", answer.challenge.encode()))
    if answer.retry_after:
        headers.append((b"retry-after", b"1"))
    await send({"type": f"{event}.start", "status": answer.status, "headers": headers})
    await send({"type": f"{event}.body", "body": body})


async def _refuse_websocket(answer: _Answer, scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _respond(answer, scope, send, "websocket.http.response")
        return
    # Policy violation, internal error, try again later (RFC 6455 section 7.4, and IANA's registry).
    code = {500: 1011, 503: 1013}.get(answer.status, 1008)
    await send({"type": "websocket.close", "code": code, "reason": answer.code})


def _request_id(scope: Scope) -> str:
    """The request's own name, or a new one where that could be anything: a key, sent in the wrong header."""
    given = ",".join(_values(scope, b"x-request-id"))
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", given) and not _KEY_ANYWHERE.search(given):
        return given
    return f"req_{uuid.uuid4()}"
