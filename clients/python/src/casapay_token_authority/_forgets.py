"""What must be forgotten."""

_Word = bytes | str


class Forgets:
    """The authority's latest words of what must be forgotten, so that no answer from before such a word is kept.

    The newest are remembered; an answer from before the others, or from before anything was heard, is not kept. A word
    is about a key, by its digest, or about an account, by its name.
    """

    def __init__(self, most: int) -> None:
        """At most so many are remembered, and at least half of them."""
        self._half = most // 2
        self.end()

    def end(self) -> None:
        """What was remembered is no longer true: see `begin`."""
        self._young: dict[_Word, int] = {}
        self._old: dict[_Word, int] = {}
        self._young_revision = 0
        self._old_revision = 0
        self._floor: int | None = None

    def begin(self, revision: int) -> None:
        """From now on every word of a change after this revision is heard. Nothing happens when that is known."""
        if self._floor is None:
            self._floor = revision

    def remember(self, of: _Word, revision: int) -> None:
        if len(self._young) >= self._half:
            # What is dropped counts as forgotten for every key.
            if self._floor is not None:
                self._floor = max(self._floor, self._old_revision)
            self._old, self._old_revision = self._young, self._young_revision
            self._young, self._young_revision = {}, 0
        # After a resumption an older word may come again.
        self._young[of] = max(revision, self._latest(of))
        self._young_revision = max(self._young_revision, revision)

    def allow(self, digest: bytes, account: str | None, revision: int) -> bool:
        """Whether an answer about the key that is true at this revision may be kept."""
        return (
            self._floor is not None
            and revision >= self._floor
            and revision >= self._latest(digest)
            and (account is None or revision >= self._latest(account))
        )

    def _latest(self, of: _Word) -> int:
        return max(self._young.get(of, 0), self._old.get(of, 0))
