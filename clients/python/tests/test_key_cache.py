"""What may be decided from memory and for how long, with clocks that are moved by hand."""

import gc
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from casapay_token_authority import DecisionSource, Principal, Question, Refusal, RefusalReason, TokenType
from casapay_token_authority._facts import facts_of, judge
from casapay_token_authority._key_cache import Answer, Fill, KeyCache, Use
from casapay_token_authority._lease import Clocks, Moment
from casapay_token_authority._operations import read_answer
from casapay_token_authority._proto.casapay.token.v1 import token_service_pb2

ONE, OTHER = "sk_live_one", "sk_live_two"
ANYTHING = Question(())
VECTORS = json.loads((Path(__file__).parents[2] / "vectors/decisions.json").read_text())


@pytest.mark.parametrize("subject", VECTORS["facts"], ids=lambda subject: subject["name"])
def test_every_question_is_decided_as_the_authority_does(subject: dict[str, Any]) -> None:
    message = json_format.ParseDict(subject["answer"], token_service_pb2.AuthenticateResponse())
    facts = read_answer(message).facts
    for question, index in zip(VECTORS["questions"], subject["decisions"], strict=True):
        asked = Question(
            question.get("required_permissions", ()), question.get("livemode"), question.get("allowed_types", ())
        )
        decision = None if facts is None else judge(facts, asked, DecisionSource.CACHE)
        assert _told(decision) == VECTORS["outcomes"][index], question


def _told(decision: Principal | Refusal | None) -> list[str]:
    if decision is None:
        return ["ask"]
    if isinstance(decision, Principal):
        return ["principal"]
    return [decision.reason.upper(), *decision.missing_permissions]


@pytest.mark.parametrize(
    "question",
    [
        Question([b"charges:read"]),  # type: ignore[list-item]
        Question((), livemode="true"),  # type: ignore[arg-type]
        Question((), livemode=1),  # type: ignore[arg-type]
        Question((), types=[TokenType.UNKNOWN]),
        Question((), types=[1]),  # type: ignore[list-item]
    ],
)
def test_a_question_that_a_program_got_wrong_is_left_to_the_authority(question: Question) -> None:
    assert judge(_principal(), question, DecisionSource.CACHE) is None


def test_a_question_cannot_be_changed_by_who_asked_it() -> None:
    permissions = ["charges:read"]
    question = Question(permissions)
    permissions.append("charges:write")
    assert list(question.permissions) == ["charges:read"]


def _principal(account: str = "acct_1", permissions: Iterable[str] = ("charges:write",)) -> Any:
    return facts_of(
        Principal(f"tok_{account}", account, TokenType.RESTRICTED, True, tuple(permissions), None, DecisionSource.CACHE)
    )


def _refused(reason: RefusalReason) -> Any:
    if reason is RefusalReason.KEY_UNKNOWN:
        return facts_of(Refusal(reason, source=DecisionSource.CACHE))
    return facts_of(Refusal(reason, (), "tok_1", "acct_1", DecisionSource.CACHE))


class Rig:
    """A cache, and its clocks."""

    def __init__(self) -> None:
        self.monotonic = 1.0
        self.wall = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
        self.cache = KeyCache(2**20, Clocks(lambda: self.monotonic, lambda: self.wall))

    @property
    def now(self) -> Moment:
        return Moment(self.monotonic, self.wall)

    def pass_by(self, seconds: float) -> None:
        """Both clocks go on."""
        self.monotonic += seconds
        self.wall += seconds

    def renew(self, revision: int = 10) -> None:
        self.cache.renew(self.now, 2, revision)

    def begin(self, key: str) -> Fill:
        fill = self.cache.begin_fill(key, ANYTHING)
        assert fill is not None
        return fill

    def end(self, fill: Fill, facts: Any, revision: int = 10, cache_for: float = 3600) -> str:
        return _told(self.cache.end_fill(fill, Answer(facts, revision, cache_for), ANYTHING))[0]

    def keep(self, key: str, facts: Any = None, revision: int = 10) -> None:
        """Puts the widest question to an authority that answers at once."""
        self.end(self.begin(key), facts or _principal(), revision)

    def decided(self, *keys: str, question: Question = ANYTHING) -> list[str]:
        return [_told(self.cache.decide(key, question))[0] for key in keys]


