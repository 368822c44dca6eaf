"""What the clients make of an authority that is away, slow, started again, or behind a network that forgets."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from both_clients import KINDS, connect
from conftest import Authority, StartAuthority, certificate
from forgetful_proxy import ForgetfulProxy

from casapay_token_authority import (
    AsyncTokenAuthority,
    AuthorityError,
    Plaintext,
    Principal,
    Question,
    Refusal,
    Settings,
    TokenAuthority,
    TokenType,
    Undecided,
)

NOTHING = Question(permissions=())
# A noisy machine may be that much late.
LATE_SECONDS = 1.0


async def _create(client: Any) -> Any:
    return await client.create("acct_1", "Till", TokenType.RESTRICTED, permissions=["events:read"])


@pytest.mark.parametrize("kind", KINDS)
async def test_an_authority_that_is_away_is_undecided_at_the_deadline(kind: str) -> None:
    async with connect(kind, "127.0.0.1:1") as client:
        began = time.monotonic()
        with pytest.raises(Undecided, match="Connection refused") as raised:
            await client.authenticate("key", NOTHING, timeout=0.5)
        assert time.monotonic() - began < 0.5 + LATE_SECONDS
        assert (raised.value.code, raised.value.is_mistake) == (grpc.StatusCode.UNAVAILABLE, False)
        with pytest.raises(AuthorityError, match="Connection refused") as managing:
            await client.create("acct_1", "Till", TokenType.SECRET, timeout=0.5)
        assert not isinstance(managing.value, Undecided)
        # Whoever gets the error can ask again for the same token.
        assert managing.value.request_id is not None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_made_while_the_authority_is_away_waits_for_it(kind: str, authority: Authority) -> None:
    async with connect(kind, authority.address, settings=Settings(authenticate_timeout=20)) as client:
        key = (await _create(client)).key
        authority.stop()
        call = asyncio.create_task(client.authenticate(key, NOTHING))
        await asyncio.to_thread(authority.start)
        started = time.monotonic()
        assert isinstance(await call, Principal)
        assert time.monotonic() - started < LATE_SECONDS


@pytest.mark.parametrize("kind", KINDS)
async def test_a_slow_authority_is_undecided_at_the_deadline(kind: str, authority: Authority) -> None:
    async with connect(kind, authority.address) as client:
        key = (await _create(client)).key
        authority.pause()
        began = time.monotonic()
        with pytest.raises(Undecided) as raised:
            await client.authenticate(key, NOTHING, timeout=0.5)
        assert 0.4 < time.monotonic() - began < 0.5 + LATE_SECONDS
        assert (raised.value.code, raised.value.is_mistake) == (grpc.StatusCode.DEADLINE_EXCEEDED, False)
        authority.resume()
        assert isinstance(await client.authenticate(key, NOTHING), Principal)


async def test_the_default_deadlines_are_3_and_10_seconds(authority: Authority) -> None:
    authority.pause()
    async with connect("asyncio", authority.address) as client:

        async def measure(call: Awaitable[Any]) -> float:
            began = time.monotonic()
            with pytest.raises(AuthorityError):
                await call
            return time.monotonic() - began

        deciding, managing = await asyncio.gather(measure(client.authenticate("key", NOTHING)), measure(client.get("")))
    assert deciding == pytest.approx(3, abs=LATE_SECONDS)
    assert managing == pytest.approx(10, abs=LATE_SECONDS)


@dataclass
class _Ridden:
    calls: int = 0
    longest: float = 0.0
    failures: list[str] = field(default_factory=list)
    _wanted: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, calls: int) -> None:
        """Returns after so many more calls."""
        self._wanted = self.calls + calls
        self._reached.clear()
        await self._reached.wait()

    async def ask(self, call: Awaitable[Any], is_right: Callable[[Any], bool]) -> Any:
        began = time.monotonic()
        try:
            answer = await call
        except AuthorityError as error:
            self.failures.append(str(error))
            return None
        finally:
            self.calls += 1
            if self.calls >= self._wanted:
                self._reached.set()
            self.longest = max(self.longest, time.monotonic() - began)
        if not is_right(answer):
            self.failures.append(f"a wrong decision: {answer!r}")
        return answer


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("kind", KINDS)
async def test_restarts_under_load_fail_no_call_and_make_every_token_once(
    kind: str, how: signal.Signals, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(authenticate_timeout=20, timeout=30)
    deciding, managing = _Ridden(), _Ridden()
    restarts_are_over = asyncio.Event()
    async with connect(kind, authority.address, settings=settings) as client:
        good = (await _create(client)).key
        bad = await _create(client)
        await client.revoke(bad.token.id)
        created: list[str] = []

        async def decide() -> None:
            while not restarts_are_over.is_set():
                await deciding.ask(client.authenticate(good, NOTHING), lambda answer: isinstance(answer, Principal))
                await deciding.ask(client.authenticate(bad.key, NOTHING), lambda answer: isinstance(answer, Refusal))

        async def create() -> None:
            while not restarts_are_over.is_set():
                answer = await managing.ask(_create(client), lambda answer: answer.key is not None)
                if answer is not None:
                    created.append(answer.token.id)

        load = [asyncio.create_task(each()) for each in (decide, decide, decide, create, create)]
        for _ in range(3):
            await deciding.more(200)
            await asyncio.to_thread(authority.stop, how)
            await asyncio.to_thread(authority.start)
        restarts_are_over.set()
        await asyncio.gather(*load)
        existing = [token.id async for token in client.iterate_tokens()]
    with capsys.disabled():
        print(
            f"\n{kind}, 3 restarts by {how.name}: {deciding.calls} decisions, longest {deciding.longest:.2f} s; "
            f"{managing.calls} creations, longest {managing.longest:.2f} s; "
            f"{len(deciding.failures + managing.failures)} failed"
        )
    assert deciding.failures + managing.failures == []
    assert len(created) == managing.calls
    assert len(existing) == len(created) + 2
    assert set(created) < set(existing)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_creation_without_request_id_is_never_made_again(kind: str, authority: Authority) -> None:
    async with (
        ForgetfulProxy(authority.address) as proxy,
        connect(kind, proxy.address, settings=Settings(request_ids=False)) as client,
    ):
        await _create(client)
        proxy.cut_before_the_next_answer()
        with pytest.raises(AuthorityError) as raised:
            await _create(client)
        assert (raised.value.code, raised.value.request_id) == (grpc.StatusCode.UNAVAILABLE, None)
        # It was made, and its answer was lost: the caller must look.
        assert len([token async for token in client.iterate_tokens()]) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_creation_whose_answer_was_lost_answers_the_same_token(kind: str, authority: Authority) -> None:
    async with ForgetfulProxy(authority.address) as proxy, connect(kind, proxy.address) as client:
        await _create(client)
        proxy.cut_before_the_next_answer()
        created = await _create(client)
        assert (await client.list_tokens()).items[0] == created.token
        assert (created.revision, proxy.cuts, proxy.connections) == (2, 1, 2)


@pytest.mark.parametrize("kind", KINDS)
async def test_pings_keep_an_idle_connection_known_to_a_proxy_that_forgets(kind: str, authority: Authority) -> None:
    settings = Settings(keepalive=1, authenticate_timeout=2)
    async with (
        ForgetfulProxy(authority.address, forgets_after_seconds=2) as proxy,
        connect(kind, proxy.address, settings=settings) as client,
    ):
        key = (await _create(client)).key
        await proxy.has_lived(seconds=4.5)
        assert isinstance(await client.authenticate(key, NOTHING), Principal)
        assert (proxy.connections, proxy.forgotten) == (1, 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_that_was_forgotten_is_replaced_within_the_deadline(kind: str, authority: Authority) -> None:
    settings = Settings(keepalive=1, keepalive_timeout=1, authenticate_timeout=10)
    async with ForgetfulProxy(authority.address) as proxy, connect(kind, proxy.address, settings=settings) as client:
        key = (await _create(client)).key
        proxy.forget()
        assert isinstance(await client.authenticate(key, NOTHING), Principal)
        assert proxy.connections == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_http_proxy_in_the_environment_never_sees_a_key(
    kind: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with connect(kind, authority.address) as client:
        assert isinstance(await client.authenticate("key", NOTHING), Refusal)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_was_closed_says_so(kind: str, authority: Authority) -> None:
    async with connect(kind, authority.address) as client:
        await _create(client)
        authority.pause()
        call = asyncio.create_task(client.authenticate("key", NOTHING))
        await asyncio.sleep(0.2)
    for failing in (call, client.authenticate("key", NOTHING)):
        with pytest.raises(Undecided) as raised:
            await failing
        assert raised.value.code is grpc.StatusCode.CANCELLED


async def test_a_task_that_is_cancelled_is_cancelled(authority: Authority) -> None:
    authority.pause()
    async with connect("asyncio", authority.address) as client:
        call = asyncio.create_task(client.authenticate("key", NOTHING))
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.authenticate("key", NOTHING)


def test_another_event_loop_is_told_that_it_needs_a_client_of_its_own(authority: Authority) -> None:
    client = AsyncTokenAuthority(authority.address, Plaintext())
    with asyncio.Runner() as first, asyncio.Runner() as second:
        assert isinstance(first.run(client.authenticate("key", NOTHING)), Refusal)
        with pytest.raises(Undecided, match="another event loop") as raised:
            second.run(client.authenticate("key", NOTHING))
        assert raised.value.is_mistake
        first.run(client.close())


FORKING = """
import os, sys
from casapay_token_authority import *

