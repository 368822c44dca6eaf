"""Every RPC, every refusal and every error, with both clients."""

import hashlib
import pickle
import string
import uuid
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from both_clients import KINDS, connect
from conftest import Authority, StartAuthority

from casapay_token_authority import (
    AccountState,
    AuthorityError,
    ChangeAction,
    ChangeFilter,
    Principal,
    Question,
    Refusal,
    RefusalReason,
    RotationEnd,
    Settings,
    TokenFilter,
    TokenState,
    TokenType,
    Undecided,
)
from casapay_token_authority._operations import Operations

NOTHING = Question(permissions=())


@pytest.fixture(params=KINDS)
async def client(request: pytest.FixtureRequest, authority: Authority) -> AsyncIterator[Any]:
    async with connect(request.param, authority.address) as client:
        yield client


async def _create(client: Any, **changed: Any) -> Any:
    fields = {"account": "acct_1", "name": "Till", "type": TokenType.RESTRICTED, "permissions": ["events:write"]}
    return await client.create(**{**fields, **changed})


async def test_walks_the_life_of_a_token(client: Any) -> None:
    expires_at = datetime(2100, 1, 2, 3, 4, 5, 678_000, UTC)
    created = await _create(client, name="Schlüssel 🔑", livemode=True, expires_at=expires_at)
    token = created.token
    assert created.key.startswith("rk_live_")
    assert (token.account, token.name, token.type) == ("acct_1", "Schlüssel 🔑", TokenType.RESTRICTED)
    assert (token.livemode, token.permissions, token.state) == (True, ("events:write",), TokenState.ACTIVE)
    assert (token.key_prefix, token.key_hint) == (created.key[:8], created.key[-4:])
    assert (token.expires_at, token.created_by) == (expires_at, "local")
    assert (token.revoked_at, token.last_used_at, created.revision) == (None, None, 1)

    decision = await client.authenticate(created.key, Question(["events:read"], livemode=True))
    assert decision == Principal(token.id, "acct_1", TokenType.RESTRICTED, True, ("events:write",), expires_at)
    assert (await client.get(token.id)).id == token.id

    revoked = await client.revoke(token.id, "found in a public repository")
    assert (revoked.token.state, revoked.token.revoke_reason) == (TokenState.REVOKED, "found in a public repository")
    assert (await client.revoke(token.id)).revision == revoked.revision == 2
    decision = await client.authenticate(created.key, NOTHING)
    assert decision == Refusal(RefusalReason.TOKEN_REVOKED, (), token.id, "acct_1")


async def test_finds_the_token_of_a_leaked_key(client: Any) -> None:
    created = await _create(client)
    assert await client.find_by_digest(hashlib.sha256(created.key.encode()).digest()) == created.token
    with pytest.raises(AuthorityError) as raised:
        await client.find_by_digest(bytes(32))
    assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.NOT_FOUND, "TOKEN_NOT_FOUND")


async def test_lists_tokens_page_by_page_and_all_together(client: Any) -> None:
    created = [(await _create(client, name=f"Till {count}")).token for count in range(5)]
    await _create(client, account="acct_2")
    newest_first = tuple(reversed(created))
    of_account = TokenFilter(account="acct_1")

    first = await client.list_tokens(of_account, page_size=2)
    assert (first.items, first.previous_page_token) == (newest_first[:2], None)
    second = await client.list_tokens(of_account, page_size=2, page_token=first.next_page_token)
    assert second.items == newest_first[2:4]
    back = await client.list_tokens(of_account, page_size=2, page_token=second.previous_page_token)
    assert back.items == first.items
    assert tuple([token async for token in client.iterate_tokens(of_account, page_size=2)]) == newest_first