@pytest.fixture
def rig() -> Rig:
    """Holds a lease, as of revision 10."""
    rig = Rig()
    rig.renew()
    return rig


def test_a_lease_is_needed_to_keep_an_answer_and_to_decide_by_it(rig: Rig) -> None:
    assert Rig().cache.begin_fill(ONE, ANYTHING) is None
    rig.keep(ONE)
    decision = rig.cache.decide(ONE, ANYTHING)
    assert isinstance(decision, Principal)
    assert decision.source is DecisionSource.CACHE
    rig.cache.end_lease()
    assert rig.decided(ONE) == ["ask"]
    assert rig.cache.begin_fill(OTHER, ANYTHING) is None
    rig.renew()
    assert rig.decided(ONE) == ["principal"]


def test_a_lease_runs_from_before_it_was_asked_for(rig: Rig) -> None:
    rig.keep(ONE)
    asked = rig.now
    rig.pass_by(1.5)
    rig.cache.renew(asked, 2, 10)
    rig.pass_by(0.4375)
    assert rig.decided(ONE) == ["principal"]
    rig.pass_by(0.0625)
    assert rig.decided(ONE) == ["ask"]


def test_a_lease_is_over_by_the_wall_clock_too(rig: Rig) -> None:
    rig.keep(ONE)
    rig.pass_by(1.8)
    rig.wall += 0.21
    assert rig.decided(ONE) == ["ask"]


@pytest.mark.parametrize("seconds", [0.26, -0.26])
def test_clocks_that_move_apart_end_a_lease_and_all_that_is_kept(rig: Rig, seconds: float) -> None:
    rig.keep(ONE)
    rig.wall += seconds
    assert rig.decided(ONE) == ["ask"]
    # How long the answer was kept is not known any more.
    rig.renew()
    assert rig.decided(ONE) == ["ask"]


def test_clocks_that_move_apart_while_nobody_looks_end_all_that_is_kept(rig: Rig) -> None:
    rig.keep(ONE)
    rig.wall += 60
    rig.renew()
    assert rig.decided(ONE) == ["ask"]
    rig.keep(ONE)
    assert rig.decided(ONE) == ["principal"]


def test_clocks_may_move_apart_by_less_with_each_lease(rig: Rig) -> None:
    rig.keep(ONE)
    for _ in range(4):
        rig.wall += 0.24
        assert rig.decided(ONE) == ["principal"]
        rig.renew()


def test_a_lease_of_before_the_clocks_moved_apart_grants_nothing(rig: Rig) -> None:
    asked = rig.now
    rig.wall += 60
    rig.cache.renew(asked, 2, 10)
    assert not rig.cache.is_held()


def test_an_answer_of_before_a_word_about_its_key_is_not_kept_after_it(rig: Rig) -> None:
    fill = rig.begin(ONE)
    rig.cache.forget_key(fill.digest, 12)
    assert rig.end(fill, _principal(), revision=11) == "principal"
    assert rig.decided(ONE) == ["ask"]
    rig.keep(ONE, _refused(RefusalReason.TOKEN_REVOKED), revision=12)
    assert rig.decided(ONE) == ["TOKEN_REVOKED"]


def test_an_answer_of_before_a_word_about_its_account_is_not_kept_after_it(rig: Rig) -> None:
    rig.cache.forget_account("acct_1", 12)
    rig.keep(ONE, _principal("acct_1"), revision=11)
    rig.keep(OTHER, _principal("acct_2"), revision=11)
    assert rig.decided(ONE, OTHER) == ["ask", "principal"]
    rig.keep(ONE, _principal("acct_1"), revision=12)
    assert rig.decided(ONE) == ["principal"]


def test_an_answer_of_before_the_first_lease_is_not_kept(rig: Rig) -> None:
    rig.keep(ONE, revision=9)
    assert rig.decided(ONE) == ["ask"]
    rig.keep(ONE, revision=10)
    assert rig.decided(ONE) == ["principal"]


