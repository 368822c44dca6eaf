"""The contract in memory, as far as `fake` says."""

import hashlib
import re
import secrets
import string
import threading
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.message import Message

from casapay_token_authority._proto.casapay.token.v1 import token_pb2, token_service_pb2
from casapay_token_authority.errors import AuthorityError

_LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PERMISSION = re.compile(r"[a-z][a-z0-9_]{0,62}:(read|write)")
_KEY = re.compile(r"(sk|pk|rk)_(live|test)_[0-9A-Za-z]{38}")
_ACCOUNT = re.compile(r"[!-~]{1,255}")
_PREFIXES = {
    token_pb2.TOKEN_TYPE_SECRET: "sk",
    token_pb2.TOKEN_TYPE_PUBLISHABLE: "pk",
    token_pb2.TOKEN_TYPE_RESTRICTED: "rk",
}


@dataclass(slots=True)
class _Kept:
    token: token_pb2.Token
    key: str
    revision: int
    request: token_service_pb2.CreateRequest


class FakeService:
    """Answers requests, as bytes, with responses, as bytes. What it refuses raises `AuthorityError`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []
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
            "List": self._list,
            "ListChanges": self._list_changes,
            "ListAccounts": self._list_accounts,
        }
        message = getattr(token_service_pb2, f"{rpc}Request").FromString(request)
        with self._lock:
            return answers[rpc](message).SerializeToString()

    def _create(self, request: token_service_pb2.CreateRequest) -> Message:
        self._check_create(request)
        again = [each for each in self._kept if request.request_id and each.request.request_id == request.request_id]
        kept = again[0] if again else self._issue(request)
        if kept.request != request:
            raise _refused(
                grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED", "request_id", "was used with another body"
            )
        token = self._shown(kept)
        is_revoked = token.state == token_pb2.TOKEN_STATE_REVOKED
        return token_service_pb2.CreateResponse(token=token, key="" if is_revoked else kept.key, revision=kept.revision)

    def _issue(self, request: token_service_pb2.CreateRequest) -> _Kept:
        prefix = f"{_PREFIXES[request.type]}_{'live' if request.livemode else 'test'}_"
        unchecked = prefix + _random_text(32)
        key = unchecked + _checksum(unchecked)
        token = token_pb2.Token(
            id=f"tok_{_random_text(20)}",
            account=request.account,
            name=request.name,
            type=request.type,
            livemode=request.livemode,
            key_prefix=prefix,
            key_hint=key[-4:],
            permissions=sorted(set(request.permissions)),
            create_time=self._now(),
            created_by="local",
        )
        if request.HasField("expire_time"):
            token.expire_time.CopyFrom(request.expire_time)
        kept = _Kept(token, key, self._note(token_service_pb2.CHANGE_ACTION_CREATE, token), request)
        self._kept.append(kept)
        return kept

    def _authenticate(self, request: token_service_pb2.AuthenticateRequest) -> Message:
        if not all(map(_PERMISSION.fullmatch, request.required_permissions)):
            raise _invalid("required_permissions", "must be resource:read or resource:write")
        key = request.key
        if not _KEY.fullmatch(key) or _checksum(key[:-6]) != key[-6:]:
            return _refusal("KEY_MALFORMED")
        kept = next((each for each in self._kept if each.key == key), None)
        if kept is None:
            return _refusal("KEY_UNKNOWN")
        token = self._shown(kept)
        missing = [each for each in request.required_permissions if not _covers(token, each)]
        types = request.allowed_types or [token_pb2.TOKEN_TYPE_SECRET, token_pb2.TOKEN_TYPE_RESTRICTED]
        if token.state == token_pb2.TOKEN_STATE_REVOKED:
            return _refusal("TOKEN_REVOKED", token)
        if token.state == token_pb2.TOKEN_STATE_EXPIRED:
            return _refusal("TOKEN_EXPIRED", token)
        if request.HasField("livemode") and request.livemode != token.livemode:
            return _refusal("LIVEMODE_MISMATCH", token)
        if token.type not in types:
            return _refusal("TYPE_NOT_ALLOWED", token)
        if missing:
            return _refusal("INSUFFICIENT_PERMISSIONS", token, missing)
        kept.token.last_use_time.FromDatetime(self._now())
        principal = token_service_pb2.Principal(
            token_id=token.id,
            account=token.account,
            type=token.type,
            livemode=token.livemode,
            permissions=token.permissions,
        )
        if token.HasField("expire_time"):
            principal.expire_time.CopyFrom(token.expire_time)
        return token_service_pb2.AuthenticateResponse(principal=principal)

    def _get(self, request: token_service_pb2.GetRequest) -> Message:
        kept = self._find("id", lambda each: each.token.id == request.id)
        return token_service_pb2.GetResponse(token=self._shown(kept))

    def _find_by_digest(self, request: token_service_pb2.FindByDigestRequest) -> Message:
        kept = self._find("digest", lambda each: hashlib.sha256(each.key.encode()).digest() == request.digest)
        return token_service_pb2.FindByDigestResponse(token=self._shown(kept))

    def _revoke(self, request: token_service_pb2.RevokeRequest) -> Message:
        kept = self._find("id", lambda each: each.token.id == request.id)
        revoked = token_service_pb2.CHANGE_ACTION_REVOKE
        if not kept.token.HasField("revoke_time"):
            kept.token.revoke_time.FromDatetime(self._now())
            kept.token.revoke_reason = request.reason
            self._note(revoked, kept.token)
        change = next(each for each in self._changes if each.token_id == request.id and each.action == revoked)
        return token_service_pb2.RevokeResponse(token=self._shown(kept), revision=change.revision)

    def _list(self, request: token_service_pb2.ListRequest) -> Message:
        _knows_only(request, {"account", "types", "livemode", "states", "permission"})

        def is_wanted(token: token_pb2.Token) -> bool:
            return (
                request.account in ("", token.account)
                and (not request.types or token.type in request.types)
                and (not request.HasField("livemode") or request.livemode == token.livemode)
                and (not request.states or token.state in request.states)
                and (not request.permission or _covers(token, request.permission))
            )

        shown = map(self._shown, reversed(self._kept))
        return token_service_pb2.ListResponse(tokens=[each for each in shown if is_wanted(each)])

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
        tokens = [each for each in map(self._shown, self._kept) if each.account.startswith(request.prefix)]

        def count(account: str, state: int) -> int:
            return sum(each.account == account and each.state == state for each in tokens)

        accounts = [
            token_service_pb2.Account(
                account=account,
                active_count=count(account, token_pb2.TOKEN_STATE_ACTIVE),
                expired_count=count(account, token_pb2.TOKEN_STATE_EXPIRED),
                revoked_count=count(account, token_pb2.TOKEN_STATE_REVOKED),
            )
            for account in sorted({each.account for each in tokens})
        ]
        return token_service_pb2.ListAccountsResponse(accounts=accounts)

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
        return token

    def _note(self, action: token_service_pb2.ChangeAction, token: token_pb2.Token) -> int:
        change = token_service_pb2.Change(
            revision=len(self._changes) + 1,
            action=action,
            token_id=token.id,
            caller="local",
            change_time=self._now(),
            account=token.account,
            token_name=token.name,
            token_type=token.type,
            reason=token.revoke_reason,
            revoke_reason=token.revoke_reason,
        )
        self._changes.append(change)
        return change.revision

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
