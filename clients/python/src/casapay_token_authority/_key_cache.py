"""Decisions from memory."""

import math
import os
import threading
import weakref
from hashlib import sha256
from typing import NamedTuple

from casapay_token_authority._facts import Facts, is_decidable, judge
from casapay_token_authority._forgets import Forgets
from casapay_token_authority._lease import MACHINE, NO_LEASE, Clocks, Moment, have_moved, lease_from
from casapay_token_authority.values import DecisionSource, Principal, Question, Refusal

_MAX_KEY_LENGTH = 512
_MAX_UNKNOWN_SECONDS = 5.0
_MAX_WORDS = 65_536
_MAX_USED_KEYS = 65_536
"""Uses that were not reported yet are kept for so many keys, and then lost."""
# Measured, with what Python's objects and dictionaries take beside the texts.
_ENTRY_BYTES = 660
_PERMISSION_BYTES = 160


class _Entry:
    """What is kept of a key: its SHA-256 and what the authority said. Never the key."""

    __slots__ = ("accepted", "bytes", "digest", "facts", "latest", "principal", "revision", "until", "used_at")

    def __init__(self, digest: bytes, facts: Facts, revision: int, until: float) -> None:
        self.digest = digest
        self.facts = facts
        self.revision = revision
        self.until = until
        self.principal = facts.decision if isinstance(facts.decision, Principal) else _NOBODY
        self.bytes = _ENTRY_BYTES + sum(len(each) + _PERMISSION_BYTES for each in facts.covered)
        self.accepted = 0
        self.used_at = 0.0
        # The last question and its decision: a route asks always the same, and neither ever changes. One value, so that
        # no thread sees the decision of another question.
        self.latest: tuple[Question | None, Principal | Refusal | None] = (None, None)


_NOBODY = object()


class Fill(NamedTuple):
    """A question about a key that was put to the authority so that its answer may be kept."""

    digest: bytes
    begun_at: float
    epoch: int
    """What was begun before everything was forgotten is not kept after it."""
    overruled: int
    """Nor what was begun before an answer that was not for the cache."""


class Answer(NamedTuple):
    """What the authority says to the widest question."""

    facts: Facts | None
    """None for an answer that this package does not know how to decide by."""
    revision: int
    """Up to which the authority knew all changes when it answered."""
    cache_for: float
    """Seconds. 0: not to be kept."""


class Use(NamedTuple):
    """Accepted by this client itself, without the authority."""

    digest: bytes
    age: float
    accepted: int