def test_an_answer_of_before_a_word_that_is_not_remembered_any_more_is_not_kept(rig: Rig) -> None:
    rig.cache.forget_key(rig.begin(ONE).digest, 12)
    last = 13 + 65_536
    for revision in range(13, last):
        rig.cache.forget_key(revision.to_bytes(32), revision)
    rig.keep(ONE, revision=11)
    rig.keep(OTHER, revision=11)
    assert rig.decided(ONE, OTHER) == ["ask", "ask"]
    rig.keep(OTHER, revision=last)
    assert rig.decided(OTHER) == ["principal"]


def test_an_older_word_that_comes_again_does_not_hide_the_newer(rig: Rig) -> None:
    digest = rig.begin(ONE).digest
    rig.cache.forget_key(digest, 14)
    rig.cache.forget_key(digest, 12)
    rig.keep(ONE, revision=13)
    assert rig.decided(ONE) == ["ask"]


def test_an_answer_that_was_asked_for_before_all_was_forgotten_is_not_kept(rig: Rig) -> None:
    fill = rig.begin(ONE)
    rig.cache.reset(3)
    rig.renew(3)
    rig.end(fill, _principal())
    assert rig.decided(ONE) == ["ask"]


def test_an_answer_is_kept_no_longer_than_it_may_be(rig: Rig) -> None:
    fill = rig.begin(ONE)
    rig.pass_by(0.5)
    rig.end(fill, _principal(), cache_for=1)
    rig.pass_by(0.4375)
    assert rig.decided(ONE) == ["principal"]
    rig.pass_by(0.0625)
    assert rig.decided(ONE) == ["ask"]


def test_an_answer_that_may_not_be_kept_is_decided_by(rig: Rig) -> None:
    assert rig.end(rig.begin(ONE), _principal(), cache_for=0) == "principal"
    assert rig.decided(ONE) == ["ask"]


def test_an_unknown_key_is_kept_for_five_seconds_at_most(rig: Rig) -> None:
    rig.keep(ONE, _refused(RefusalReason.KEY_UNKNOWN))
    for _ in range(10):
        assert rig.decided(ONE) == ["KEY_UNKNOWN"]
        rig.pass_by(0.5)
        rig.renew()
    assert rig.decided(ONE) == ["ask"]


def test_one_answer_answers_every_other_question_that_makes_sense(rig: Rig) -> None:
    rig.keep(ONE)
    for question, told in [
        (Question(["charges:read"]), "principal"),
        (Question(["events:read"]), "INSUFFICIENT_PERMISSIONS"),
        (Question((), livemode=False), "LIVEMODE_MISMATCH"),
        (Question((), types=[TokenType.SECRET]), "TYPE_NOT_ALLOWED"),
        (Question(["charges:all"]), "ask"),
    ]:
        assert rig.decided(ONE, question=question) == [told]
        # The second time it is remembered with its question.
        assert rig.decided(ONE, question=question) == [told]
    assert rig.cache.begin_fill(OTHER, Question(["charges:all"])) is None


@pytest.mark.parametrize("key", ["\ud800", "k" * 513, None, b"sk_live_one", 1])
def test_what_is_no_key_is_left_to_the_client(rig: Rig, key: Any) -> None:
    assert rig.cache.decide(key, ANYTHING) is None


def test_a_word_takes_away_what_it_is_about_and_nothing_else(rig: Rig) -> None:
    rig.keep(ONE)
    rig.keep(OTHER, _principal("acct_2"))
    rig.cache.forget_key(rig.begin(ONE).digest, 11)
    assert rig.decided(ONE, OTHER) == ["ask", "principal"]
    rig.keep(ONE, revision=11)
    rig.cache.forget_account("acct_2", 12)
    assert rig.decided(ONE, OTHER) == ["principal", "ask"]


def test_an_older_answer_replaces_no_newer_one(rig: Rig) -> None:
    for older in (_principal(), _refused(RefusalReason.KEY_UNKNOWN)):
        late = rig.begin(ONE)
        rig.keep(ONE, _refused(RefusalReason.TOKEN_REVOKED), 12)
        assert rig.end(late, older, 11) != "TOKEN_REVOKED"
        assert rig.decided(ONE) == ["TOKEN_REVOKED"]
        rig.keep(ONE, _principal(), 12)
        assert rig.decided(ONE) == ["principal"]
        rig.cache.reset(10)
        rig.renew()


