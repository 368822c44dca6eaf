"""What each RPC sends, and what its answer is read as: all of both clients but the waiting."""

import re
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from casapay_token_authority._attempts import Attempts
from casapay_token_authority._facts import CACHE_RULES, Facts, facts_of
from casapay_token_authority._key_cache import Answer
from casapay_token_authority._proto.casapay.token.v1 import token_pb2, token_service_pb2
from casapay_token_authority.errors import AuthorityError, Undecided
from casapay_token_authority.settings import Settings, check_timeout
from casapay_token_authority.values import (
    Account,
    AccountState,
    BulkRevoked,
    Change,
    ChangeAction,
    ChangeFilter,
    Closed,
    Created,
    DecisionSource,
    Held,
    Holder,
    HolderKind,
    Page,
    Principal,
    Question,
    Refusal,
    RefusalReason,
    Revoked,
    RotationEnd,
    RotationEnded,
    Settlement,
    Token,
    TokenFilter,
    TokenKey,
    TokenState,
    TokenType,
)

_Value = TypeVar("_Value")
_Answer = TypeVar("_Answer", bound=Message)
_Word = TypeVar("_Word", bound=StrEnum)

_SERVICE = "/casapay.token.v1.TokenService/"
_OK_KEY = re.compile(r"[ -~]{1,512}")


@dataclass(frozen=True, slots=True)
class Operation(Generic[_Value]):
    """One call of an RPC. The request is bytes, so that no library prints what is in it."""

    path: str
    request: bytes = field(repr=False)
    read: Callable[[bytes], _Value] = field(repr=False)
    """Raises `AuthorityError` where the answer makes no sense."""
    timeout: float
    may_retry: bool = True
    request_id: str | None = None
    error: type[AuthorityError] = AuthorityError

    def left(self, timeout: float | None, *, since: float) -> float:
        """Seconds that are left of its time-out after another operation that began at this time."""
        seconds = self.timeout if timeout is None else timeout
        return max(seconds - (time.monotonic() - since), 0.001) if seconds > 0 else seconds

    def attempts(self, timeout: float | None) -> Attempts:
        """The attempts to make it, within this many seconds or else those of the settings."""
        seconds = self.timeout if timeout is None else timeout
        try:
            check_timeout("timeout", seconds)
        except ValueError as error:
            raise self.error(grpc.StatusCode.INVALID_ARGUMENT, str(error), field="timeout") from None
        return Attempts(seconds, may_retry=self.may_retry, error=self.error, request_id=self.request_id)


