import datetime

from . import token_pb2 as _token_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChangeAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_ACTION_UNSPECIFIED: _ClassVar[ChangeAction]
    CHANGE_ACTION_CREATE: _ClassVar[ChangeAction]
    CHANGE_ACTION_REVOKE: _ClassVar[ChangeAction]
    CHANGE_ACTION_ATTEST: _ClassVar[ChangeAction]

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
CHANGE_ACTION_UNSPECIFIED: ChangeAction
CHANGE_ACTION_CREATE: ChangeAction
CHANGE_ACTION_REVOKE: ChangeAction
CHANGE_ACTION_ATTEST: ChangeAction
REFUSAL_REASON_UNSPECIFIED: RefusalReason
REFUSAL_REASON_KEY_MALFORMED: RefusalReason
REFUSAL_REASON_KEY_UNKNOWN: RefusalReason
REFUSAL_REASON_TOKEN_REVOKED: RefusalReason
REFUSAL_REASON_TOKEN_EXPIRED: RefusalReason
REFUSAL_REASON_LIVEMODE_MISMATCH: RefusalReason
REFUSAL_REASON_TYPE_NOT_ALLOWED: RefusalReason
REFUSAL_REASON_INSUFFICIENT_PERMISSIONS: RefusalReason

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
    __slots__ = ("token", "revision")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    token: _token_pb2.Token
    revision: int
    def __init__(self, token: _Optional[_Union[_token_pb2.Token, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("account", "active_count", "expired_count", "revoked_count")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_COUNT_FIELD_NUMBER: _ClassVar[int]
    account: str
    active_count: int
    expired_count: int
    revoked_count: int
    def __init__(self, account: _Optional[str] = ..., active_count: _Optional[int] = ..., expired_count: _Optional[int] = ..., revoked_count: _Optional[int] = ...) -> None: ...

class AuthenticateRequest(_message.Message):
    __slots__ = ("key", "required_permissions", "livemode", "allowed_types")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    LIVEMODE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_TYPES_FIELD_NUMBER: _ClassVar[int]
    key: str
    required_permissions: _containers.RepeatedScalarFieldContainer[str]
    livemode: bool
    allowed_types: _containers.RepeatedScalarFieldContainer[_token_pb2.TokenType]
    def __init__(self, key: _Optional[str] = ..., required_permissions: _Optional[_Iterable[str]] = ..., livemode: _Optional[bool] = ..., allowed_types: _Optional[_Iterable[_Union[_token_pb2.TokenType, str]]] = ...) -> None: ...

class AuthenticateResponse(_message.Message):
    __slots__ = ("principal", "refusal")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    principal: Principal
    refusal: Refusal
    def __init__(self, principal: _Optional[_Union[Principal, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

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
