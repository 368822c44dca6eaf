"""Asks CasaPay's token authority: which key may pass, and everything about tokens."""

from casapay_token_authority.aio import AsyncTokenAuthority
from casapay_token_authority.client import TokenAuthority
from casapay_token_authority.errors import AuthorityError, Undecided
from casapay_token_authority.settings import MutualTls, Plaintext, Settings
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
    Page,
    Principal,
    Question,
    Refusal,
    RefusalReason,
    Revoked,
    RotationEnd,
    RotationEnded,
    Token,
    TokenFilter,
    TokenKey,
    TokenState,
    TokenType,
)

__version__ = "0.1.0"

__all__ = [
    "Account",
    "AccountState",
    "AsyncTokenAuthority",
    "AuthorityError",
    "BulkRevoked",
    "Change",
    "ChangeAction",
    "ChangeFilter",
    "Closed",
    "Created",
    "DecisionSource",
    "Held",
    "MutualTls",
    "Page",
    "Plaintext",
    "Principal",
    "Question",
    "Refusal",
    "RefusalReason",
    "Revoked",
    "RotationEnd",
    "RotationEnded",
    "Settings",
    "Token",
    "TokenAuthority",
    "TokenFilter",
    "TokenKey",
    "TokenState",
    "TokenType",
    "Undecided",
]
