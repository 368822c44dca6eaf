"""The fake authority, beside the real one."""

import hashlib
import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from conftest import Authority

from casapay_token_authority import (
    AuthorityError,
    Plaintext,
    Principal,
    Question,
    Refusal,
    RefusalReason,
    RotationEnd,
    TokenAuthority,
    TokenFilter,
    TokenState,
    TokenType,
    Undecided,
)
from casapay_token_authority.fake import FakeAsyncTokenAuthority, FakeTokenAuthority
from casapay_token_authority.values import ChangeFilter

NOTHING = Question(permissions=())
REQUEST_ID = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52"
VARYING = {
    "key_hint",
    "hint",
    "key",
    "created_at",
    "expires_at",
    "issued_at",
    "last_used_at",
    "revoked_at",
    "changed_at",
    "hash",
    "facts",
    "next_page_token",
    "previous_page_token",
}


def _story(client: TokenAuthority) -> list[Any]:
    """What a caller does in a day, and what it is told: times, ids and keys left out."""
    till: dict[str, Any] = {"account": "acct_1", "name": "Till", "type": TokenType.RESTRICTED, "livemode": True}
    till["permissions"] = ["charges:write"]
    created = client.create(**till, request_id=REQUEST_ID)
    secret = client.create("acct_2", "Shop", TokenType.SECRET)
    page = client.create("acct_2", "Page", TokenType.PUBLISHABLE)
    names = {each.token.id: each.token.name for each in (created, secret, page)}
    assert client.create(**till, request_id=REQUEST_ID).key == created.key

    told: list[Any] = []

    def plain(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return [plain(each) for each in value]
        if isinstance(value, dict):
            told_of = {name: each is not None if name == "ends_at" else each for name, each in value.items()}
            return {name: plain(each) for name, each in told_of.items() if name not in VARYING}
        return names.get(value, value) if isinstance(value, str) else value

    def tell(rpc: Any, *args: Any, **kwargs: Any) -> None:
        try:
            answer: Any = rpc(*args, **kwargs)
            told.append((type(answer).__name__, plain(asdict(answer))))
        except AuthorityError as error:
            told.append((type(error).__name__, error.code, error.reason, error.field, error.is_mistake))

    tell(client.create, **{**till, "name": "Other"}, request_id=REQUEST_ID)
    changes: tuple[dict[str, Any], ...] = (
        {"permissions": []},
        {"permissions": ["charges:all"]},
        {"account": ""},
        {"expires_at": datetime.fromtimestamp(0, UTC)},
    )
    for change in changes:
        tell(client.create, **{**till, **change})
    for question in (
        NOTHING,
        Question(permissions=["charges:read"], livemode=True),
        Question(permissions=["charges:read", "events:read"]),
        Question(permissions=(), livemode=False),
        Question(permissions=(), types=[TokenType.PUBLISHABLE]),
        Question(permissions=["nonsense"]),
    ):
        for key in (created.key, secret.key, page.key, "sk_live_0"):
            tell(client.authenticate, key, question)
    token_id = created.token.id
    tell(client.get, token_id)
    tell(client.get, "tok_00000000000000000000")
    tell(client.find_by_digest, hashlib.sha256(str(created.key).encode()).digest())
    tell(client.find_by_digest, bytes(32))
    tell(client.list_tokens)
    tell(client.list_tokens, TokenFilter(account="acct_2", types=[TokenType.PUBLISHABLE], livemode=False))
    tell(client.list_tokens, TokenFilter(permission="charges:read"))
    tell(client.revoke, token_id, "lost")
    tell(client.revoke, token_id, "again")
    tell(client.authenticate, created.key, NOTHING)
    tell(client.list_tokens, TokenFilter(states=[TokenState.REVOKED]))
    tell(client.list_changes)
    tell(client.list_changes, ChangeFilter(token_id=token_id))
    tell(client.list_changes, ChangeFilter(oldest_first=True, after_revision=2))
    tell(client.list_changes, ChangeFilter(oldest_first=True, after_revision=99))
    tell(client.list_accounts, "acct_")

    shop = secret.token.id
    rotation = str(uuid.uuid4())
    rotated = client.rotate_key(shop, timedelta(hours=1), request_id=rotation)
    assert client.rotate_key(shop, timedelta(hours=1), request_id=rotation) == rotated
    tell(client.rotate_key, shop, timedelta(hours=2), request_id=rotation)
    tell(client.rotate_key, shop, timedelta(days=8))
    tell(client.rotate_key, token_id, timedelta(hours=1))
    tell(client.rotate_key, "tok_00000000000000000000", timedelta(hours=1))
    tell(client.list_tokens, TokenFilter(rotating=True))
    tell(client.find_by_digest, hashlib.sha256(str(secret.key).encode()).digest())
    decision = client.authenticate(str(secret.key), NOTHING)
    assert isinstance(decision, Principal)
    assert decision.expires_at is not None
    tell(client.authenticate, str(rotated.key), NOTHING)
    tell(client.end_rotation, shop, datetime.now(UTC) + timedelta(hours=2))
    tell(client.end_rotation, shop, datetime.now(UTC) + timedelta(days=8))
    tell(client.end_rotation, shop, RotationEnd.CUT)
    tell(client.end_rotation, shop, RotationEnd.CUT)
    tell(client.end_rotation, shop, RotationEnd.CANCEL)
    tell(client.end_rotation, token_id, RotationEnd.CUT)
    tell(client.authenticate, str(secret.key), NOTHING)
    third = client.rotate_key(shop, timedelta(hours=1))
    tell(client.end_rotation, shop, RotationEnd.CANCEL)
    tell(client.end_rotation, shop, RotationEnd.CANCEL)
    tell(client.authenticate, str(third.key), NOTHING)

    for held in (True, True, False, False):
        tell(client.set_hold, held, token_id=shop, reason="looked at")
        tell(client.authenticate, str(rotated.key), NOTHING)
        tell(client.set_hold, held, account="acct_2", reason="looked at")
        tell(client.authenticate, str(rotated.key), NOTHING)
        tell(client.list_tokens, TokenFilter(held=True))
    tell(client.set_hold, True, account="no name!")
    tell(client.set_hold, True, token_id="tok_00000000000000000000")
    tell(client.close_account, "acct_2", "fraud")
    tell(client.close_account, "acct_2", "again")
    tell(client.close_account, "acct_3")
    tell(client.authenticate, str(rotated.key), NOTHING)
    tell(client.set_hold, False, account="acct_2")
    tell(client.set_hold, True, token_id=shop)
    tell(client.create, "acct_2", "Late", TokenType.SECRET)
    tell(client.rotate_key, shop, timedelta(hours=1))

    tell(client.revoke_tokens, TokenFilter())
    dry = client.revoke_tokens(TokenFilter(account="acct_2"))
    tell(client.revoke_tokens, TokenFilter(account="acct_2"))
    tell(client.revoke_tokens, TokenFilter(account="acct_2"), force=True)
    wanted = TokenFilter(account="acct_2", types=[TokenType.SECRET])
    tell(client.revoke_tokens, wanted, force=True, up_to_revision=dry.up_to_revision, reason="fraud")
    tell(client.revoke_tokens, wanted, force=True, up_to_revision=dry.up_to_revision, reason="fraud")
    tell(client.list_accounts, "acct_")
    tell(client.list_changes)
    return told


def test_it_answers_as_the_real_authority_does(authority: Authority) -> None:
    with TokenAuthority(authority.address, Plaintext()) as real:
        assert _story(FakeTokenAuthority()) == _story(real)


def test_it_goes_by_the_clock_that_it_is_given() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    fake = FakeTokenAuthority(now=lambda: now)
    key = fake.create("acct_1", "Till", TokenType.SECRET, expires_at=now + timedelta(hours=1)).key
    now += timedelta(minutes=59)
    assert isinstance(fake.authenticate(str(key), NOTHING), Principal)
    now += timedelta(minutes=1)
    outcome = fake.authenticate(str(key), NOTHING)
    assert isinstance(outcome, Refusal)
    assert outcome.reason is RefusalReason.TOKEN_EXPIRED


async def test_it_has_an_outage_when_told_so() -> None:
    async with FakeAsyncTokenAuthority() as fake:
        key = str((await fake.create("acct_1", "Till", TokenType.SECRET)).key)
        assert isinstance(await fake.authenticate(key, NOTHING), Principal)
        fake.is_down = True
        with pytest.raises(Undecided) as raised:
            await fake.authenticate(key, NOTHING)
        assert (raised.value.code, raised.value.is_mistake) == (grpc.StatusCode.UNAVAILABLE, False)
        fake.is_down = False
        assert isinstance(await fake.authenticate(key, NOTHING), Principal)
    with pytest.raises(Undecided, match="closed"):
        await fake.authenticate(key, NOTHING)


def test_it_refuses_a_filter_that_it_does_not_have() -> None:
    with pytest.raises(AuthorityError, match="no filter of the fake"):
        FakeTokenAuthority().list_tokens(TokenFilter(name_contains="till"))
