"""What is asked and what is answered, as values. None of them shows a key when it is printed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class TokenType(StrEnum):
    """The kind of a key."""

    SECRET = "secret"
    PUBLISHABLE = "publishable"
    RESTRICTED = "restricted"
    UNKNOWN = "unknown"
    """Of a server that is newer than this package. Only in answers."""


class TokenState(StrEnum):
    """Whether a key authenticates."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    """Of a server that is newer than this package. Only in answers."""


class AccountState(StrEnum):
    """Whether the keys of an account may pass at all."""

    ACTIVE = "active"
    HELD = "held"
    CLOSED = "closed"
    UNKNOWN = "unknown"
    """Of a server that is newer than this package."""


class RotationEnd(StrEnum):
    """How a rotation ends at once."""

    CUT = "cut"
    """The old key ends now."""
    CANCEL = "cancel"
    """The new key ends now, and the old one goes on."""


class ChangeAction(StrEnum):
    """What a change did."""

    CREATE = "create"
    REVOKE = "revoke"
    ROTATE_KEY = "rotate_key"
    END_KEY = "end_key"
    CANCEL_ROTATION = "cancel_rotation"
    HOLD = "hold"
    RESUME = "resume"
    CLOSE = "close"
    ATTEST = "attest"
    UNKNOWN = "unknown"
    """Of a server that is newer than this package."""


class RefusalReason(StrEnum):
    """Which check a key failed, in the order of the checks."""

    KEY_MALFORMED = "key_malformed"
    KEY_UNKNOWN = "key_unknown"
    TOKEN_REVOKED = "token_revoked"
    KEY_RETIRED = "key_retired"
    """A newer key of the same token has taken its place."""
    TOKEN_EXPIRED = "token_expired"
    ACCOUNT_CLOSED = "account_closed"
    TOKEN_HELD = "token_held"
    """The key is not bad, and may pass again, as with the next one."""
    ACCOUNT_HELD = "account_held"
    LIVEMODE_MISMATCH = "livemode_mismatch"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    INSUFFICIENT_PERMISSIONS = "insufficient_permissions"
    UNKNOWN = "unknown"
    """Of a server that is newer than this package. A refusal like the others."""


class DecisionSource(StrEnum):
    """Whence a decision comes."""

    AUTHORITY = "authority"
    """Also that of a text that cannot be a key, for which no call is made."""
    CACHE = "cache"
    """The client decided from its cache, without a call."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks of its key. `permissions` has no default: a route that asks for none says `()`."""

    permissions: Collection[str]
    livemode: bool | None = None
    """The mode that may pass; None for both."""
    types: Collection[TokenType] = ()
    """The types that may pass; empty for secret and restricted."""

    def __post_init__(self) -> None:
        if isinstance(self.permissions, str):
            raise TypeError("permissions must be a collection of strings, not one string")
        # A list could be changed by whoever gave it.
        object.__setattr__(self, "permissions", tuple(self.permissions))
        object.__setattr__(self, "types", tuple(self.types))


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts with an accepted key, and within which bounds."""

    token_id: str
    account: str
    type: TokenType
    livemode: bool
    permissions: tuple[str, ...]
    """What a restricted key was given; empty for the other types."""
    expires_at: datetime | None
    source: DecisionSource = field(default=DecisionSource.AUTHORITY, compare=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decided no, and why."""

    reason: RefusalReason
    missing_permissions: tuple[str, ...] = ()
    token_id: str | None = None
    """For support. None where no token is known."""
    account: str | None = None
    source: DecisionSource = field(default=DecisionSource.AUTHORITY, compare=False)


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What is known of a key beside itself."""

    hint: str
    """The last 4 characters."""
    issued_at: datetime
    ends_at: datetime | None
    """From then on the key is refused as retired. None while no rotation has given it an end."""
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Token:
    """The record of a key. It never holds the key."""

    id: str
    account: str
    name: str
    type: TokenType
    livemode: bool
    key_prefix: str
    key_hint: str
    """The last 4 characters of the key."""
    permissions: tuple[str, ...]
    state: TokenState
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    revoke_reason: str
    keys: tuple[TokenKey, ...]
    """Those that live first, then those that have ended, each newest first: at most ten."""
    held: bool
    """By a hold of its own."""
    account_state: AccountState


class HolderKind(StrEnum):
    """What kind of program decides from memory."""

    NODE = "node"
    """A part of the authority itself."""
    GATEWAY = "gateway"
    UNKNOWN = "unknown"
    """Of a server that is newer than this package."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A program that may decide from memory: a part of the authority itself, or a gateway with a cache."""

    kind: HolderKind
    identity: str
    """The identity that it called with; of a node, its name."""
    heard_at: datetime | None = None
    """When it was last heard from. None where that is not known."""
    until: datetime | None = None
    """Until when it may decide as before the change. None unless it is unconfirmed."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of those that decide from memory, when a change took something away or gave it back."""

    acknowledged_count: int = 0
    """How many have said that they know of the change."""
    silent: tuple[Holder, ...] = ()
    """Those that said nothing until they could decide from memory no longer: they were waited out."""
    unconfirmed: tuple[Holder, ...] = ()
    """Nodes of the authority that said nothing and may decide as before, each until its `until`: cut off from their
    database, with a grace that their operator allows. Empty without such a grace."""