async def test_lists_by_every_filter(client: Any) -> None:
    now = datetime.now(UTC)
    token = (await _create(client, name="Webhook", livemode=True, expires_at=now + timedelta(days=1))).token
    await _create(client, account="acct_2", type=TokenType.PUBLISHABLE, permissions=[])
    wanted = TokenFilter(
        account="acct_1",
        types=[TokenType.RESTRICTED],
        livemode=True,
        states=[TokenState.ACTIVE],
        permission="events:read",
        created_from=now - timedelta(hours=1),
        created_before=now + timedelta(hours=1),
        expires_from=now + timedelta(hours=1),
        expires_before=now + timedelta(days=2),
        unused_since=now + timedelta(hours=1),
        name_contains="webh",
        key_hint=token.key_hint,
        created_by="local",
        held=False,
        rotating=False,
    )
    assert (await client.list_tokens(wanted)).items == (token,)
    for nothing in (
        TokenFilter(account="acct_3"),
        TokenFilter(states=[TokenState.REVOKED]),
        TokenFilter(created_by="?"),
        TokenFilter(held=True),
        TokenFilter(rotating=True),
        TokenFilter(expires_from=now + timedelta(days=2)),
    ):
        assert (await client.list_tokens(nothing)).items == ()


async def test_goes_on_after_an_empty_page(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    created = [(await _create(client, name=f"Till {count}")).token for count in range(2)]
    real = Operations.list_tokens
    calls = []

    def with_an_empty_page_first(self: Operations, wanted: TokenFilter, page_size: int, page_token: str) -> Any:
        calls.append(page_token)
        if len(calls) == 1:
            # What a page looks like whose 10,000 tokens did not match.
            operation = real(self, TokenFilter(account="acct_2"), page_size, "")
            object.__setattr__(operation, "read", lambda answer: _without_items(real_read(answer), "go on"))
            return operation
        return real(self, wanted, page_size, "")

    real_read = real(Operations(Settings()), TokenFilter(), 0, "").read
    monkeypatch.setattr(Operations, "list_tokens", with_an_empty_page_first)
    assert [token async for token in client.iterate_tokens()] == created[::-1]
    assert calls == ["", "go on"]


def _without_items(page: Any, next_page_token: str) -> Any:
    return type(page)((), next_page_token)


async def test_tells_who_did_what_to_a_token(client: Any) -> None:
    created = await _create(client)
    other = await _create(client)
    await client.revoke(created.token.id, "lost")
    changes = [change async for change in client.iterate_changes(ChangeFilter(token_id=created.token.id), page_size=1)]
    assert [(change.revision, change.action) for change in changes] == [
        (3, ChangeAction.REVOKE),
        (1, ChangeAction.CREATE),
    ]
    assert {(change.token_id, change.caller, len(change.hash)) for change in changes} == {
        (created.token.id, "local", 32)
    }
    head = (await client.list_changes(page_size=2)).items
    assert [(change.revision, change.token_id) for change in head] == [(3, created.token.id), (2, other.token.id)]
    assert head[1].changed_at == other.token.created_at
    wanted = ChangeFilter(
        caller="local",
        action=ChangeAction.REVOKE,
        account="acct_1",
        changed_from=other.token.created_at,
        changed_before=other.token.created_at + timedelta(hours=1),
    )
    (revocation,) = (await client.list_changes(wanted)).items
    assert (revocation.revision, revocation.account) == (3, "acct_1")
    assert (revocation.token_name, revocation.revoke_reason) == (created.token.name, "lost")
    assert (await client.list_changes(ChangeFilter(caller="somebody else"))).items == ()


async def test_follows_the_journal(client: Any) -> None:
    created = await _create(client)
    await client.revoke(created.token.id, "lost")
    first = await client.list_changes(ChangeFilter(oldest_first=True), page_size=1)
    assert [(change.revision, change.token_type) for change in first.items] == [(1, TokenType.RESTRICTED)]
    rest = await client.list_changes(ChangeFilter(oldest_first=True, after_revision=first.reached_revision))
    assert [(change.reason, change.facts) for change in rest.items] == [("lost", '{"reason":"lost"}')]
    assert (first.reached_revision, rest.reached_revision) == (1, 2)


async def test_rotates_holds_closes_and_revokes_by_filter(client: Any) -> None:
    created = await _create(client)
    token_id = created.token.id
    request_id = str(uuid.uuid4())
    rotated = await client.rotate_key(token_id, timedelta(hours=1), request_id=request_id)
    assert await client.rotate_key(token_id, timedelta(hours=1), request_id=request_id) == rotated
    assert rotated.key not in repr(rotated)
    new, old = rotated.token.keys
    assert (new.hint, old.hint, new.ends_at) == (rotated.key[-4:], created.key[-4:], None)
    assert old.ends_at == new.issued_at + timedelta(hours=1)
    moved = await client.end_rotation(token_id, old.ends_at + timedelta(hours=1))
    assert moved.token.keys[1].ends_at == old.ends_at + timedelta(hours=1)
    assert (await client.end_rotation(token_id, RotationEnd.CUT)).revision == moved.revision + 1
    assert (await _refusal(client, created.key)).reason is RefusalReason.KEY_RETIRED

    assert (await client.set_hold(True, token_id=token_id)).token.held
    assert (await _refusal(client, rotated.key)).reason is RefusalReason.TOKEN_HELD
    assert not (await client.set_hold(False, token_id=token_id)).token.held
    held = await client.set_hold(True, account="acct_1", reason="looked at")
    assert (held.token, held.account.state, held.account.active_count) == (None, AccountState.HELD, 1)
    assert (await _refusal(client, rotated.key)).reason is RefusalReason.ACCOUNT_HELD
    assert (await client.close_account("acct_2")).account.state is AccountState.CLOSED
    with pytest.raises(AuthorityError, match="closed") as raised:
        await _create(client, account="acct_2")
    assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ACCOUNT_CLOSED")
    with pytest.raises(AuthorityError, match="either a token or an account"):
        await client.set_hold(True)

    wanted = TokenFilter(account="acct_1")
    dry = await client.revoke_tokens(wanted)
    assert (dry.matched, dry.sample_ids, dry.done) == (1, (token_id,), False)
    done = await client.revoke_tokens(wanted, force=True, up_to_revision=dry.up_to_revision, reason="lost")
    assert (done.revoked, done.done) == (1, True)
    assert (await _refusal(client, rotated.key)).reason is RefusalReason.TOKEN_REVOKED


async def test_counts_the_tokens_of_accounts(client: Any) -> None:
    await _create(client, account="acct_2")
    await client.revoke((await _create(client, account="acct_1")).token.id)
    await _create(client, account="other")
    accounts = [account async for account in client.iterate_accounts("acct_", page_size=1)]
    assert [(each.account, each.active_count, each.expired_count, each.revoked_count) for each in accounts] == [
        ("acct_1", 0, 0, 1),
        ("acct_2", 1, 0, 0),
    ]
    assert len((await client.list_accounts()).items) == 3


async def test_tells_every_reason_of_a_refusal(client: Any) -> None:
    created = await _create(client)
    token_id, key = created.token.id, created.key
    publishable = await _create(client, type=TokenType.PUBLISHABLE, permissions=[])
    assert await _refusal(client, key[:-1]) == Refusal(RefusalReason.KEY_MALFORMED)
    assert await _refusal(client, _key_of_nobody()) == Refusal(RefusalReason.KEY_UNKNOWN)
    assert await _refusal(client, key, Question((), livemode=True)) == Refusal(
        RefusalReason.LIVEMODE_MISMATCH, (), token_id, "acct_1"
    )
    assert (await _refusal(client, publishable.key)).reason is RefusalReason.TYPE_NOT_ALLOWED
    assert await _refusal(client, key, Question(["events:read", "files:read", "files:write"])) == Refusal(
        RefusalReason.INSUFFICIENT_PERMISSIONS, ("files:read", "files:write"), token_id, "acct_1"
    )
    publishable_too = Question((), types=[TokenType.PUBLISHABLE, TokenType.RESTRICTED])
    assert isinstance(await client.authenticate(publishable.key, publishable_too), Principal)

    soon = await _create(client, expires_at=datetime.now(UTC) + timedelta(milliseconds=300))
    while isinstance(decision := await client.authenticate(soon.key, NOTHING), Principal):
        pass
    assert decision == Refusal(RefusalReason.TOKEN_EXPIRED, (), soon.token.id, "acct_1")


def _key_of_nobody() -> str:
    """A key whose checksum is right, as the contract says how."""
    unchecked = "sk_test_" + "0" * 32
    rest = zlib.crc32(unchecked.encode())
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    return unchecked + "".join(digits[rest // 62**place % 62] for place in range(5, -1, -1))


async def _refusal(client: Any, key: str, question: Question = NOTHING) -> Refusal:
    decision = await client.authenticate(key, question)
    assert isinstance(decision, Refusal)
    return decision


@pytest.mark.parametrize(
    "key", ["", "k" * 513, "sk_live_ö", "sk_live_\n", "a\0b", "\ud800", "🔑", "key\x7f"], ids=ascii
)
@pytest.mark.parametrize("kind", KINDS)
async def test_refuses_what_cannot_be_a_key_without_asking(kind: str, key: str) -> None:
    async with connect(kind, "127.0.0.1:1") as client:
        assert await client.authenticate(key, NOTHING) == Refusal(RefusalReason.KEY_MALFORMED)


async def test_asks_about_512_characters_of_anything_printable(client: Any) -> None:
    assert await _refusal(client, " ~" * 256) == Refusal(RefusalReason.KEY_MALFORMED)


async def test_a_mistake_of_the_program_is_no_outage(client: Any) -> None:
    created = await _create(client)
    with pytest.raises(Undecided) as raised:
        await client.authenticate(created.key, Question(["everything"]))
    error = raised.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert (error.field, error.is_mistake) == ("required_permissions", True)
    assert str(error).startswith("INVALID_ARGUMENT, FIELD_INVALID: ")


@pytest.mark.parametrize("timeout", [0, -1, 61, float("nan")])
async def test_a_deadline_that_is_none_is_a_mistake(client: Any, timeout: float) -> None:
    with pytest.raises(Undecided) as raised:
        await client.authenticate("key", NOTHING, timeout=timeout)
    assert (raised.value.field, raised.value.is_mistake) == ("timeout", True)


async def test_errors_of_management_calls_say_what_is_wrong(client: Any) -> None:
    with pytest.raises(AuthorityError) as raised:
        await _create(client, name="")
    assert not isinstance(raised.value, Undecided)
    assert (raised.value.code, raised.value.reason, raised.value.field) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "FIELD_INVALID",
        "name",
    )
    with pytest.raises(AuthorityError) as raised:
        await client.get("tok_000000000000000000000000")
    assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.NOT_FOUND, "TOKEN_NOT_FOUND")
    with pytest.raises(AuthorityError) as raised:
        await client.list_tokens(page_token="mine")
    assert raised.value.reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(
    "fields",
    [{"name": "\ud800"}, {"expires_at": datetime(2100, 1, 1)}, {"permissions": [1]}],
    ids=["text that is not Unicode", "a time without a zone", "a number for a text"],
)
async def test_what_cannot_be_sent_is_a_mistake(client: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(AuthorityError) as raised:
        await _create(client, **fields)
    assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED")


async def test_the_same_request_id_makes_one_token(client: Any) -> None:
    request_id = str(uuid.uuid4())
    first = await _create(client, request_id=request_id)
    assert await _create(client, request_id=request_id) == first
    await client.revoke(first.token.id)
    assert (await _create(client, request_id=request_id)).key is None
    with pytest.raises(AuthorityError) as raised:
        await _create(client, request_id=request_id, name="Another")
    assert (raised.value.reason, raised.value.request_id) == ("REQUEST_ID_REUSED", request_id)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_authority_without_sealing_secret_says_so_and_is_asked_without_request_ids(
    kind: str, start_authority: StartAuthority
) -> None:
    authority = start_authority(SEALING_SECRET="")
    async with connect(kind, authority.address) as client:
        with pytest.raises(AuthorityError, match="sealing secret") as raised:
            await _create(client)
        assert (raised.value.code, raised.value.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "SEALING_SECRET_MISSING",
        )
    async with connect(kind, authority.address, settings=Settings(request_ids=False)) as client:
        assert (await _create(client)).revision == 1


async def test_nothing_that_is_printed_shows_a_key(client: Any) -> None:
    created = await _create(client)
    key = created.key
    operation = Operations(Settings()).authenticate(key, NOTHING)
    for each in (created, operation, await client.authenticate(key, NOTHING), created.token):
        assert key not in f"{each!r} {each}"
    with pytest.raises(Undecided) as raised:
        await client.authenticate(key, Question([key]))
    error: BaseException | None = raised.value
    while error is not None:
        assert key not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__


async def test_errors_can_be_sent_to_another_process(client: Any) -> None:
    with pytest.raises(AuthorityError) as raised:
        await client.get("none")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (copy.code, copy.reason, copy.field, str(copy)) == (
        raised.value.code,
        raised.value.reason,
        raised.value.field,
        str(raised.value),
    )
