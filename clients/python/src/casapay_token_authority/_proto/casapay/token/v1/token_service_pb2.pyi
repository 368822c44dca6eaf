import datetime

from . import token_pb2 as _token_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HolderKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOLDER_KIND_UNSPECIFIED: _ClassVar[HolderKind]
    HOLDER_KIND_NODE: _ClassVar[HolderKind]
    HOLDER_KIND_GATEWAY: _ClassVar[HolderKind]

class ChangeAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_ACTION_UNSPECIFIED: _ClassVar[ChangeAction]
    CHANGE_ACTION_CREATE: _ClassVar[ChangeAction]
    CHANGE_ACTION_REVOKE: _ClassVar[ChangeAction]
    CHANGE_ACTION_ROTATE_KEY: _ClassVar[ChangeAction]
    CHANGE_ACTION_END_KEY: _ClassVar[ChangeAction]
    CHANGE_ACTION_CANCEL_ROTATION: _ClassVar[ChangeAction]
    CHANGE_ACTION_HOLD: _ClassVar[ChangeAction]
    CHANGE_ACTION_RESUME: _ClassVar[ChangeAction]
    CHANGE_ACTION_CLOSE: _ClassVar[ChangeAction]
    CHANGE_ACTION_ATTEST: _ClassVar[ChangeAction]

class ResetReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESET_REASON_UNSPECIFIED: _ClassVar[ResetReason]
    RESET_REASON_TOO_FAR_BEHIND: _ClassVar[ResetReason]
    RESET_REASON_HISTORY_DIFFERS: _ClassVar[ResetReason]

class RefusalReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_REASON_UNSPECIFIED: _ClassVar[RefusalReason]
    REFUSAL_REASON_KEY_MALFORMED: _ClassVar[RefusalReason]
    REFUSAL_REASON_KEY_UNKNOWN: _ClassVar[RefusalReason]
    REFUSAL_REASON_TOKEN_REVOKED: _ClassVar[RefusalReason]
    REFUSAL_REASON_TOKEN_EXPIRED: _ClassVar[RefusalReason]
    REFUSAL_REASON_LIVEMODE_MISMATCH: _ClassVar[RefusalReason]
    REFUSAL_REASON_TYPE_NOT_ALLOWED: _ClassVar[RefusalReason]
    REFUSAL_REASON_INSUFFICIENT_PERMISSIONS: _ClassVar[RefusalReason]
    REFUSAL_REASON_KEY_RETIRED: _ClassVar[RefusalReason]
    REFUSAL_REASON_TOKEN_HELD: _ClassVar[RefusalReason]
    REFUSAL_REASON_ACCOUNT_HELD: _ClassVar[RefusalReason]
    REFUSAL_REASON_ACCOUNT_CLOSED: _ClassVar[RefusalReason]
HOLDER_KIND_UNSPECIFIED: HolderKind
HOLDER_KIND_NODE: HolderKind
HOLDER_KIND_GATEWAY: HolderKind
CHANGE_ACTION_UNSPECIFIED: ChangeAction
CHANGE_ACTION_CREATE: ChangeAction
CHANGE_ACTION_REVOKE: ChangeAction
CHANGE_ACTION_ROTATE_KEY: ChangeAction
CHANGE_ACTION_END_KEY: ChangeAction
CHANGE_ACTION_CANCEL_ROTATION: ChangeAction
CHANGE_ACTION_HOLD: ChangeAction
CHANGE_ACTION_RESUME: ChangeAction
CHANGE_ACTION_CLOSE: ChangeAction
CHANGE_ACTION_ATTEST: ChangeAction
RESET_REASON_UNSPECIFIED: ResetReason
RESET_REASON_TOO_FAR_BEHIND: ResetReason
RESET_REASON_HISTORY_DIFFERS: ResetReason
REFUSAL_REASON_UNSPECIFIED: RefusalReason
REFUSAL_REASON_KEY_MALFORMED: RefusalReason
REFUSAL_REASON_KEY_UNKNOWN: RefusalReason
REFUSAL_REASON_TOKEN_REVOKED: RefusalReason
REFUSAL_REASON_TOKEN_EXPIRED: RefusalReason
REFUSAL_REASON_LIVEMODE_MISMATCH: RefusalReason
REFUSAL_REASON_TYPE_NOT_ALLOWED: RefusalReason
REFUSAL_REASON_INSUFFICIENT_PERMISSIONS: RefusalReason
REFUSAL_REASON_KEY_RETIRED: RefusalReason
REFUSAL_REASON_TOKEN_HELD: RefusalReason
REFUSAL_REASON_ACCOUNT_HELD: RefusalReason
REFUSAL_REASON_ACCOUNT_CLOSED: RefusalReason