@dataclass(frozen=True, slots=True)
class Created:
    """The answer to `create` and `rotate_key`. The key is shown here and never again."""

    token: Token
    key: str | None = field(repr=False)
    """None only when a request id was sent again, and the token was revoked or the key has ended since."""
    revision: int
    settlement: Settlement = Settlement()
    """Of an old key that `rotate_key` ended; of a creation it is empty."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """The answer to `revoke`."""

    token: Token
    revision: int
    settlement: Settlement = Settlement()


@dataclass(frozen=True, slots=True)
class RotationEnded:
    """The answer to `end_rotation`."""

    token: Token
    revision: int
    settlement: Settlement = Settlement()


@dataclass(frozen=True, slots=True)
class Held:
    """The answer to `set_hold`: what was named, as it is now. The other is None."""

    token: Token | None
    account: "Account | None"
    revision: int
    settlement: Settlement = Settlement()


@dataclass(frozen=True, slots=True)
class Closed:
    """The answer to `close_account`."""

    account: "Account"
    revision: int
    settlement: Settlement = Settlement()


@dataclass(frozen=True, slots=True)
class BulkRevoked:
    """The answer to `revoke_tokens`."""

    matched: int
    """Of a dry run: how many tokens match. 10,000 stands for that many or more."""
    sample_ids: tuple[str, ...]
    """Of a dry run: the newest of them, 100 at the most."""
    up_to_revision: int
    """What the next call is sent with."""
    revoked: int
    """How many this call has revoked."""
    done: bool
    """With `force`: whether none is left. Else call again."""
    settlement: Settlement = Settlement()


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the journal: what was done to a token or to an account."""

    revision: int
    action: ChangeAction
    token_id: str
    """Empty when an account was changed, or nothing."""
    caller: str
    changed_at: datetime
    hash: bytes
    account: str
    token_name: str
    token_type: TokenType | None
    """None when no token was changed."""
    reason: str
    """Why, in the words of the caller. Empty when none was given."""
    revoke_reason: str
    """Deprecated: use reason, which every action has."""
    facts: str
    """JSON of what was done, which the hash covers. Empty for old changes."""


@dataclass(frozen=True, slots=True)
class Account:
    """An owner of tokens, and how many it has by their state now. 10,000 stands for that many or more."""

    account: str
    active_count: int
    expired_count: int
    revoked_count: int
    state: AccountState


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Which tokens to list. What is given must all hold."""

    account: str = ""
    """Empty for every account, which only an operator may ask for."""
    types: Collection[TokenType] = ()
    livemode: bool | None = None
    states: Collection[TokenState] = ()
    permission: str = ""
    """Only tokens whose key covers this permission."""
    created_from: datetime | None = None
    created_before: datetime | None = None
    expires_from: datetime | None = None
    expires_before: datetime | None = None
    unused_since: datetime | None = None
    name_contains: str = ""
    key_hint: str = ""
    created_by: str = ""
    """The identity of a service, or the id of a token whose key made them over REST."""
    held: bool | None = None
    """Whether a hold of the token's own, or of its account, is on it."""
    rotating: bool | None = None
    """Whether two keys live now."""


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes to list. What is given must all hold."""

    token_id: str = ""
    """Empty for every token, which only an operator may ask for."""
    caller: str = ""
    action: ChangeAction | None = None
    account: str = ""
    changed_from: datetime | None = None
    changed_before: datetime | None = None
    after_revision: int = 0
    """Only changes after this one: for a tail, the last page's `reached_revision`."""
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """Some of what was asked for. It may be empty and have a page after it all the same."""

    items: Sequence[_Item]
    next_page_token: str | None
    previous_page_token: str | None = None
    """Of older answers only `list_tokens` has it."""
    reached_revision: int = 0
    """Of `list_changes` with `oldest_first`: no change up to this one that passes the filters comes after this page."""
