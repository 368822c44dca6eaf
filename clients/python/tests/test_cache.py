"""Decisions from memory, of both clients, against real authorities."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from typing import Any

import grpc
import pytest
from both_clients import KINDS, connect
from conftest import Authority, StartAuthority, certificate

from casapay_token_authority import (
    DecisionSource,
    Plaintext,
    Principal,
    Question,
    Refusal,
    Settings,
    TokenAuthority,
    TokenType,
    Undecided,
)

CHARGES = Question(["charges:read"])
CACHED = Settings(cache_mib=8)
UNKNOWN_KEY = "sk_live_" + 32 * "0" + "0000"


async def _create(client: Any, **changed: Any) -> Any:
    fields = {"account": "acct_1", "name": "Till", "type": TokenType.RESTRICTED, "permissions": ["charges:write"]}
    return await client.create(**{**fields, **changed})


async def _until_kept(client: Any, key: str) -> Any:
    """Asks until the answer comes from memory."""
    ends_at = time.monotonic() + 20
    while time.monotonic() < ends_at:
        decision = await client.authenticate(key, CHARGES)
        if decision.source is DecisionSource.CACHE:
            return decision
        await asyncio.sleep(0.005)
    raise AssertionError("it is not kept")


async def _told(client: Any, key: str) -> str:
    try:
        decision = await client.authenticate(key, CHARGES)
    except Undecided:
        return "undecided"
    return "principal" if isinstance(decision, Principal) else str(decision.reason)


@pytest.mark.parametrize("kind", KINDS)
async def test_decides_from_memory_as_the_authority_does_and_says_so(kind: str, authority: Authority) -> None:
    async with connect(kind, authority.address, settings=CACHED) as client, connect(kind, authority.address) as asking:
        key = (await _create(asking)).key
        kept = await _until_kept(client, key)
        asked = await asking.authenticate(key, CHARGES)
        assert (kept, kept.source, asked.source) == (asked, DecisionSource.CACHE, DecisionSource.AUTHORITY)
        with pytest.raises(Undecided) as raised:
            await client.authenticate(key, Question(["charges"]))
        assert (raised.value.code, raised.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, "required_permissions")


@pytest.mark.parametrize("kind", KINDS)
async def test_no_key_is_accepted_whose_revocation_was_answered(kind: str, start_authority: StartAuthority) -> None:
    server = start_authority(THREADS="2")
    async with (
        connect(kind, server.address, settings=CACHED) as first,
        connect(kind, server.address, settings=CACHED) as second,
        connect(kind, server.address) as service,
    ):
        revoked: set[str] = set()
        live: list[str] = []
        wrong: list[str] = []
        hits = 0
        is_over = False

        async def ask(gateway: Any) -> None:
            nonlocal hits
            while not is_over:
                for key in live[-10:]:
                    was_revoked = key in revoked
                    decision = await gateway.authenticate(key, CHARGES)
                    hits += decision.source is DecisionSource.CACHE
                    if was_revoked and isinstance(decision, Principal):
                        wrong.append(decision.source)
                await asyncio.sleep(0)

        asking = [asyncio.create_task(ask(each)) for each in (first, second)]
        for _ in range(50):
            created = await _create(service)
            live.append(created.key)
            for gateway in (first, second):
                await _until_kept(gateway, created.key)
            await service.revoke(created.token.id)
            revoked.add(created.key)
            assert [await _told(each, created.key) for each in (first, second)] == ["token_revoked"] * 2
        is_over = True
        await asyncio.gather(*asking)
    assert wrong == []
    assert hits > 500


@pytest.mark.parametrize("kind", KINDS)
async def test_uses_from_memory_are_known_to_the_authority(kind: str, authority: Authority) -> None:
    async with connect(kind, authority.address, settings=CACHED) as client, connect(kind, authority.address) as service:
        # From here on answers are kept, and the authority notes no use of its own.
        await _until_kept(client, (await _create(service)).key)
        created = await _create(service)
        began = time.time()
        await _until_kept(client, created.key)
        used_at = None
        while used_at is None and time.time() < began + 30:
            used_at = (await service.get(created.token.id)).last_used_at
            await asyncio.sleep(0.05)
        assert used_at is not None
        assert used_at.timestamp() > began - 1


@pytest.mark.parametrize("kind", KINDS)
async def test_without_the_right_to_watch_the_authority_is_asked_as_ever(
    kind: str, start_authority: StartAuthority, tls_settings: dict[str, str]
) -> None:
    server = start_authority(**tls_settings)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        async with connect(kind, server.address, certificate("service"), CACHED) as client:
            with pytest.raises(Undecided, match="ROLE_NOT_ALLOWED"):
                await client.authenticate(UNKNOWN_KEY, CHARGES)
            for _ in range(2000):
                await asyncio.sleep(0 if told else 0.01)
    assert "asked about every key" in str(told[0].message)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_outage_ends_in_no_decision_and_never_in_a_bad_key(kind: str, authority: Authority) -> None:
    settings = Settings(cache_mib=8, authenticate_timeout=0.3)
    async with connect(kind, authority.address, settings=settings) as client:
        key = (await _create(client)).key
        await _until_kept(client, key)
        authority.stop(signal.SIGKILL)
        ends_at = time.monotonic() + 20
        # For as long as the lease lasts it may say so.
        while (told := await _told(client, key)) == "principal":
            assert time.monotonic() < ends_at
        assert told == "undecided"
        await asyncio.to_thread(authority.start)
        while await _told(client, key) == "undecided":
            assert time.monotonic() < ends_at + 60
        assert await _until_kept(client, key)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_authority_that_starts_again_tells_what_was_missed(kind: str, authority: Authority) -> None:
    async with connect(kind, authority.address, settings=CACHED) as client, connect(kind, authority.address) as service:
        gone, stays = await _create(service), await _create(service)
        for _ in range(2):
            await _until_kept(client, gone.key)
            await _until_kept(client, stays.key)
            await asyncio.to_thread(authority.stop)
            await asyncio.to_thread(authority.start)
        await service.revoke(gone.token.id)
        assert await _told(client, gone.key) != "principal"
        assert isinstance(await _until_kept(client, stays.key), Principal)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_close_gives_the_lease_back(kind: str, authority: Authority) -> None:
    async with connect(kind, authority.address) as service:
        async with connect(kind, authority.address, settings=CACHED) as client:
            created = await _create(service)
            await _until_kept(client, created.key)
        with pytest.raises(Undecided) as raised:
            await client.authenticate(created.key, CHARGES)
        assert raised.value.code is grpc.StatusCode.CANCELLED
        began = time.monotonic()
        await service.revoke(created.token.id)
        # One that waits for the lease takes three seconds.
        assert time.monotonic() - began < 1.5


async def test_the_cache_agrees_with_the_authority_on_random_questions(authority: Authority) -> None:
    permissions = ["charges:read", "charges:write", "events:read", "events:write", "payouts:write"]
    types = [TokenType.SECRET, TokenType.PUBLISHABLE, TokenType.RESTRICTED]

    def some(items: list[Any]) -> list[Any]:
        return [each for each in items if random.random() < 0.4]

    async with (
        connect("asyncio", authority.address, settings=CACHED) as client,
        connect("asyncio", authority.address) as asking,
    ):
        keys = [UNKNOWN_KEY, "sk_live_0"]
        for each in range(60):
            kind = random.choice(types)
            created = await asking.create(
                f"acct_{each % 7}",
                "Random",
                kind,
                livemode=random.random() < 0.5,
                permissions=[*some(permissions), "other:read"] if kind is TokenType.RESTRICTED else [],
            )
            keys.append(created.key)
            if each % 10 == 0:
                await asking.revoke(created.token.id)
        await _until_kept(client, keys[5])
        count, hits = int(os.environ.get("QUESTIONS", "4000")), 0

        async def ask() -> bool:
            key = random.choice(keys)
            question = Question(some(permissions), random.choice([None, True, False]), some(types))
            ours, theirs = await asyncio.gather(client.authenticate(key, question), asking.authenticate(key, question))
            assert ours == theirs, question
            return bool(ours.source is DecisionSource.CACHE)

        for _ in range(count // 50):
            hits += sum(await asyncio.gather(*(ask() for _ in range(50))))
    assert hits > count / 2


def test_a_cache_has_bounds_that_make_sense() -> None:
    for mib in (0, -1, 10**6):
        with pytest.raises(ValueError, match="cache_mib"):
            Settings(cache_mib=mib)


async def test_a_stopped_gateway_is_waited_out_and_refuses_when_it_goes_on(authority: Authority) -> None:
    async with connect("threads", authority.address) as service:
        created = await _create(service)
        gateway = _Gateway(authority.address, created.key)
        try:
            # It may have to renew its lease first.
            while (told := gateway.ask()) == "principal authority":
                pass
            assert told == "principal cache"
            gateway.process.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            await service.revoke(created.token.id)
            assert time.monotonic() - began > 0.5
            gateway.process.send_signal(signal.SIGCONT)
            assert gateway.ask() == "token_revoked authority"
        finally:
            gateway.process.kill()
            gateway.process.communicate()


class _Gateway:
    """A process that says what it decides, line by line."""

    def __init__(self, address: str, key: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._say(key) == "kept"

    def ask(self) -> str:
        return self._say("")

    def _say(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


FORKING = """
import os, signal, sys, threading, time
from casapay_token_authority import *

