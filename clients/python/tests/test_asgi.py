"""The middleware behind a real HTTP server, before a real authority."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from conftest import Authority, StartAuthority, certificate
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import InvalidStatus

from casapay_token_authority import AsyncTokenAuthority, Plaintext, Question, Refusal, RefusalReason, TokenType
from casapay_token_authority._operations import Operations
from casapay_token_authority.asgi import Receive, RequireKey, Scope, Send, principal_of

EVENTS_READ = Question(["events:read"], livemode=False)


class Api:
    """What stands behind the middleware. It notes whom it saw, and with which headers."""

    def __init__(self) -> None:
        self.seen: list[Scope] = []
        self.lifespan: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while self.lifespan[-1:] != ["lifespan.shutdown"]:
                self.lifespan.append((await receive())["type"])
                await send({"type": self.lifespan[-1] + ".complete"})
            return
        self.seen.append(scope)
        account = principal_of(scope).account
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": account})
            await send({"type": "websocket.close"})
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": account.encode() + b" " + body})


@asynccontextmanager
async def _served(app: Any) -> AsyncIterator[str]:
    """HOST:PORT of the app."""
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="on", ws="websockets-sansio")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.01)
    try:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def client(authority: Authority) -> AsyncIterator[AsyncTokenAuthority]:
    async with AsyncTokenAuthority(authority.address, Plaintext()) as client:
        yield client


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def host(api: Api, client: AsyncTokenAuthority) -> AsyncIterator[str]:
    async with _served(RequireKey(api, client, EVENTS_READ, timeout=1)) as host:
        yield host


async def _key(client: AsyncTokenAuthority, type: TokenType = TokenType.RESTRICTED, **fields: Any) -> str:  # noqa: A002
    if type is TokenType.RESTRICTED:
        fields = {"permissions": ["events:read"], **fields}
    key = (await client.create("acct_1", "Till", type, **fields)).key
    assert key is not None
    return key


async def _get(host: str, *headers: tuple[str, str], path: str = "/") -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.get(f"http://{host}{path}", headers=list(headers))


def _assert_error(response: httpx.Response, status: int, kind: str, code: str, challenge: str | None) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers.get("www-authenticate") == challenge
    assert response.headers.get("retry-after") == ("1" if status == 503 else None)
    error = response.json()["error"]
    required = ["required_permissions"] if code == "insufficient_permissions" else []
    assert list(error) == ["type", "code", "message", "param", *required, "request_id"]
    assert (error["type"], error["code"], error["param"]) == (kind, code, None)
    assert error["request_id"].startswith("req_")


BEARER = 'Bearer realm="CasaPay"'


async def test_an_accepted_request_goes_on_with_its_principal_and_without_its_key(
    host: str, api: Api, client: AsyncTokenAuthority
) -> None:
    key = await _key(client)
    async with httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {key}", "X-API-Key": key, "X-Other": "stays"}
        response = await http.post(f"http://{host}/v1/events?a=b", headers=headers, content=b"x" * 100_000)
    assert (response.status_code, response.text) == (200, "acct_1 " + "x" * 100_000)
    (scope,) = api.seen
    assert principal_of(scope).permissions == ("events:read",)
    assert (b"x-other", b"stays") in scope["headers"]
    assert key not in repr(scope)


async def test_takes_the_key_as_user_name_and_as_x_api_key(host: str, client: AsyncTokenAuthority) -> None:
    key = await _key(client)
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://{host}/", auth=(key, ""))).status_code == 200
    assert (await _get(host, ("x-api-key", key))).status_code == 200


async def test_answers_every_refusal_as_the_authority_itself_does(
    host: str, api: Api, client: AsyncTokenAuthority
) -> None:
    good = await _key(client)
    revoked = await client.create("acct_1", "Old", TokenType.SECRET)
    await client.revoke(revoked.token.id)
    retired = await client.create("acct_1", "Rotated", TokenType.SECRET)
    await client.rotate_key(retired.token.id)
    held = await client.create("acct_1", "Held", TokenType.SECRET)
    await client.set_hold(True, token_id=held.token.id)
    of_held = await client.create("acct_held", "Till", TokenType.SECRET)
    await client.set_hold(True, account="acct_held")
    of_closed = await client.create("acct_closed", "Till", TokenType.SECRET)
    await client.close_account("acct_closed")
    invalid = f'{BEARER}, error="invalid_token"'
    for headers, status, code, challenge in (
        ([], 401, "key_missing", BEARER),
        ([("authorization", f"Bearer {good}"), ("x-api-key", "another")], 401, "keys_conflict", invalid),
        ([("authorization", "Bearer nonsense")], 401, "key_malformed", invalid),
        ([("authorization", "Bearer schl\xfcssel")], 401, "key_missing", BEARER),
        ([("authorization", f"Bearer {revoked.key}")], 401, "token_revoked", invalid),
        ([("x-api-key", str(retired.key))], 401, "key_retired", invalid),
        ([("x-api-key", str(held.key))], 403, "token_held", None),
        ([("x-api-key", str(of_held.key))], 403, "account_held", None),
        ([("x-api-key", str(of_closed.key))], 401, "account_closed", invalid),
        ([("x-api-key", await _key(client, livemode=True))], 403, "livemode_mismatch", None),
        ([("x-api-key", await _key(client, TokenType.PUBLISHABLE))], 403, "type_not_allowed", None),
        (
            [("x-api-key", await _key(client, permissions=["files:read"]))],
            403,
            "insufficient_permissions",
            f'{BEARER}, error="insufficient_scope", scope="events:read"',
        ),
    ):
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        async with httpx.AsyncClient() as http:
            response = await http.get(f"http://{host}/?key={good}", headers=raw)
        kind = "authentication_error" if status == 401 else "permission_error"
        _assert_error(response, status, kind, code, challenge)
        assert response.json()["error"].get("required_permissions") == (
            ["events:read"] if code == "insufficient_permissions" else None
        )
    assert api.seen == []


@pytest.mark.parametrize(
    ("permissions", "scope"),
    [
        (['a:read", x="', "a:read\r\nset-cookie: a=b", "\u00e4:read", "a:read", "b:write"], ', scope="a:read b:write"'),
        (["a:read\n"], ""),
        ([], ""),
    ],
)
async def test_nothing_but_permissions_gets_into_a_header(permissions: list[str], scope: str, api: Api) -> None:
    class Lenient:
        """Stands in for a client, and looks at nothing."""

        async def authenticate(self, *_: Any, **__: Any) -> Refusal:
            return Refusal(RefusalReason.INSUFFICIENT_PERMISSIONS)

    authority: Any = Lenient()
    async with _served(RequireKey(api, authority, Question(permissions))) as host:
        response = await _get(host, ("x-api-key", "key"))
    challenge = f'{BEARER}, error="insufficient_scope"{scope}'
    _assert_error(response, 403, "permission_error", "insufficient_permissions", challenge)
    assert response.json()["error"]["required_permissions"] == permissions


async def test_a_refusal_for_a_reason_of_a_newer_authority_is_a_refusal(
    host: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch, b"\x12\x02\x08\x63")
    _assert_error(await _get(host, ("x-api-key", "key")), 403, "permission_error", "unknown", None)
    assert api.seen == []


@pytest.mark.parametrize("answer", [b"", b"\x12", b"\xff\xff"], ids=["neither", "cut off", "nonsense"])
async def test_an_answer_that_makes_no_sense_is_an_outage(
    answer: bytes, host: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch, answer)
    _assert_error(await _get(host, ("x-api-key", "key")), 503, "api_error", "unavailable", None)
    assert api.seen == []


def _answer(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    """Puts these bytes in place of what the authority answers."""
    real = Operations.authenticate

    def authenticate(self: Operations, key: str, question: Question) -> Any:
        operation: Any = real(self, key, question)
        read = operation.read
        object.__setattr__(operation, "read", lambda _: read(answer))
        return operation

    monkeypatch.setattr(Operations, "authenticate", authenticate)


async def test_an_outage_is_never_told_as_a_bad_key(
    host: str, api: Api, client: AsyncTokenAuthority, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    key = await _key(client)
    bearer = ("authorization", f"Bearer {key}")
    authority.pause()
    slow = await _get(host, bearer)
    authority.stop()
    away = await _get(host, bearer)
    for response in (slow, away):
        _assert_error(response, 503, "api_error", "unavailable", None)
    # What can be told without the authority is told.
    _assert_error(await _get(host), 401, "authentication_error", "key_missing", BEARER)
    await asyncio.to_thread(authority.start)
    assert (await _get(host, bearer)).status_code == 200
    assert len(api.seen) == 1
    assert [record.levelname for record in caplog.records if record.name == "casapay_token_authority"] == [
        "WARNING",
        "WARNING",
    ]
    assert key not in caplog.text


@pytest.mark.parametrize(
    "question",
    [Question(["everything"]), lambda _: 1 / 0, lambda _: None],
    ids=["a permission that is none", "a function that raises", "a function that says nothing"],
)
async def test_a_mistake_of_the_service_is_500_and_lets_nobody_through(
    question: Any, client: AsyncTokenAuthority, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    key = await _key(client, TokenType.SECRET)
    async with _served(RequireKey(api, client, question)) as host:
        response = await _get(host, ("x-api-key", key))
    _assert_error(response, 500, "api_error", "gateway_misconfigured", None)
    assert api.seen == []
    assert any(record.levelno == logging.ERROR for record in caplog.records)
    assert key not in caplog.text


async def test_a_service_whose_role_may_not_ask_is_500(
    api: Api, start_authority: StartAuthority, tls_settings: dict[str, str]
) -> None:
    authority = start_authority(**tls_settings)
    async with (
        AsyncTokenAuthority(authority.address, certificate("service")) as client,
        _served(RequireKey(api, client, EVENTS_READ)) as host,
    ):
        response = await _get(host, ("x-api-key", "key"))
    _assert_error(response, 500, "api_error", "gateway_misconfigured", None)
    assert api.seen == []


async def test_each_request_can_have_a_question_of_its_own(client: AsyncTokenAuthority, api: Api) -> None:
    def question(scope: Scope) -> Question:
        return Question(["events:read" if scope["path"] == "/events" else "files:read"])

    key = ("x-api-key", await _key(client))
    async with _served(RequireKey(api, client, question)) as host:
        assert (await _get(host, key, path="/events")).status_code == 200
        assert (await _get(host, key, path="/files")).status_code == 403


async def test_repeats_the_request_id_unless_it_could_be_a_key(host: str, client: AsyncTokenAuthority) -> None:
    key = await _key(client)
    for sent, is_repeated in (("till-7", True), ("a b", False), ("x" * 65, False), (key, False), (key[:40], False)):
        error = (await _get(host, ("x-request-id", sent))).json()["error"]
        assert (error["request_id"] == sent) is is_repeated
        assert key[:40] not in json.dumps(error)


async def test_a_websocket_is_refused_before_it_is_accepted(
    host: str, api: Api, client: AsyncTokenAuthority, authority: Authority
) -> None:
    headers = {"Authorization": f"Bearer {await _key(client)}"}
    async with connect_websocket(f"ws://{host}/", additional_headers=headers) as websocket:
        assert await websocket.recv() == "acct_1"
    assert len(api.seen) == 1
    with pytest.raises(InvalidStatus) as refused:
        await connect_websocket(f"ws://{host}/")
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body or b"")["error"]["code"] == "key_missing"
    authority.stop()
    with pytest.raises(InvalidStatus) as undecided:
        await connect_websocket(f"ws://{host}/", additional_headers=headers)
    assert undecided.value.response.status_code == 503
    assert len(api.seen) == 1


@pytest.mark.parametrize(
    ("headers", "code"), [([], 1008), ([(b"x-api-key", b"undecided")], 1013)], ids=["no key", "an outage"]
)
async def test_a_server_that_cannot_answer_websockets_closes_them(
    api: Api, headers: list[tuple[bytes, bytes]], code: int
) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    # Nobody listens there.
    async with AsyncTokenAuthority("127.0.0.1:1", Plaintext()) as client:
        scope = {"type": "websocket", "headers": headers}
        await RequireKey(api, client, EVENTS_READ, timeout=0.2)(scope, receive, send)
    (message,) = sent
    assert (message["type"], message["code"]) == ("websocket.close", code)
    assert api.seen == []


async def test_the_life_of_the_app_goes_through_and_unknown_kinds_of_requests_do_not(
    api: Api, client: AsyncTokenAuthority
) -> None:
    app = RequireKey(api, client, EVENTS_READ)
    async with _served(app):
        assert api.lifespan == ["lifespan.startup"]
    assert api.lifespan == ["lifespan.startup", "lifespan.shutdown"]
    with pytest.raises(ValueError, match="no rule"):
        await app({"type": "carrier-pigeon"}, _never, _never)
    assert api.seen == []


async def _never(*_: Any) -> Any:
    raise AssertionError("must not be called")


def test_a_handler_without_middleware_has_no_principal() -> None:
    with pytest.raises(LookupError, match="no RequireKey"):
        principal_of({"type": "http"})


def test_a_question_must_say_which_permissions() -> None:
    with pytest.raises(TypeError):
        Question()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Question("events:read")
