"""The contract in memory, as far as `fake` says."""

import hashlib
import re
import secrets
import string
import threading
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf.message import Message

from casapay_token_authority._proto.casapay.token.v1 import token_pb2, token_service_pb2
from casapay_token_authority.errors import AuthorityError

_LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PERMISSION = re.compile(r"[a-z][a-z0-9_]{0,62}:(read|write)")
_KEY = re.compile(r"(sk|pk|rk)_(live|test)_[0-9A-Za-z]{38}")
_ACCOUNT = re.compile(r"[0-9A-Za-z_-]{1,64}")
_MAX_OVERLAP = timedelta(days=7)
_FILTERS = {"account", "types", "livemode", "states", "permission", "held", "rotating"}
_PREFIXES = {
    token_pb2.TOKEN_TYPE_SECRET: "sk",
    token_pb2.TOKEN_TYPE_PUBLISHABLE: "pk",
    token_pb2.TOKEN_TYPE_RESTRICTED: "rk",
}


@dataclass(slots=True, eq=False)
class _KeptKey:
    facts: token_pb2.Key
    key: str
    end_revision: int = 0
    """Of the change that ended it."""


@dataclass(slots=True, eq=False)
class _Kept:
    token: token_pb2.Token
    keys: list[_KeptKey]
    """Newest first."""
    revision: int
    hold_revision: int = 0


@dataclass(slots=True)
class _Replay:
    request: Message
    kept: _Kept
    key: _KeptKey
    revision: int