CHARGES = Question(["charges:read"])

def until_kept():
    while client.authenticate(key, CHARGES).source is not DecisionSource.CACHE:
        time.sleep(0.005)

def fork():
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        return
    # One that waits for ever is ended.
    signal.alarm(20)
    try:
        client.authenticate(key, CHARGES)
    except Undecided as error:
        client.close()
        os.write(1, f"{error.code.name} ".encode())
    finally:
        os._exit(0)

with TokenAuthority(sys.argv[1], Plaintext(), Settings(cache_mib=8)) as client:
    key = client.create("acct_1", "Till", TokenType.RESTRICTED, permissions=["charges:read"]).key
    until_kept()
    # As when a thread of the watch is at work: in the child nobody lets its lock go.
    with client._watch.lock:
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    until_kept()
    print("kept")
"""


async def test_a_child_of_a_fork_does_not_decide_by_its_parents_lease(authority: Authority) -> None:
    # The child makes no call. gRPC's own handlers of a fork may abort it all the same, and are turned off.
    env = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FORKING, authority.address, stdout=asyncio.subprocess.PIPE, env=env
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert output.decode().split() == ["FAILED_PRECONDITION", "0", "kept"]


def _decide_for_ever(address: str) -> None:
    with TokenAuthority(address, Plaintext(), CACHED) as client:
        key = sys.stdin.readline().strip()
        while client.authenticate(key, CHARGES).source is not DecisionSource.CACHE:
            time.sleep(0.005)
        print("kept", flush=True)
        for _ in sys.stdin:
            outcome = client.authenticate(key, CHARGES)
            told = outcome.reason if isinstance(outcome, Refusal) else "principal"
            print(told, outcome.source, flush=True)


if __name__ == "__main__":
    _decide_for_ever(sys.argv[1])