def tell(word):
    # In one write: print makes two, and both processes may be at it.
    os.write(1, f"{word}\\n".encode())

client = TokenAuthority(sys.argv[1], Plaintext())
if sys.argv[2] == "used":
    client.authenticate("key", Question(()))
process_id = os.fork()
try:
    tell(type(client.authenticate("key", Question(()))).__name__)
except Undecided as error:
    tell(error.code.name)
if process_id:
    os.waitpid(process_id, 0)
os._exit(0)
"""


@pytest.mark.parametrize(("made", "printed"), [("unused", {"Refusal"}), ("used", {"Refusal", "FAILED_PRECONDITION"})])
async def test_a_client_may_be_made_before_a_fork_and_is_not_used_across_one(
    made: str, printed: set[str], authority: Authority
) -> None:
    # Those of gRPC may abort a child after a call.
    handlers = {"GRPC_ENABLE_FORK_SUPPORT": "0"} if made == "used" else {}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        FORKING,
        authority.address,
        made,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **handlers, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    lines = output.decode().split()
    assert (set(lines), len(lines)) == (printed, 2)


@pytest.mark.parametrize("kind", KINDS)
async def test_each_certificate_may_do_what_its_role_may(
    kind: str, start_authority: StartAuthority, tls_settings: dict[str, str]
) -> None:
    authority = start_authority(**tls_settings)

    async def reasons(role: str) -> tuple[str | None, str | None, str | None]:
        async with connect(kind, authority.address, certificate(role)) as client:
            return (
                await _reason(client.authenticate("key", NOTHING)),
                await _reason(_create(client)),
                await _reason(client.create("acct_1", "Server", TokenType.SECRET)),
            )

    not_allowed = "ROLE_NOT_ALLOWED"
    assert await reasons("gateway") == (None, not_allowed, not_allowed)
    assert await reasons("service") == (not_allowed, None, "TYPE_NOT_GRANTED")
    assert await reasons("dashboard") == (not_allowed, None, None)
    assert await reasons("operator") == (None, None, None)
    assert await reasons("stranger") == ("CALLER_UNKNOWN",) * 3


async def _reason(call: Awaitable[Any]) -> str | None:
    error = (await asyncio.gather(call, return_exceptions=True))[0]
    if not isinstance(error, AuthorityError):
        return None
    # Asking again with the same certificate does not help.
    assert error.is_mistake
    return error.reason


@pytest.mark.parametrize("kind", KINDS)
async def test_tls_and_plaintext_never_stand_in_for_each_other(
    kind: str, start_authority: StartAuthority, tls_settings: dict[str, str]
) -> None:
    over_tls, plaintext = start_authority(**tls_settings), start_authority()
    for address, credentials in ((over_tls.address, Plaintext()), (plaintext.address, certificate("operator"))):
        async with connect(kind, address, credentials) as client:
            with pytest.raises(Undecided) as raised:
                await client.authenticate("key", NOTHING, timeout=1)
            assert not raised.value.is_mistake


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_another_authority_signed_is_not_asked(
    kind: str, start_authority: StartAuthority, tls_settings: dict[str, str]
) -> None:
    trusted = certificate("gateway")
    # Any other certificate: this one signed nobody's.
    other = type(trusted)(ca=certificate("stranger").cert, cert=trusted.cert, key=trusted.key)
    async with connect(kind, start_authority(**tls_settings).address, other) as client:
        with pytest.raises(Undecided, match="CERTIFICATE_VERIFY_FAILED"):
            await client.authenticate("key", NOTHING, timeout=1)


@pytest.mark.parametrize("client_of", [TokenAuthority, AsyncTokenAuthority])
@pytest.mark.parametrize("address", ["authority.internal:50051", "10.0.0.1:50051", "[2001:db8::1]:50051", "0.0.0.0:1"])
def test_plaintext_is_for_this_machine(client_of: Any, address: str) -> None:
    with pytest.raises(ValueError, match="plaintext is for loopback"):
        client_of(address, Plaintext())


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "localhost:1", "[::1]:1", "unix:/run/authority.sock"])
def test_plaintext_takes_every_address_of_this_machine(address: str) -> None:
    TokenAuthority(address, Plaintext()).close()


@pytest.mark.parametrize("address", ["", "localhost", "http://localhost:1", "unix:", "a b:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address must be"):
        TokenAuthority(address, Plaintext())


async def test_asks_over_a_unix_socket(start_authority: StartAuthority, tmp_path: Any) -> None:
    authority = start_authority(LISTEN=f"unix:{tmp_path}/authority.sock")
    for kind in KINDS:
        async with connect(kind, authority.address) as client:
            assert isinstance(await client.authenticate("key", NOTHING), Refusal)


def test_certificates_must_be_pem_and_their_key_is_not_printed() -> None:
    tls = certificate("gateway")
    assert "PRIVATE KEY" not in repr(tls)
    with pytest.raises(ValueError, match="key must be PEM"):
        type(tls)(tls.ca, tls.cert, b"")


@pytest.mark.parametrize("name", ["authenticate_timeout", "timeout", "keepalive", "keepalive_timeout"])
def test_settings_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{name: 0})  # type: ignore[arg-type]
