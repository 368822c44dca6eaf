"""Asks CasaPay's token authority: which key may pass, and everything about tokens."""

from casapay_token_authority.aio import AsyncTokenAuthority
from casapay_token_authority.client import TokenAuthority
from casapay_token_authority.errors import AuthorityError, Undecided
from casapay_token_authority.settings import MutualTls, Plaintext, Settings
from casapay_token_authority.values import (
    Account,
    Change,
    ChangeAction,
    ChangeFilter,
    Created,
    DecisionSource,
    Page,
    Principal,
    Question,
    Refusal,
    RefusalReason,
    Revoked,
    Token,
    TokenFilter,
    TokenState,
    TokenType,
)

__version__ = "0.1.0"

__all__ = [
    "Account",
    "AsyncTokenAuthority",
    "AuthorityError",
    "Change",
    "ChangeAction",
    "ChangeFilter",
    "Created",
    "DecisionSource",
    "MutualTls",
    "Page",
    "Plaintext",
    "Principal",
    "Question",
    "Refusal",
    "RefusalReason",
    "Revoked",
    "Settings",
    "Token",
    "TokenAuthority",
    "TokenFilter",
    "TokenState",
    "TokenType",
    "Undecided",
]