class _TwoGenerations:
    """A map bounded in bytes that forgets what was not asked for lately.

    What is found in the old half moves to the young one; when the young half is full it becomes the old one, and what
    was left in the old half is gone.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_half_bytes = max_bytes // 2
        self.clear()

    def clear(self) -> None:
        self.young: dict[bytes, _Entry] = {}
        self.old: dict[bytes, _Entry] = {}
        self._young_bytes = 0
        self._newest = self._old_newest = 0
        self.let_go = 0
        """The highest revision of what was let go without a word of the authority, or more: an older answer is not
        kept, so that nobody is told what was true before that."""

    def get_old(self, digest: bytes) -> _Entry | None:
        entry = self.old.get(digest)
        if entry is not None:
            self.set(entry)
        return entry

    def newest_of(self, digest: bytes) -> int:
        """Up to which revision somebody may have been told about the key."""
        entry = self.young.get(digest) or self.old.get(digest)
        return self.let_go if entry is None else max(entry.revision, self.let_go)

    def set(self, entry: _Entry) -> None:
        self.delete(entry.digest)
        if entry.bytes > self._max_half_bytes:
            self.let_go = max(self.let_go, entry.revision)
            return
        if self._young_bytes + entry.bytes > self._max_half_bytes:
            self.let_go = max(self.let_go, self._old_newest)
            self.old, self.young, self._young_bytes = self.young, {}, 0
            self._old_newest, self._newest = self._newest, 0
        self.young[entry.digest] = entry
        self._young_bytes += entry.bytes
        self._newest = max(self._newest, entry.revision)

    def delete(self, digest: bytes, before: float = math.inf) -> None:
        """What is of this revision or of a later one stays."""
        entry = self.young.get(digest)
        if entry is not None and entry.revision < before:
            del self.young[digest]
            self._young_bytes -= entry.bytes
        entry = self.old.get(digest)
        if entry is not None and entry.revision < before:
            del self.old[digest]

    def delete_account(self, account: str, before: int) -> None:
        """Walks through all."""
        for half in (self.young, self.old):
            for digest in [each.digest for each in half.values() if each.facts.decision.account == account]:
                self.delete(digest, before)

    def __len__(self) -> int:
        return len(self.young) + len(self.old)


class KeyCache:
    """Decides from memory, which is true while a lease is held and every word of the authority is applied in order.

    Proven keys and unknown ones are kept apart, so that a flood of unknown keys pushes out no other. For any number of
    threads: `decide` takes no lock where it finds an answer, and whatever changes what is kept holds one.
    """

    def __init__(self, max_bytes: int, clocks: Clocks = MACHINE) -> None:
        self._clocks = clocks
        self._monotonic, self._wall = clocks
        self._lock = threading.RLock()
        self._lease = NO_LEASE
        self._asked: Moment | None = None
        self._forgets = Forgets(_MAX_WORDS)
        self._proven = _TwoGenerations(max_bytes // 8 * 7)
        self._unknown = _TwoGenerations(max_bytes // 8)
        self._epoch = 0
        self._overruled = 0
        self._used: list[_Entry] = []
        _caches.add(self)

    def decide(self, key: str, question: Question) -> Principal | Refusal | None:
        """None when the authority must be asked. Hot path."""
        now = self._monotonic()
        wall = self._wall()
        until, wall_until, least, most = self._lease
        if not (now < until and wall < wall_until and least <= wall - now <= most):
            self._look_at_clocks(Moment(now, wall))
            return None
        try:
            if len(key) > _MAX_KEY_LENGTH:
                return None
            digest = sha256(key.encode()).digest()
        except (AttributeError, TypeError, UnicodeEncodeError):
            # No text, or none that UTF-8 has.
            return None
        entry = self._proven.young.get(digest) or self._find(digest)
        if entry is None or now >= entry.until:
            return None
        asked, decision = entry.latest
        if asked is not question:
            decision = judge(entry.facts, question, DecisionSource.CACHE)
            entry.latest = (question, decision)
        if decision is entry.principal:
            if entry.accepted:
                entry.accepted += 1
                entry.used_at = now
            else:
                self._note(entry, now)
        return decision

    def _find(self, digest: bytes) -> _Entry | None:
        with self._lock:
            return self._proven.get_old(digest) or self._unknown.young.get(digest) or self._unknown.get_old(digest)

    def _note(self, entry: _Entry, now: float) -> None:
        with self._lock:
            if entry.accepted == 0:
                if len(self._used) >= _MAX_USED_KEYS:
                    return
                self._used.append(entry)
            entry.accepted += 1
            entry.used_at = now

    def is_held(self) -> bool:
        """Whether memory may be decided from."""
        now, lease = self._clocks.now(), self._lease
        self._look_at_clocks(now)
        until, wall_until, _, _ = lease
        return now.monotonic < until and now.wall < wall_until and not have_moved(lease, now)

    def _look_at_clocks(self, now: Moment) -> None:
        if have_moved(self._lease, now):
            # How long entries were kept is not known any more either.
            self.forget_all()

    def begin_fill(self, key: str, question: Question) -> Fill | None:
        """None when the answer could not be kept, or the question is not one to decide here: then ask it as it is."""
        epoch, overruled = self._epoch, self._overruled
        begun_at = self._monotonic()
        if not is_decidable(question) or not self.is_held():
            return None
        return Fill(sha256(key.encode()).digest(), begun_at, epoch, overruled)

    def end_fill(self, fill: Fill, answer: Answer, question: Question) -> Principal | Refusal | None:
        """Decides by the answer to the widest question, and keeps the answer where that is right."""
        facts = answer.facts
        if facts is None:
            return None
        seconds = answer.cache_for if facts.is_proven else min(answer.cache_for, _MAX_UNKNOWN_SECONDS)
        entry = _Entry(fill.digest, facts, answer.revision, fill.begun_at + seconds)
        with self._lock:
            # Of another history, perhaps, its revision tells nothing.
            if fill.epoch == self._epoch:
                is_allowed = self._forgets.allow(fill.digest, facts.decision.account, answer.revision)
                if seconds > 0 and is_allowed and fill.overruled == self._overruled:
                    self._keep(entry)
                else:
                    self._proven.let_go = max(self._proven.let_go, answer.revision)
        decision = judge(facts, question, DecisionSource.AUTHORITY)
        if isinstance(decision, Principal):
            # The authority notes no use of a key when it is asked the widest question.
            self._note(entry, self._monotonic())
        return decision

    def _keep(self, entry: _Entry) -> None:
        """Lets no older answer take the place of a newer one."""
        digest = entry.digest
        if entry.revision < max(self._proven.newest_of(digest), self._unknown.newest_of(digest)):
            return
        into, other = (self._proven, self._unknown) if entry.facts.is_proven else (self._unknown, self._proven)
        other.delete(digest)
        into.set(entry)

    def overrule(self, key: str) -> None:
        """An answer that was not for the cache has come, and may be newer than what is kept of the key."""
        digest = sha256(key.encode()).digest()
        with self._lock:
            self._overruled += 1
            self._proven.delete(digest)
            self._unknown.delete(digest)

    def renew(self, asked: Moment, seconds: float, revision: int) -> None:
        """Lets the cache decide for a while, as of this revision.

        `asked` is from before the request was sent that the authority grants.
        """
        with self._lock:
            if self._asked is not None and have_moved(lease_from(self._asked, 0), asked):
                self.forget_all()
            # Every change after this revision will be told.
            self._forgets.begin(revision)
            self._asked = asked
            self._lease = lease_from(asked, seconds)

    def end_lease(self) -> None:
        """Gives the lease up. Takes no lock: a fork may have left it held for ever."""
        self._lease = NO_LEASE

    def forget_key(self, digest: bytes, revision: int) -> None:
        """A change after which the key with this digest may be decided on differently."""
        with self._lock:
            self._forgets.remember(digest, revision)
            # What the authority answered as of this change or a later one is still true.
            self._proven.delete(digest, revision)
            self._unknown.delete(digest, revision)

    def forget_account(self, account: str, revision: int) -> None:
        """A change after which every key of this account may be decided on differently."""
        with self._lock:
            self._forgets.remember(account, revision)
            self._proven.delete_account(account, revision)

    def reset(self, revision: int) -> None:
        """Forgets all, because the authority cannot tell what was missed, and goes on from this revision."""
        with self._lock:
            self.forget_all()
            self._forgets.begin(revision)

    def forget_all(self) -> None:
        """Gives up the lease and all that is kept. Nothing is kept again before the next lease."""
        with self._lock:
            self._lease = NO_LEASE
            self._asked = None
            self._forgets.end()
            self._proven.clear()
            self._unknown.clear()
            self._epoch += 1

    def take_uses(self, most: int) -> list[Use]:
        """The uses since the last time, of at most so many keys."""
        with self._lock:
            now = self._monotonic()
            taken, self._used = self._used[:most], self._used[most:]
            uses = [Use(each.digest, max(now - each.used_at, 0.0), each.accepted) for each in taken]
            for each in taken:
                each.accepted = 0
            return uses

    @property
    def used_keys(self) -> int:
        """How many keys have uses to report."""
        return len(self._used)

    def __len__(self) -> int:
        return len(self._proven) + len(self._unknown)


_caches: "weakref.WeakSet[KeyCache]" = weakref.WeakSet()


def _end_leases() -> None:
    # The words of the authority go on to the other process.
    for cache in _caches:
        cache.end_lease()


os.register_at_fork(after_in_child=_end_leases)