@pytest.mark.parametrize("how", ["for want of room", "because it may not be kept", "because it is too big"])
def test_an_answer_that_is_older_than_one_that_was_let_go_is_not_kept(rig: Rig, how: str) -> None:
    if how == "for want of room":
        rig.keep(ONE, _refused(RefusalReason.TOKEN_REVOKED), 12)
        for number in range(5_000):
            rig.keep(f"filler {number}")
    elif how == "because it may not be kept":
        rig.end(rig.begin(ONE), _refused(RefusalReason.TOKEN_REVOKED), 12, cache_for=0)
    else:
        rig.keep(ONE, _principal(permissions=["a" * 2**20 + ":read"]), 12)
    rig.keep(ONE, revision=11)
    assert rig.decided(ONE) == ["ask"]
    rig.keep(ONE, revision=12)
    assert rig.decided(ONE) == ["principal"]


def test_a_word_leaves_what_was_answered_as_of_it(rig: Rig) -> None:
    rig.keep(ONE, revision=14)
    rig.cache.forget_key(sha256(ONE.encode()).digest(), 14)
    rig.cache.forget_account("acct_1", 13)
    assert rig.decided(ONE) == ["principal"]
    rig.cache.forget_account("acct_1", 15)
    assert rig.decided(ONE) == ["ask"]


def test_an_answer_that_is_not_for_the_cache_overrules_what_is_kept_and_what_is_under_way(rig: Rig) -> None:
    rig.keep(ONE)
    late = rig.begin(ONE)
    rig.cache.overrule(ONE)
    assert rig.decided(ONE) == ["ask"]
    rig.end(late, _principal())
    assert rig.decided(ONE) == ["ask"]
    rig.keep(ONE)
    assert rig.decided(ONE) == ["principal"]


def test_memory_is_bounded_and_forgets_what_was_not_asked_for_lately(rig: Rig) -> None:
    rig.keep(ONE)
    for each in range(10_000):
        rig.keep(f"filler {each}")
        assert rig.decided(ONE) == ["principal"]
    assert 500 < len(rig.cache) < 2_000
    assert rig.decided("filler 0", "filler 9999") == ["ask", "principal"]


def test_a_flood_of_unknown_keys_pushes_out_no_key_of_a_token(rig: Rig) -> None:
    rig.keep(ONE)
    for each in range(10_000):
        rig.keep(f"unknown {each}", _refused(RefusalReason.KEY_UNKNOWN))
    assert len(rig.cache) < 300
    assert rig.decided(ONE) == ["principal"]


def test_uses_are_reported_once_with_their_age(rig: Rig) -> None:
    rig.keep(ONE)
    rig.decided(ONE)
    rig.pass_by(0.125)
    rig.decided(ONE)
    rig.decided(ONE, question=Question((), livemode=False))
    rig.pass_by(0.5)
    assert rig.cache.take_uses(1000) == [Use(rig.begin(ONE).digest, 0.5, 3)]
    assert rig.cache.take_uses(1000) == []
    rig.decided(ONE)
    rig.cache.forget_key(rig.begin(ONE).digest, 11)
    assert rig.cache.take_uses(1000) == [Use(rig.begin(ONE).digest, 0.0, 1)]


def test_uses_of_many_keys_are_reported_in_parts(rig: Rig) -> None:
    rig.keep(ONE)
    rig.keep(OTHER)
    assert [len(rig.cache.take_uses(1)), rig.cache.used_keys, len(rig.cache.take_uses(1))] == [1, 1, 1]


def test_no_key_stays_in_memory(rig: Rig) -> None:
    key = "".join(["sk_live_", "canary"])
    rig.keep(key)
    assert rig.decided(key) == ["principal"]
    texts = [repr(each) for each in _reachable(rig.cache) if isinstance(each, str | bytes)]
    assert "'tok_acct_1'" in texts
    assert not [each for each in texts if "canary" in each]


def _reachable(root: object) -> Iterable[object]:
    seen, waiting = {id(root)}, [root]
    while waiting:
        found = waiting.pop()
        yield found
        for each in gc.get_referents(found):
            if id(each) not in seen and not isinstance(each, type) and not callable(each):
                seen.add(id(each))
                waiting.append(each)