class FakeService:
    """Answers requests, as bytes, with responses, as bytes. What it refuses raises `AuthorityError`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []
        self._replays: dict[str, _Replay] = {}
        self._accounts: dict[str, tuple[token_pb2.AccountState, int]] = {}
        self._changes: list[token_service_pb2.Change] = []

    def answer(self, path: str, request: bytes, *, is_down: bool) -> bytes:
        if is_down:
            raise AuthorityError(grpc.StatusCode.UNAVAILABLE, "the fake is down")
        rpc = path.rpartition("/")[2]
        answers: dict[str, Callable[[Any], Message]] = {
            "Create": self._create,
            "Authenticate": self._authenticate,
            "Get": self._get,
            "FindByDigest": self._find_by_digest,
            "Revoke": self._revoke,
            "RotateKey": self._rotate_key,
            "EndRotation": self._end_rotation,
            "SetHold": self._set_hold,
            "CloseAccount": self._close_account,
            "RevokeTokens": self._revoke_tokens,
            "List": self._list,
            "ListChanges": self._list_changes,
            "ListAccounts": self._list_accounts,
        }
        message = getattr(token_service_pb2, f"{rpc}Request").FromString(request)
        with self._lock:
            return answers[rpc](message).SerializeToString()

    def _create(self, request: token_service_pb2.CreateRequest) -> Message:
        self._check_create(request)
        made = self._made_once(request, self._issue)
        return token_service_pb2.CreateResponse(
            token=self._shown(made.kept), key=self._key_again(made), revision=made.revision
        )

    def _made_once(self, request: Any, make: Callable[[Any], _Replay]) -> _Replay:
        """A request that was sent before is answered as it was then."""
        made = self._replays.get(request.request_id) or make(request)
        if made.request != request:
            raise _refused(
                grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED", "request_id", "was used with another body"
            )
        if request.request_id:
            self._replays[request.request_id] = made
        return made

    def _key_again(self, made: _Replay) -> str:
        is_over = made.kept.token.HasField("revoke_time") or made.key not in self._live(made.kept)
        return "" if is_over else made.key.key

    def _issue(self, request: token_service_pb2.CreateRequest) -> _Replay:
        self._check_open(request.account)
        prefix = f"{_PREFIXES[request.type]}_{'live' if request.livemode else 'test'}_"
        token = token_pb2.Token(
            id=f"tok_{_random_text(20)}",
            account=request.account,
            name=request.name,
            type=request.type,
            livemode=request.livemode,
            key_prefix=prefix,
            permissions=sorted(set(request.permissions)),
            create_time=self._now(),
            created_by="local",
        )
        if request.HasField("expire_time"):
            token.expire_time.CopyFrom(request.expire_time)
        key = self._mint(token)
        kept = _Kept(token, [key], self._note(token_service_pb2.CHANGE_ACTION_CREATE, token))
        self._kept.append(kept)
        return _Replay(request, kept, key, kept.revision)

    def _mint(self, token: token_pb2.Token) -> _KeptKey:
        unchecked = token.key_prefix + _random_text(32)
        key = unchecked + _checksum(unchecked)
        return _KeptKey(token_pb2.Key(hint=key[-4:], issue_time=self._now()), key)

    def _rotate_key(self, request: token_service_pb2.RotateKeyRequest) -> Message:
        overlap = request.overlap.ToTimedelta()
        if not timedelta() <= overlap <= _MAX_OVERLAP:
            raise _invalid("overlap", "must be 0 to 7 days")
        if not request.request_id and not overlap:
            raise _invalid("request_id", "must be given without an overlap")
        made = self._made_once(request, self._rotate)
        return token_service_pb2.RotateKeyResponse(
            token=self._shown(made.kept), key=self._key_again(made), revision=made.revision
        )

    def _rotate(self, request: token_service_pb2.RotateKeyRequest) -> _Replay:
        kept = self._find("id", lambda each: each.token.id == request.id)
        self._check_open(kept.token.account)
        self._check_active(kept)
        live = self._live(kept)
        if len(live) > 1 and live[0].facts.HasField("last_use_time"):
            raise _failed("ROTATION_UNDER_WAY", "two keys live, and the new one is in use")
        revision = self._note(token_service_pb2.CHANGE_ACTION_ROTATE_KEY, kept.token)
        key = self._mint(kept.token)
        for newer in live[:-1]:
            self._end(kept, newer, self._now(), revision)
        for old in live[-1:]:
            self._end(kept, old, self._now() + request.overlap.ToTimedelta(), revision)
        kept.keys.insert(0, key)
        return _Replay(request, kept, key, revision)

    def _end_rotation(self, request: token_service_pb2.EndRotationRequest) -> Message:
        kept = self._find("id", lambda each: each.token.id == request.id)
        self._check_active(kept)
        what = request.WhichOneof("what")
        if what is None or (what != "move_end" and not getattr(request, what)):
            raise _invalid("what", "must say what is done")
        live = self._live(kept)
        old = next((key for key in live if key.facts.HasField("end_time")), None)
        current = next((key for key in live if not key.facts.HasField("end_time")), None)
        if old is None:
            # Again: the last key that has ended tells when.
            is_again = what != "move_end" and (current is kept.keys[0]) == (what == "cut_old_now")
            ended = [key.end_revision for key in kept.keys if key is not current]
            if not is_again or not ended:
                raise _failed("ROTATION_NOT_UNDER_WAY", "no old key is still to end")
            return token_service_pb2.EndRotationResponse(token=self._shown(kept), revision=max(ended))
        end = self._now()
        if what == "move_end":
            end = request.move_end.ToDatetime(UTC)
            issued = current.facts.issue_time.ToDatetime(UTC) if current else self._now()
            if not self._now() <= end <= issued + _MAX_OVERLAP:
                raise _invalid("move_end", "must not be before now, nor more than 7 days after the rotation")
        is_cancel = what == "cancel"
        action = (
            token_service_pb2.CHANGE_ACTION_CANCEL_ROTATION if is_cancel else token_service_pb2.CHANGE_ACTION_END_KEY
        )
        revision = self._note(action, kept.token)
        self._end(kept, old, None if is_cancel else end, revision)
        if is_cancel and current is not None:
            self._end(kept, current, end, revision)
        return token_service_pb2.EndRotationResponse(token=self._shown(kept), revision=revision)

    def _set_hold(self, request: token_service_pb2.SetHoldRequest) -> Message:
        action = token_service_pb2.CHANGE_ACTION_HOLD if request.held else token_service_pb2.CHANGE_ACTION_RESUME
        if request.WhichOneof("subject") == "token_id":
            kept = self._find("token_id", lambda each: each.token.id == request.token_id)
            if kept.token.held != request.held:
                kept.token.held = request.held
                kept.hold_revision = self._note(action, kept.token, request.reason)
            return token_service_pb2.SetHoldResponse(token=self._shown(kept), revision=kept.hold_revision)
        if request.WhichOneof("subject") is None:
            raise _invalid("subject", "must be a token_id or an account")
        self._check_account(request.account)
        self._check_open(request.account)
        state = token_pb2.ACCOUNT_STATE_HELD if request.held else token_pb2.ACCOUNT_STATE_ACTIVE
        if self._state_of(request.account) != state:
            self._accounts[request.account] = (state, self._note(action, request.account, request.reason))
        _, revision = self._accounts.get(request.account, (state, 0))
        return token_service_pb2.SetHoldResponse(account=self._shown_account(request.account), revision=revision)

    def _close_account(self, request: token_service_pb2.CloseAccountRequest) -> Message:
        self._check_account(request.account)
        closed = token_pb2.ACCOUNT_STATE_CLOSED
        if self._state_of(request.account) != closed:
            revision = self._note(token_service_pb2.CHANGE_ACTION_CLOSE, request.account, request.reason)
            self._accounts[request.account] = (closed, revision)
        _, revision = self._accounts[request.account]
        return token_service_pb2.CloseAccountResponse(account=self._shown_account(request.account), revision=revision)

    def _revoke_tokens(self, request: token_service_pb2.RevokeTokensRequest) -> Message:
        if not request.filter.ListFields():
            raise _invalid("filter", "must have a filter")
        _knows_only(request.filter, _FILTERS)
        newest = len(self._changes)
        if request.force and not 1 <= request.up_to_revision <= newest:
            raise _invalid("up_to_revision", "must be that of the dry run")
        limit = request.up_to_revision if request.force else newest
        found = [
            kept
            for kept in reversed(self._kept)
            if kept.revision <= limit and not kept.token.HasField("revoke_time") and self._matches(kept, request.filter)
        ]
        if not request.force:
            return token_service_pb2.RevokeTokensResponse(
                matched=len(found), sample_ids=[kept.token.id for kept in found[:100]], up_to_revision=newest
            )
        for kept in found:
            self._end_token(kept, request.reason)
        return token_service_pb2.RevokeTokensResponse(revoked=len(found), up_to_revision=limit, done=True)

    def _authenticate(self, request: token_service_pb2.AuthenticateRequest) -> Message:
        if not all(map(_PERMISSION.fullmatch, request.required_permissions)):
            raise _invalid("required_permissions", "must be resource:read or resource:write")
        key = request.key
        if not _KEY.fullmatch(key) or _checksum(key[:-6]) != key[-6:]:
            return _refusal("KEY_MALFORMED")
        found = next(((each, its) for each in self._kept for its in each.keys if its.key == key), None)
        if found is None:
            return _refusal("KEY_UNKNOWN")
        kept, presented = found
        token = self._shown(kept)
        missing = [each for each in request.required_permissions if not _covers(token, each)]
        types = request.allowed_types or [token_pb2.TOKEN_TYPE_SECRET, token_pb2.TOKEN_TYPE_RESTRICTED]
        if token.state == token_pb2.TOKEN_STATE_REVOKED:
            return _refusal("TOKEN_REVOKED", token)
        if presented not in self._live(kept):
            return _refusal("KEY_RETIRED", token)
        if token.state == token_pb2.TOKEN_STATE_EXPIRED:
            return _refusal("TOKEN_EXPIRED", token)
        if token.account_state == token_pb2.ACCOUNT_STATE_CLOSED:
            return _refusal("ACCOUNT_CLOSED", token)
        if token.held:
            return _refusal("TOKEN_HELD", token)
        if token.account_state == token_pb2.ACCOUNT_STATE_HELD:
            return _refusal("ACCOUNT_HELD", token)
        if request.HasField("livemode") and request.livemode != token.livemode:
            return _refusal("LIVEMODE_MISMATCH", token)
        if token.type not in types:
            return _refusal("TYPE_NOT_ALLOWED", token)
        if missing:
            return _refusal("INSUFFICIENT_PERMISSIONS", token, missing)
        presented.facts.last_use_time.FromDatetime(self._now())
        principal = token_service_pb2.Principal(
            token_id=token.id,
            account=token.account,
            type=token.type,
            livemode=token.livemode,
            permissions=token.permissions,
        )
        if presented.facts.HasField("end_time"):
            principal.expire_time.CopyFrom(presented.facts.end_time)
        elif token.HasField("expire_time"):
            principal.expire_time.CopyFrom(token.expire_time)
        return token_service_pb2.AuthenticateResponse(principal=principal)

    def _get(self, request: token_service_pb2.GetRequest) -> Message:
        kept = self._find("id", lambda each: each.token.id == request.id)
        return token_service_pb2.GetResponse(token=self._shown(kept))

    def _find_by_digest(self, request: token_service_pb2.FindByDigestRequest) -> Message:
        def has_key(kept: _Kept) -> bool:
            return any(hashlib.sha256(each.key.encode()).digest() == request.digest for each in kept.keys)

        kept = self._find("digest", has_key)
        return token_service_pb2.FindByDigestResponse(token=self._shown(kept))

    def _revoke(self, request: token_service_pb2.RevokeRequest) -> Message:
        kept = self._find("id", lambda each: each.token.id == request.id)
        revoked = token_service_pb2.CHANGE_ACTION_REVOKE
        if not kept.token.HasField("revoke_time"):
            self._end_token(kept, request.reason)
        change = next(each for each in self._changes if each.token_id == request.id and each.action == revoked)
        return token_service_pb2.RevokeResponse(token=self._shown(kept), revision=change.revision)

    def _list(self, request: token_service_pb2.ListRequest) -> Message:
        _knows_only(request, _FILTERS)
        found = [kept for kept in reversed(self._kept) if self._matches(kept, request)]
        return token_service_pb2.ListResponse(tokens=map(self._shown, found))

    def _matches(self, kept: _Kept, wanted: token_service_pb2.ListRequest | token_service_pb2.TokenFilter) -> bool:
        token = self._shown(kept)
        is_held = token.held or token.account_state == token_pb2.ACCOUNT_STATE_HELD
        is_rotating = token.state == token_pb2.TOKEN_STATE_ACTIVE and len(self._live(kept)) > 1
        return (
            wanted.account in ("", token.account)
            and (not wanted.types or token.type in wanted.types)
            and (not wanted.HasField("livemode") or wanted.livemode == token.livemode)
            and (not wanted.states or token.state in wanted.states)
            and (not wanted.permission or _covers(token, wanted.permission))
            and (not wanted.HasField("held") or wanted.held == is_held)
            and (not wanted.HasField("rotating") or wanted.rotating == is_rotating)
        )

    def _list_changes(self, request: token_service_pb2.ListChangesRequest) -> Message:
        _knows_only(request, {"token_id", "after_revision", "oldest_first"})
        newest = len(self._changes)
        if request.after_revision > newest:
            raise _invalid("after_revision", "must not be beyond the newest change")
        later = self._changes[request.after_revision :]
        found = [each for each in later if request.token_id in ("", each.token_id)]
        if request.oldest_first:
            return token_service_pb2.ListChangesResponse(changes=found, reached_revision=newest)
        return token_service_pb2.ListChangesResponse(changes=found[::-1])

    def _list_accounts(self, request: token_service_pb2.ListAccountsRequest) -> Message:
        owners = {kept.token.account for kept in self._kept}
        others = {account for account, (state, _) in self._accounts.items() if state != token_pb2.ACCOUNT_STATE_ACTIVE}
        found = sorted(account for account in owners | others if account.startswith(request.prefix))
        return token_service_pb2.ListAccountsResponse(accounts=map(self._shown_account, found))

    def _shown_account(self, account: str) -> token_service_pb2.Account:
        states = [token.state for token in map(self._shown, self._kept) if token.account == account]
        return token_service_pb2.Account(
            account=account,
            active_count=states.count(token_pb2.TOKEN_STATE_ACTIVE),
            expired_count=states.count(token_pb2.TOKEN_STATE_EXPIRED),
            revoked_count=states.count(token_pb2.TOKEN_STATE_REVOKED),
            state=self._state_of(account),
        )

    def _state_of(self, account: str) -> token_pb2.AccountState:
        state, _ = self._accounts.get(account, (token_pb2.ACCOUNT_STATE_ACTIVE, 0))
        return state

    def _live(self, kept: _Kept) -> list[_KeptKey]:
        """Newest first."""
        now = self._now()
        return [
            each
            for each in kept.keys
            if not each.facts.HasField("end_time") or now < each.facts.end_time.ToDatetime(UTC)
        ]

    def _end(self, kept: _Kept, key: _KeptKey, time: datetime | None, revision: int) -> None:
        """Ends a key then, or with its token where that is earlier. Without a time, the key goes on."""
        key.end_revision = revision
        if time is None:
            key.facts.ClearField("end_time")
            return
        expires = kept.token.expire_time.ToDatetime(UTC) if kept.token.HasField("expire_time") else time
        key.facts.end_time.FromDatetime(min(time, expires))

    def _end_token(self, kept: _Kept, reason: str) -> None:
        kept.token.revoke_time.FromDatetime(self._now())
        kept.token.revoke_reason = reason
        self._note(token_service_pb2.CHANGE_ACTION_REVOKE, kept.token, reason)

    def _find(self, field: str, is_wanted: Callable[[_Kept], bool]) -> _Kept:
        kept = next(filter(is_wanted, self._kept), None)
        if kept is None:
            raise _refused(grpc.StatusCode.NOT_FOUND, "TOKEN_NOT_FOUND", field, "is that of no token")
        return kept

    def _shown(self, kept: _Kept) -> token_pb2.Token:
        """The token as it is now."""
        token = token_pb2.Token()
        token.CopyFrom(kept.token)
        if token.HasField("revoke_time"):
            token.state = token_pb2.TOKEN_STATE_REVOKED
        elif token.HasField("expire_time") and self._now() >= token.expire_time.ToDatetime(UTC):
            token.state = token_pb2.TOKEN_STATE_EXPIRED
        else:
            token.state = token_pb2.TOKEN_STATE_ACTIVE
        live = self._live(kept)
        keys = [*live, *(key for key in kept.keys if key not in live)]
        token.keys.extend(key.facts for key in keys[:10])
        token.key_hint = next((key.facts.hint for key in kept.keys if not key.facts.HasField("end_time")), "")
        token.account_state = self._state_of(token.account)
        uses = [key.facts.last_use_time for key in kept.keys if key.facts.HasField("last_use_time")]
        if uses:
            token.last_use_time.CopyFrom(max(uses, key=lambda use: use.ToNanoseconds()))
        return token

    def _note(self, action: token_service_pb2.ChangeAction, subject: token_pb2.Token | str, reason: str = "") -> int:
        token = token_pb2.Token(account=subject) if isinstance(subject, str) else subject
        change = token_service_pb2.Change(
            revision=len(self._changes) + 1,
            action=action,
            token_id=token.id,
            caller="local",
            change_time=self._now(),
            account=token.account,
            token_name=token.name,
            token_type=token.type,
            reason=reason,
            revoke_reason=reason if action == token_service_pb2.CHANGE_ACTION_REVOKE else "",
        )
        self._changes.append(change)
        return change.revision

    def _check_account(self, account: str) -> None:
        if not _ACCOUNT.fullmatch(account):
            raise _invalid("account", "must be a name of an account")

    def _check_open(self, account: str) -> None:
        if self._state_of(account) == token_pb2.ACCOUNT_STATE_CLOSED:
            raise _refused(grpc.StatusCode.FAILED_PRECONDITION, "ACCOUNT_CLOSED", "account", "is closed for good")

    def _check_active(self, kept: _Kept) -> None:
        if self._shown(kept).state != token_pb2.TOKEN_STATE_ACTIVE:
            raise _failed("TOKEN_NOT_ACTIVE", "the token is revoked or has expired")

    def _check_create(self, request: token_service_pb2.CreateRequest) -> None:
        rules = [
            ("account", bool(_ACCOUNT.fullmatch(request.account)), "must be printable ASCII"),
            ("name", bool(request.name.strip()), "must not be empty"),
            ("type", request.type in _PREFIXES, "must be one of its values"),
            ("permissions", all(map(_PERMISSION.fullmatch, request.permissions)), "must be resource:read or :write"),
            (
                "permissions",
                (request.type == token_pb2.TOKEN_TYPE_RESTRICTED) == bool(request.permissions),
                "are for restricted keys",
            ),
            (
                "expire_time",
                not request.HasField("expire_time") or request.expire_time.ToDatetime(UTC) > self._now(),
                "must be in the future",
            ),
        ]
        for field, holds, rule in rules:
            if not holds:
                raise _invalid(field, rule)


def _refusal(reason: str, token: token_pb2.Token | None = None, missing: Collection[str] = ()) -> Message:
    refusal = token_service_pb2.Refusal(
        reason=f"REFUSAL_REASON_{reason}",
        missing_permissions=missing,
        token_id=token.id if token else "",
        account=token.account if token else "",
    )
    return token_service_pb2.AuthenticateResponse(refusal=refusal)


def _knows_only(request: Message, known: Collection[str]) -> None:
    """Refuses other filters: one that is passed over finds too much."""
    for field, _ in request.ListFields():
        if field.name != "page_size" and field.name not in known:
            raise _refused(
                grpc.StatusCode.UNIMPLEMENTED, "REQUEST_NOT_SUPPORTED", field.name, "is no filter of the fake"
            )


def _covers(token: token_pb2.Token, permission: str) -> bool:
    write = f"{permission.partition(':')[0]}:write"
    return token.type == token_pb2.TOKEN_TYPE_SECRET or bool({permission, write} & set(token.permissions))


def _invalid(field: str, rule: str) -> AuthorityError:
    return _refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID", field, rule)


def _failed(reason: str, message: str) -> AuthorityError:
    return AuthorityError(grpc.StatusCode.FAILED_PRECONDITION, message, reason=reason)


def _refused(code: grpc.StatusCode, reason: str, field: str, rule: str) -> AuthorityError:
    return AuthorityError(code, f"{field} {rule}", reason=reason, field=field)


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _checksum(text: str) -> str:
    """CRC-32 in base 62, the most significant digit first."""
    rest, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = _LETTERS[digit] + digits
    return digits