class Operations:
    """Makes every operation, with the settings of one client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def authenticate(self, key: str, question: Question) -> Operation[Principal | Refusal] | Refusal:
        """Refuses at once what cannot be a key: HTTP might not carry it, and that is no error."""
        if not _OK_KEY.fullmatch(key):
            return Refusal(RefusalReason.KEY_MALFORMED)
        request = _encode(
            token_service_pb2.AuthenticateRequest,
            Undecided,
            key=key,
            required_permissions=question.permissions,
            livemode=question.livemode,
            allowed_types=_numbers(token_pb2.TokenType, "TOKEN_TYPE_", question.types),
        )
        read = _reader(token_service_pb2.AuthenticateResponse, _decision)
        timeout = self._settings.authenticate_timeout
        return Operation(_SERVICE + "Authenticate", request, read, timeout, error=Undecided)

    def facts(self, key: str) -> Operation[Answer]:
        """The widest question, whose answer may be kept."""
        request = _encode(
            token_service_pb2.AuthenticateRequest,
            Undecided,
            key=key,
            allowed_types=[
                token_pb2.TOKEN_TYPE_SECRET,
                token_pb2.TOKEN_TYPE_PUBLISHABLE,
                token_pb2.TOKEN_TYPE_RESTRICTED,
            ],
            cache_rules=CACHE_RULES,
        )
        read = _reader(token_service_pb2.AuthenticateResponse, read_answer)
        timeout = self._settings.authenticate_timeout
        return Operation(_SERVICE + "Authenticate", request, read, timeout, error=Undecided)

    def create(
        self,
        account: str,
        name: str,
        type: TokenType,  # noqa: A002 - the contract's word
        livemode: bool,
        permissions: Collection[str],
        expires_at: datetime | None,
        request_id: str | None,
    ) -> Operation[Created]:
        if request_id is None and self._settings.request_ids:
            request_id = str(uuid.uuid4())
        request = _encode(
            token_service_pb2.CreateRequest,
            account=account,
            name=name,
            type=_number(token_pb2.TokenType, "TOKEN_TYPE_", type),
            livemode=livemode,
            permissions=permissions,
            expire_time=_timestamp(expires_at),
            request_id=request_id or "",
        )
        read = _reader(token_service_pb2.CreateResponse, _created)
        timeout = self._settings.timeout
        return Operation(
            _SERVICE + "Create", request, read, timeout, may_retry=bool(request_id), request_id=request_id or None
        )

    def get(self, token_id: str) -> Operation[Token]:
        request = _encode(token_service_pb2.GetRequest, id=token_id)
        read = _reader(token_service_pb2.GetResponse, lambda answer: _token(answer.token))
        return Operation(_SERVICE + "Get", request, read, self._settings.timeout)

    def find_by_digest(self, digest: bytes) -> Operation[Token]:
        request = _encode(token_service_pb2.FindByDigestRequest, digest=digest)
        read = _reader(token_service_pb2.FindByDigestResponse, lambda answer: _token(answer.token))
        return Operation(_SERVICE + "FindByDigest", request, read, self._settings.timeout)

    def revoke(self, token_id: str, reason: str) -> Operation[Revoked]:
        request = _encode(token_service_pb2.RevokeRequest, id=token_id, reason=reason)
        read = _reader(
            token_service_pb2.RevokeResponse,
            lambda answer: Revoked(_token(answer.token), answer.revision, _settlement(answer)),
        )
        return Operation(_SERVICE + "Revoke", request, read, self._settings.timeout)

    def rotate_key(self, token_id: str, overlap: timedelta, request_id: str | None) -> Operation[Created]:
        if request_id is None and self._settings.request_ids:
            request_id = str(uuid.uuid4())
        duration = Duration()
        duration.FromTimedelta(overlap)
        request = _encode(
            token_service_pb2.RotateKeyRequest, id=token_id, overlap=duration, request_id=request_id or ""
        )
        read = _reader(token_service_pb2.RotateKeyResponse, _rotated)
        timeout = self._settings.timeout
        return Operation(
            _SERVICE + "RotateKey", request, read, timeout, may_retry=bool(request_id), request_id=request_id or None
        )

    def end_rotation(self, token_id: str, end: RotationEnd | datetime) -> Operation[RotationEnded]:
        request = _encode(
            token_service_pb2.EndRotationRequest,
            id=token_id,
            cut_old_now=True if end == RotationEnd.CUT else None,
            cancel=True if end == RotationEnd.CANCEL else None,
            move_end=_timestamp(end) if isinstance(end, datetime) else None,
        )
        read = _reader(
            token_service_pb2.EndRotationResponse,
            lambda answer: RotationEnded(_token(answer.token), answer.revision, _settlement(answer)),
        )
        return Operation(_SERVICE + "EndRotation", request, read, self._settings.timeout)

    def set_hold(self, held: bool, token_id: str | None, account: str | None, reason: str) -> Operation[Held]:
        if (token_id is None) == (account is None):
            raise AuthorityError(
                grpc.StatusCode.INVALID_ARGUMENT, "either a token or an account is held", reason="REQUEST_MALFORMED"
            )
        request = _encode(
            token_service_pb2.SetHoldRequest, token_id=token_id, account=account, held=held, reason=reason
        )
        return Operation(
            _SERVICE + "SetHold", request, _reader(token_service_pb2.SetHoldResponse, _held), self._settings.timeout
        )

    def close_account(self, account: str, reason: str) -> Operation[Closed]:
        request = _encode(token_service_pb2.CloseAccountRequest, account=account, reason=reason)
        read = _reader(
            token_service_pb2.CloseAccountResponse,
            lambda answer: Closed(_account(answer.account), answer.revision, _settlement(answer)),
        )
        return Operation(_SERVICE + "CloseAccount", request, read, self._settings.timeout)

    def revoke_tokens(
        self, wanted: TokenFilter, force: bool, up_to_revision: int, reason: str
    ) -> Operation[BulkRevoked]:
        request = _encode(
            token_service_pb2.RevokeTokensRequest,
            filter=token_service_pb2.TokenFilter(**_filters(wanted)),
            force=force,
            up_to_revision=up_to_revision,
            reason=reason,
        )
        read = _reader(
            token_service_pb2.RevokeTokensResponse,
            lambda answer: BulkRevoked(
                answer.matched,
                tuple(answer.sample_ids),
                answer.up_to_revision,
                answer.revoked,
                answer.done,
                _settlement(answer),
            ),
        )
        return Operation(_SERVICE + "RevokeTokens", request, read, self._settings.timeout)

    def list_tokens(self, wanted: TokenFilter, page_size: int, page_token: str) -> Operation[Page[Token]]:
        request = _encode(
            token_service_pb2.ListRequest,
            page_size=page_size,
            page_token=page_token,
            **_filters(wanted),
        )
        read = _reader(
            token_service_pb2.ListResponse,
            lambda answer: Page(
                tuple(map(_token, answer.tokens)), answer.next_page_token or None, answer.previous_page_token or None
            ),
        )
        return Operation(_SERVICE + "List", request, read, self._settings.timeout)

    def list_changes(self, wanted: ChangeFilter, page_size: int, page_token: str) -> Operation[Page[Change]]:
        request = _encode(
            token_service_pb2.ListChangesRequest,
            page_size=page_size,
            page_token=page_token,
            token_id=wanted.token_id,
            caller=wanted.caller,
            action=wanted.action and _number(token_service_pb2.ChangeAction, "CHANGE_ACTION_", wanted.action),
            account=wanted.account,
            changed_from=_timestamp(wanted.changed_from),
            changed_before=_timestamp(wanted.changed_before),
            after_revision=wanted.after_revision,
            oldest_first=wanted.oldest_first,
        )
        read = _reader(
            token_service_pb2.ListChangesResponse,
            lambda answer: Page(
                tuple(map(_change, answer.changes)),
                answer.next_page_token or None,
                reached_revision=answer.reached_revision,
            ),
        )
        return Operation(_SERVICE + "ListChanges", request, read, self._settings.timeout)

    def list_accounts(self, prefix: str, page_size: int, page_token: str) -> Operation[Page[Account]]:
        request = _encode(
            token_service_pb2.ListAccountsRequest, page_size=page_size, page_token=page_token, prefix=prefix
        )
        read = _reader(
            token_service_pb2.ListAccountsResponse,
            lambda answer: Page(tuple(map(_account, answer.accounts)), answer.next_page_token or None),
        )
        return Operation(_SERVICE + "ListAccounts", request, read, self._settings.timeout)


def _filters(wanted: TokenFilter) -> dict[str, Any]:
    """As List and RevokeTokens have them."""
    return {
        "account": wanted.account,
        "types": _numbers(token_pb2.TokenType, "TOKEN_TYPE_", wanted.types),
        "livemode": wanted.livemode,
        "states": _numbers(token_pb2.TokenState, "TOKEN_STATE_", wanted.states),
        "permission": wanted.permission,
        "created_from": _timestamp(wanted.created_from),
        "created_before": _timestamp(wanted.created_before),
        "expires_from": _timestamp(wanted.expires_from),
        "expires_before": _timestamp(wanted.expires_before),
        "unused_since": _timestamp(wanted.unused_since),
        "name_contains": wanted.name_contains,
        "key_hint": wanted.key_hint,
        "created_by": wanted.created_by,
        "held": wanted.held,
        "rotating": wanted.rotating,
    }


def _encode(message: type[Message], error: type[AuthorityError] = AuthorityError, /, **fields: Any) -> bytes:
    try:
        return message(**fields).SerializeToString()
    except (TypeError, ValueError):
        # Not chained: protobuf's own words may repeat the value.
        text = f"{message.DESCRIPTOR.name} has a field of another type, or text that is not Unicode"
        raise error(grpc.StatusCode.INVALID_ARGUMENT, text, reason="REQUEST_MALFORMED") from None


def _reader(message: type[_Answer], translate: Callable[[_Answer], _Value]) -> Callable[[bytes], _Value]:
    def read(answer: bytes) -> _Value:
        try:
            return translate(message.FromString(answer))
        except (DecodeError, ValueError, OverflowError):
            raise _unreadable() from None

    return read


def _unreadable() -> AuthorityError:
    return AuthorityError(grpc.StatusCode.UNKNOWN, "the answer makes no sense")


def _decision(answer: token_service_pb2.AuthenticateResponse) -> Principal | Refusal:
    outcome = answer.WhichOneof("outcome")
    if outcome == "principal":
        principal = answer.principal
        return Principal(
            token_id=principal.token_id,
            account=principal.account,
            type=_word(TokenType, token_pb2.TokenType, "TOKEN_TYPE_", principal.type),
            livemode=principal.livemode,
            permissions=tuple(principal.permissions),
            expires_at=_time(principal, "expire_time"),
        )
    if outcome == "refusal":
        refusal = answer.refusal
        return Refusal(
            reason=_word(RefusalReason, token_service_pb2.RefusalReason, "REFUSAL_REASON_", refusal.reason),
            missing_permissions=tuple(refusal.missing_permissions),
            token_id=refusal.token_id or None,
            account=refusal.account or None,
        )
    raise _unreadable()


def read_answer(answer: token_service_pb2.AuthenticateResponse) -> Answer:
    seconds = answer.cache_for.seconds + answer.cache_for.nanos / 1e9
    return Answer(_facts(answer), answer.revision, seconds)


# These depend on what was asked, and so does perhaps what this package does not know.
_NOT_FACTS = frozenset(
    {
        token_service_pb2.REFUSAL_REASON_UNSPECIFIED,
        token_service_pb2.REFUSAL_REASON_LIVEMODE_MISMATCH,
        token_service_pb2.REFUSAL_REASON_TYPE_NOT_ALLOWED,
        token_service_pb2.REFUSAL_REASON_INSUFFICIENT_PERMISSIONS,
    }
)


def _facts(answer: token_service_pb2.AuthenticateResponse) -> Facts | None:
    if answer.WhichOneof("outcome") is None:
        return None
    if answer.HasField("refusal"):
        reason = answer.refusal.reason
        if reason in _NOT_FACTS or reason not in token_service_pb2.RefusalReason.values():
            return None
    decision = _decision(answer)
    if isinstance(decision, Principal) and decision.type == TokenType.UNKNOWN:
        return None
    return facts_of(replace(decision, source=DecisionSource.CACHE))


def _created(answer: token_service_pb2.CreateResponse) -> Created:
    return Created(_token(answer.token), answer.key or None, answer.revision)


def _rotated(answer: token_service_pb2.RotateKeyResponse) -> Created:
    return Created(_token(answer.token), answer.key or None, answer.revision, _settlement(answer))


def _settlement(
    answer: token_service_pb2.RevokeResponse
    | token_service_pb2.RotateKeyResponse
    | token_service_pb2.EndRotationResponse
    | token_service_pb2.SetHoldResponse
    | token_service_pb2.CloseAccountResponse
    | token_service_pb2.RevokeTokensResponse,
) -> Settlement:
    silent, unconfirmed = tuple(map(_holder, answer.silent)), tuple(map(_holder, answer.unconfirmed))
    return Settlement(answer.acknowledged_count, silent, unconfirmed)


def _holder(message: token_service_pb2.Holder) -> Holder:
    return Holder(
        kind=_word(HolderKind, token_service_pb2.HolderKind, "HOLDER_KIND_", message.kind),
        identity=message.identity,
        heard_at=_time(message, "since_time"),
        until=_time(message, "until_time"),
    )


def _held(answer: token_service_pb2.SetHoldResponse) -> Held:
    subject = answer.WhichOneof("subject")
    return Held(
        _token(answer.token) if subject == "token" else None,
        _account(answer.account) if subject == "account" else None,
        answer.revision,
        _settlement(answer),
    )


def _token(message: token_pb2.Token) -> Token:
    return Token(
        id=message.id,
        account=message.account,
        name=message.name,
        type=_word(TokenType, token_pb2.TokenType, "TOKEN_TYPE_", message.type),
        livemode=message.livemode,
        key_prefix=message.key_prefix,
        key_hint=message.key_hint,
        permissions=tuple(message.permissions),
        state=_word(TokenState, token_pb2.TokenState, "TOKEN_STATE_", message.state),
        created_at=_datetime(message.create_time),
        created_by=message.created_by,
        expires_at=_time(message, "expire_time"),
        last_used_at=_time(message, "last_use_time"),
        revoked_at=_time(message, "revoke_time"),
        revoke_reason=message.revoke_reason,
        keys=tuple(map(_key, message.keys)),
        held=message.held,
        account_state=_word(AccountState, token_pb2.AccountState, "ACCOUNT_STATE_", message.account_state),
    )


def _key(message: token_pb2.Key) -> TokenKey:
    return TokenKey(
        hint=message.hint,
        issued_at=_datetime(message.issue_time),
        ends_at=_time(message, "end_time"),
        last_used_at=_time(message, "last_use_time"),
    )


def _change(message: token_service_pb2.Change) -> Change:
    return Change(
        revision=message.revision,
        action=_word(ChangeAction, token_service_pb2.ChangeAction, "CHANGE_ACTION_", message.action),
        token_id=message.token_id,
        caller=message.caller,
        changed_at=_datetime(message.change_time),
        hash=message.hash,
        account=message.account,
        token_name=message.token_name,
        token_type=_word(TokenType, token_pb2.TokenType, "TOKEN_TYPE_", message.token_type)
        if message.token_type
        else None,
        reason=message.reason,
        revoke_reason=message.revoke_reason,
        facts=message.facts,
    )


def _account(message: token_service_pb2.Account) -> Account:
    return Account(
        message.account,
        message.active_count,
        message.expired_count,
        message.revoked_count,
        _word(AccountState, token_pb2.AccountState, "ACCOUNT_STATE_", message.state),
    )


def _word(words: type[_Word], enum: Any, prefix: str, number: int) -> _Word:
    """An enum's number as our word; `unknown` for one that this package does not know."""
    known: Mapping[int, str] = {value: name.removeprefix(prefix).lower() for name, value in enum.items()}
    word = known.get(number, "")
    return words(word if word in set(words) else "unknown")


def _number(enum: Any, prefix: str, word: str) -> int:
    """Our word as the enum's number. What it does not have becomes a number that the authority refuses."""
    numbers: Mapping[str, int] = dict(enum.items())
    return numbers.get(f"{prefix}{word.upper()}", -1)


def _numbers(enum: Any, prefix: str, words: Collection[str]) -> list[int]:
    return [_number(enum, prefix, word) for word in words]


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise AuthorityError(
            grpc.StatusCode.INVALID_ARGUMENT, "a time must have a time zone", reason="REQUEST_MALFORMED"
        )
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp


def _time(message: Message, name: str) -> datetime | None:
    return _datetime(getattr(message, name)) if message.HasField(name) else None


def _datetime(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(UTC)