class CreateRequest(_message.Message):
    __slots__ = ("account", "name", "type", "livemode", "permissions", "expire_time", "request_id")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LIVEMODE_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    account: str
    name: str
    type: _token_pb2.TokenType
    livemode: bool
    permissions: _containers.RepeatedScalarFieldContainer[str]
    expire_time: _timestamp_pb2.Timestamp
    request_id: str
    def __init__(self, account: _Optional[str] = ..., name: _Optional[str] = ..., type: _Optional[_Union[_token_pb2.TokenType, str]] = ..., livemode: _Optional[bool] = ..., permissions: _Optional[_Iterable[str]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateResponse(_message.Message):
    __slots__ = ("token", "key", "revision")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    token: _token_pb2.Token
    key: str
    revision: int
    def __init__(self, token: _Optional[_Union[_token_pb2.Token, _Mapping]] = ..., key: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: _token_pb2.Token
    def __init__(self, token: _Optional[_Union[_token_pb2.Token, _Mapping]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "account", "types", "livemode", "states", "permission", "created_from", "created_before", "expires_before", "unused_since", "name_contains", "key_hint", "created_by", "expires_from", "held", "rotating")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    LIVEMODE_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_BEFORE_FIELD_NUMBER: _ClassVar[int]
    UNUSED_SINCE_FIELD_NUMBER: _ClassVar[int]
    NAME_CONTAINS_FIELD_NUMBER: _ClassVar[int]
    KEY_HINT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FROM_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    ROTATING_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    account: str
    types: _containers.RepeatedScalarFieldContainer[_token_pb2.TokenType]
    livemode: bool
    states: _containers.RepeatedScalarFieldContainer[_token_pb2.TokenState]
    permission: str
    created_from: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    expires_before: _timestamp_pb2.Timestamp
    unused_since: _timestamp_pb2.Timestamp
    name_contains: str
    key_hint: str
    created_by: str
    expires_from: _timestamp_pb2.Timestamp
    held: bool
    rotating: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., account: _Optional[str] = ..., types: _Optional[_Iterable[_Union[_token_pb2.TokenType, str]]] = ..., livemode: _Optional[bool] = ..., states: _Optional[_Iterable[_Union[_token_pb2.TokenState, str]]] = ..., permission: _Optional[str] = ..., created_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unused_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., name_contains: _Optional[str] = ..., key_hint: _Optional[str] = ..., created_by: _Optional[str] = ..., expires_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., held: _Optional[bool] = ..., rotating: _Optional[bool] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("tokens", "next_page_token", "previous_page_token")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[_token_pb2.Token]
    next_page_token: str
    previous_page_token: str
    def __init__(self, tokens: _Optional[_Iterable[_Union[_token_pb2.Token, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., previous_page_token: _Optional[str] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeResponse(_message.Message):
    __slots__ = ("token", "revision", "silent", "unconfirmed", "acknowledged_count")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    token: _token_pb2.Token
    revision: int
    silent: _containers.RepeatedCompositeFieldContainer[Holder]
    unconfirmed: _containers.RepeatedCompositeFieldContainer[Holder]
    acknowledged_count: int
    def __init__(self, token: _Optional[_Union[_token_pb2.Token, _Mapping]] = ..., revision: _Optional[int] = ..., silent: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., unconfirmed: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., acknowledged_count: _Optional[int] = ...) -> None: ...

class Holder(_message.Message):
    __slots__ = ("kind", "identity", "since_time", "until_time")
    KIND_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    kind: HolderKind
    identity: str
    since_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[_Union[HolderKind, str]] = ..., identity: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RotateKeyRequest(_message.Message):
    __slots__ = ("id", "overlap", "request_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    overlap: _duration_pb2.Duration
    request_id: str
    def __init__(self, id: _Optional[str] = ..., overlap: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RotateKeyResponse(_message.Message):
    __slots__ = ("token", "key", "revision", "silent", "unconfirmed", "acknowledged_count")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    token: _token_pb2.Token
    key: str
    revision: int
    silent: _containers.RepeatedCompositeFieldContainer[Holder]
    unconfirmed: _containers.RepeatedCompositeFieldContainer[Holder]
    acknowledged_count: int
    def __init__(self, token: _Optional[_Union[_token_pb2.Token, _Mapping]] = ..., key: _Optional[str] = ..., revision: _Optional[int] = ..., silent: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., unconfirmed: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., acknowledged_count: _Optional[int] = ...) -> None: ...

class EndRotationRequest(_message.Message):
    __slots__ = ("id", "cut_old_now", "move_end", "cancel")
    ID_FIELD_NUMBER: _ClassVar[int]
    CUT_OLD_NOW_FIELD_NUMBER: _ClassVar[int]
    MOVE_END_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    id: str
    cut_old_now: bool
    move_end: _timestamp_pb2.Timestamp
    cancel: bool
    def __init__(self, id: _Optional[str] = ..., cut_old_now: _Optional[bool] = ..., move_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cancel: _Optional[bool] = ...) -> None: ...

class EndRotationResponse(_message.Message):
    __slots__ = ("token", "revision", "silent", "unconfirmed", "acknowledged_count")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    token: _token_pb2.Token
    revision: int
    silent: _containers.RepeatedCompositeFieldContainer[Holder]
    unconfirmed: _containers.RepeatedCompositeFieldContainer[Holder]
    acknowledged_count: int
    def __init__(self, token: _Optional[_Union[_token_pb2.Token, _Mapping]] = ..., revision: _Optional[int] = ..., silent: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., unconfirmed: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., acknowledged_count: _Optional[int] = ...) -> None: ...

class SetHoldRequest(_message.Message):
    __slots__ = ("token_id", "account", "held", "reason")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    token_id: str
    account: str
    held: bool
    reason: str
    def __init__(self, token_id: _Optional[str] = ..., account: _Optional[str] = ..., held: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class SetHoldResponse(_message.Message):
    __slots__ = ("token", "account", "revision", "silent", "unconfirmed", "acknowledged_count")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    token: _token_pb2.Token
    account: Account
    revision: int
    silent: _containers.RepeatedCompositeFieldContainer[Holder]
    unconfirmed: _containers.RepeatedCompositeFieldContainer[Holder]
    acknowledged_count: int
    def __init__(self, token: _Optional[_Union[_token_pb2.Token, _Mapping]] = ..., account: _Optional[_Union[Account, _Mapping]] = ..., revision: _Optional[int] = ..., silent: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., unconfirmed: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., acknowledged_count: _Optional[int] = ...) -> None: ...

class CloseAccountRequest(_message.Message):
    __slots__ = ("account", "reason")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    account: str
    reason: str
    def __init__(self, account: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CloseAccountResponse(_message.Message):
    __slots__ = ("account", "revision", "silent", "unconfirmed", "acknowledged_count")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    account: Account
    revision: int
    silent: _containers.RepeatedCompositeFieldContainer[Holder]
    unconfirmed: _containers.RepeatedCompositeFieldContainer[Holder]
    acknowledged_count: int
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., revision: _Optional[int] = ..., silent: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., unconfirmed: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., acknowledged_count: _Optional[int] = ...) -> None: ...

class TokenFilter(_message.Message):
    __slots__ = ("account", "types", "livemode", "states", "permission", "created_from", "created_before", "expires_before", "unused_since", "name_contains", "key_hint", "created_by", "expires_from", "held", "rotating")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    LIVEMODE_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_BEFORE_FIELD_NUMBER: _ClassVar[int]
    UNUSED_SINCE_FIELD_NUMBER: _ClassVar[int]
    NAME_CONTAINS_FIELD_NUMBER: _ClassVar[int]
    KEY_HINT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FROM_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    ROTATING_FIELD_NUMBER: _ClassVar[int]
    account: str
    types: _containers.RepeatedScalarFieldContainer[_token_pb2.TokenType]
    livemode: bool
    states: _containers.RepeatedScalarFieldContainer[_token_pb2.TokenState]
    permission: str
    created_from: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    expires_before: _timestamp_pb2.Timestamp
    unused_since: _timestamp_pb2.Timestamp
    name_contains: str
    key_hint: str
    created_by: str
    expires_from: _timestamp_pb2.Timestamp
    held: bool
    rotating: bool
    def __init__(self, account: _Optional[str] = ..., types: _Optional[_Iterable[_Union[_token_pb2.TokenType, str]]] = ..., livemode: _Optional[bool] = ..., states: _Optional[_Iterable[_Union[_token_pb2.TokenState, str]]] = ..., permission: _Optional[str] = ..., created_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unused_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., name_contains: _Optional[str] = ..., key_hint: _Optional[str] = ..., created_by: _Optional[str] = ..., expires_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., held: _Optional[bool] = ..., rotating: _Optional[bool] = ...) -> None: ...

class RevokeTokensRequest(_message.Message):
    __slots__ = ("filter", "force", "up_to_revision", "reason")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    UP_TO_REVISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    filter: TokenFilter
    force: bool
    up_to_revision: int
    reason: str
    def __init__(self, filter: _Optional[_Union[TokenFilter, _Mapping]] = ..., force: _Optional[bool] = ..., up_to_revision: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeTokensResponse(_message.Message):
    __slots__ = ("matched", "sample_ids", "up_to_revision", "revoked", "done", "silent", "unconfirmed", "acknowledged_count")
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_IDS_FIELD_NUMBER: _ClassVar[int]
    UP_TO_REVISION_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    matched: int
    sample_ids: _containers.RepeatedScalarFieldContainer[str]
    up_to_revision: int
    revoked: int
    done: bool
    silent: _containers.RepeatedCompositeFieldContainer[Holder]
    unconfirmed: _containers.RepeatedCompositeFieldContainer[Holder]
    acknowledged_count: int
    def __init__(self, matched: _Optional[int] = ..., sample_ids: _Optional[_Iterable[str]] = ..., up_to_revision: _Optional[int] = ..., revoked: _Optional[int] = ..., done: _Optional[bool] = ..., silent: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., unconfirmed: _Optional[_Iterable[_Union[Holder, _Mapping]]] = ..., acknowledged_count: _Optional[int] = ...) -> None: ...

class FindByDigestRequest(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    def __init__(self, digest: _Optional[bytes] = ...) -> None: ...

class FindByDigestResponse(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: _token_pb2.Token
    def __init__(self, token: _Optional[_Union[_token_pb2.Token, _Mapping]] = ...) -> None: ...

class ListChangesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "token_id", "caller", "action", "account", "changed_from", "changed_before", "after_revision", "oldest_first")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FROM_FIELD_NUMBER: _ClassVar[int]
    CHANGED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    token_id: str
    caller: str
    action: ChangeAction
    account: str
    changed_from: _timestamp_pb2.Timestamp
    changed_before: _timestamp_pb2.Timestamp
    after_revision: int
    oldest_first: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., token_id: _Optional[str] = ..., caller: _Optional[str] = ..., action: _Optional[_Union[ChangeAction, str]] = ..., account: _Optional[str] = ..., changed_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., changed_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., after_revision: _Optional[int] = ..., oldest_first: _Optional[bool] = ...) -> None: ...

class ListChangesResponse(_message.Message):
    __slots__ = ("changes", "next_page_token", "reached_revision")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REACHED_REVISION_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    next_page_token: str
    reached_revision: int
    def __init__(self, changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., reached_revision: _Optional[int] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("revision", "action", "token_id", "caller", "change_time", "hash", "account", "token_name", "revoke_reason", "token_type", "reason", "facts")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_NAME_FIELD_NUMBER: _ClassVar[int]
    REVOKE_REASON_FIELD_NUMBER: _ClassVar[int]
    TOKEN_TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    revision: int
    action: ChangeAction
    token_id: str
    caller: str
    change_time: _timestamp_pb2.Timestamp
    hash: bytes
    account: str
    token_name: str
    revoke_reason: str
    token_type: _token_pb2.TokenType
    reason: str
    facts: str
    def __init__(self, revision: _Optional[int] = ..., action: _Optional[_Union[ChangeAction, str]] = ..., token_id: _Optional[str] = ..., caller: _Optional[str] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., hash: _Optional[bytes] = ..., account: _Optional[str] = ..., token_name: _Optional[str] = ..., revoke_reason: _Optional[str] = ..., token_type: _Optional[_Union[_token_pb2.TokenType, str]] = ..., reason: _Optional[str] = ..., facts: _Optional[str] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "prefix")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    prefix: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., prefix: _Optional[str] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts", "next_page_token")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    next_page_token: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("account", "active_count", "expired_count", "revoked_count", "state")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    account: str
    active_count: int
    expired_count: int
    revoked_count: int
    state: _token_pb2.AccountState
    def __init__(self, account: _Optional[str] = ..., active_count: _Optional[int] = ..., expired_count: _Optional[int] = ..., revoked_count: _Optional[int] = ..., state: _Optional[_Union[_token_pb2.AccountState, str]] = ...) -> None: ...

class AuthenticateRequest(_message.Message):
    __slots__ = ("key", "required_permissions", "livemode", "allowed_types", "cache_rules", "min_revision")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    LIVEMODE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_TYPES_FIELD_NUMBER: _ClassVar[int]
    CACHE_RULES_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    key: str
    required_permissions: _containers.RepeatedScalarFieldContainer[str]
    livemode: bool
    allowed_types: _containers.RepeatedScalarFieldContainer[_token_pb2.TokenType]
    cache_rules: int
    min_revision: int
    def __init__(self, key: _Optional[str] = ..., required_permissions: _Optional[_Iterable[str]] = ..., livemode: _Optional[bool] = ..., allowed_types: _Optional[_Iterable[_Union[_token_pb2.TokenType, str]]] = ..., cache_rules: _Optional[int] = ..., min_revision: _Optional[int] = ...) -> None: ...

class AuthenticateResponse(_message.Message):
    __slots__ = ("principal", "refusal", "revision", "cache_for")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CACHE_FOR_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    refusal: Refusal
    revision: int
    cache_for: _duration_pb2.Duration
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., revision: _Optional[int] = ..., cache_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("sequence", "applied_revision", "applied_hash", "uses", "release")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    APPLIED_REVISION_FIELD_NUMBER: _ClassVar[int]
    APPLIED_HASH_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    applied_revision: int
    applied_hash: bytes
    uses: _containers.RepeatedCompositeFieldContainer[ReportedUse]
    release: bool
    def __init__(self, sequence: _Optional[int] = ..., applied_revision: _Optional[int] = ..., applied_hash: _Optional[bytes] = ..., uses: _Optional[_Iterable[_Union[ReportedUse, _Mapping]]] = ..., release: _Optional[bool] = ...) -> None: ...

class ReportedUse(_message.Message):
    __slots__ = ("digest", "age", "accepted_count")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    age: _duration_pb2.Duration
    accepted_count: int
    def __init__(self, digest: _Optional[bytes] = ..., age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., accepted_count: _Optional[int] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("lease", "forget", "reset")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    forget: Forget
    reset: Reset
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ..., forget: _Optional[_Union[Forget, _Mapping]] = ..., reset: _Optional[_Union[Reset, _Mapping]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("sequence", "duration", "grace", "revision", "hash")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    duration: _duration_pb2.Duration
    grace: _duration_pb2.Duration
    revision: int
    hash: bytes
    def __init__(self, sequence: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., revision: _Optional[int] = ..., hash: _Optional[bytes] = ...) -> None: ...

class Forget(_message.Message):
    __slots__ = ("revision", "digest", "account", "token_id", "more")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    revision: int
    digest: bytes
    account: str
    token_id: str
    more: bool
    def __init__(self, revision: _Optional[int] = ..., digest: _Optional[bytes] = ..., account: _Optional[str] = ..., token_id: _Optional[str] = ..., more: _Optional[bool] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ("revision", "reason", "hash")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    revision: int
    reason: ResetReason
    hash: bytes
    def __init__(self, revision: _Optional[int] = ..., reason: _Optional[_Union[ResetReason, str]] = ..., hash: _Optional[bytes] = ...) -> None: ...

class Principal(_message.Message):
    __slots__ = ("token_id", "account", "type", "livemode", "permissions", "expire_time")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LIVEMODE_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    token_id: str
    account: str
    type: _token_pb2.TokenType
    livemode: bool
    permissions: _containers.RepeatedScalarFieldContainer[str]
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, token_id: _Optional[str] = ..., account: _Optional[str] = ..., type: _Optional[_Union[_token_pb2.TokenType, str]] = ..., livemode: _Optional[bool] = ..., permissions: _Optional[_Iterable[str]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("reason", "missing_permissions", "token_id", "account")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MISSING_PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    reason: RefusalReason
    missing_permissions: _containers.RepeatedScalarFieldContainer[str]
    token_id: str
    account: str
    def __init__(self, reason: _Optional[_Union[RefusalReason, str]] = ..., missing_permissions: _Optional[_Iterable[str]] = ..., token_id: _Optional[str] = ..., account: _Optional[str] = ...) -> None: ...
