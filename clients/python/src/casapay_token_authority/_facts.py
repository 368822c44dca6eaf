"""How a client decides about a key from what the authority said of it."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from casapay_token_authority.values import DecisionSource, Principal, Question, Refusal, RefusalReason, TokenType

CACHE_RULES = 1
"""The version of the rules in `judge`, by which the authority knows whether its answers may be kept."""
_MAX_PERMISSIONS = 16
_PERMISSION = re.compile(r"[a-z][a-z0-9_]{0,62}:(?:read|write)")
_TYPES = frozenset({TokenType.SECRET, TokenType.PUBLISHABLE, TokenType.RESTRICTED})
_TYPES_BY_DEFAULT = frozenset({TokenType.SECRET, TokenType.RESTRICTED})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the authority answers about a key to the widest question: every other one can be decided by it."""

    decision: Principal | Refusal
    covered: frozenset[str]
    """The permissions, and those that they cover: a permission to write covers reading."""

    @property
    def is_proven(self) -> bool:
        """Whether a token has this key, dead or alive."""
        return bool(self.decision.token_id)


def facts_of(decision: Principal | Refusal) -> Facts:
    if isinstance(decision, Refusal):
        return Facts(decision, frozenset())
    permissions, covered = _grant_of(decision.permissions)
    return Facts(replace(decision, permissions=permissions), covered)


@lru_cache(maxsize=1_000)
def _grant_of(permissions: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Most keys have one of a few: kept once."""
    reads = {f"{each.removesuffix('write')}read" for each in permissions if each.endswith(":write")}
    return permissions, frozenset({*permissions, *reads})


def judge(facts: Facts, question: Question, source: DecisionSource) -> Principal | Refusal | None:
    """Decides as the authority would: held by `clients/vectors/decisions.json`, which its own rules write.

    None where the authority would answer that the question is at fault.
    """
    if not is_decidable(question, facts.covered):
        return None
    known = facts.decision
    if isinstance(known, Refusal):
        return Refusal(known.reason, (), known.token_id, known.account, source)
    if question.livemode is not None and question.livemode != known.livemode:
        return Refusal(RefusalReason.LIVEMODE_MISMATCH, (), known.token_id, known.account, source)
    if known.type not in (question.types or _TYPES_BY_DEFAULT):
        return Refusal(RefusalReason.TYPE_NOT_ALLOWED, (), known.token_id, known.account, source)
    if known.type != TokenType.SECRET:
        missing = tuple(each for each in question.permissions if each not in facts.covered)
        if missing:
            return Refusal(RefusalReason.INSUFFICIENT_PERMISSIONS, missing, known.token_id, known.account, source)
    if known.source == source:
        return known
    return Principal(
        known.token_id, known.account, known.type, known.livemode, known.permissions, known.expires_at, source
    )


def is_decidable(question: Question, covered: Collection[str] = ()) -> bool:
    """Whether the authority would decide on it. What is covered is well-formed too."""
    return (
        (question.livemode is None or isinstance(question.livemode, bool))
        and all(isinstance(each, str) and each in _TYPES for each in question.types)
        and len(question.permissions) <= _MAX_PERMISSIONS
        and all(each in covered or _is_permission(each) for each in question.permissions)
    )


def _is_permission(permission: object) -> bool:
    return isinstance(permission, str) and _PERMISSION.fullmatch(permission) is not None
