"""The cache of the Python client for threads, measured in the process that uses it. The jobs are those of typescript.ts."""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from casapay_token_authority import DecisionSource, Plaintext, Principal, Question, Settings, TokenAuthority
from casapay_token_authority._key_cache import KeyCache
from casapay_token_authority._lease import Clocks
from casapay_token_authority._operations import read_answer
from casapay_token_authority._proto.casapay.token.v1 import token_pb2, token_service_pb2

QUESTION = Question(["charges:read"], livemode=True)
CALLS_AT_ONCE = 8
HOUR = 3600
# Python 3.11 takes as long to find a member of an enumeration as to hash half a key, which is not the client's cost.
CACHE = DecisionSource.CACHE


def keys_of(file: str) -> list[str]:
    with open(file) as lines:
        return list(dict.fromkeys(filter(None, lines.read().split("\n"))))[:1000]


def warm(address: str, keys: list[str]) -> TokenAuthority:
    client = TokenAuthority(address, Plaintext(), Settings(cache_mib=64))
    for key in keys:
        while client.authenticate(key, QUESTION).source is not CACHE:
            time.sleep(0.001)
    return client


class Bare:
    def __init__(self, keys: list[str]) -> None:
        self._known = {sha256(key.encode()).digest(): key for key in keys}

    def authenticate(self, key: str, question: Question, *, timeout: float | None = None) -> str | None:
        return self._known.get(sha256(key.encode()).digest())


def decide(address: str, file: str, rounds: str, round_ms: str) -> dict[str, object]:
    keys = keys_of(file)
    known = {sha256(key.encode()).digest(): key for key in keys}
    bare = Bare(keys)
    found: dict[str, list[float]] = {"bare": [], "bareLater": [], "hit": [], "rpc": []}
    seconds = int(round_ms) / 1000
    with (
        warm(address, keys) as client,
        TokenAuthority(address, Plaintext()) as asking,
        ThreadPoolExecutor(CALLS_AT_ONCE) as pool,
    ):

        def directly() -> None:
            for key in keys:
                if known.get(sha256(key.encode()).digest()) is None:
                    fail()

        def later() -> None:
            for key in keys:
                if bare.authenticate(key, QUESTION) is None:
                    fail()

        def from_memory() -> None:
            for key in keys:
                if client.authenticate(key, QUESTION).source is not CACHE:
                    fail()

        def by_calls() -> None:
            list(pool.map(lambda key: asking.authenticate(key, QUESTION), keys[:64]))

        arms = [("bare", directly, 1000), ("bareLater", later, 1000), ("hit", from_memory, 1000), ("rpc", by_calls, 64)]
        # One round is not counted.
        for round_number in range(int(rounds) + 1):
            for name, once, calls in arms:
                us = measure(once, calls, seconds)
                if round_number > 0:
                    found[name].append(us)
    return dict(found)


def measure(once: Callable[[], None], calls: int, seconds: float) -> float:
    """CPU of this process for one call, in microseconds."""
    ends_at, began, done = time.monotonic() + seconds, time.process_time(), 0
    while time.monotonic() < ends_at:
        once()
        done += calls
    return (time.process_time() - began) / done * 1e6


def fail() -> None:
    raise RuntimeError("what was kept was not found")


def hits(address: str, file: str, count: str) -> dict[str, object]:
    keys = keys_of(file)
    with warm(address, keys) as client:
        kept = 0
        os.path.exists("/the-hits-begin")
        for number in range(int(count)):
            kept += client.authenticate(keys[number % len(keys)], QUESTION).source is CACHE
        os.path.exists("/the-hits-end")
    return {"kept": kept}


def alone(mib: int) -> KeyCache:
    """A cache with a lease, apart from any authority: nobody renews it when a busy machine moves its clocks apart."""
    read_at = 0.0

    def monotonic() -> float:
        nonlocal read_at
        read_at = time.monotonic()
        return read_at

    # Read once for both: else a pause between the readings moves them apart.
    clocks = Clocks(monotonic, lambda: read_at)
    cache = KeyCache(mib * 2**20, clocks)
    cache.renew(clocks.now(), HOUR, 1)
    return cache


def keep(cache: KeyCache, key: str, answer: bytes) -> None:
    """As an answer of the authority is read and kept."""
    fill = cache.begin_fill(key, QUESTION)
    assert fill is not None
    response = token_service_pb2.AuthenticateResponse.FromString(answer)
    cache.end_fill(fill, read_answer(response), QUESTION)
    cache.take_uses(1000)


def good_answer(index: int) -> bytes:
    principal = token_service_pb2.Principal(
        token_id=f"tok_{index:020d}",
        account=f"acct_{index % 100_000:08d}",
        type=token_pb2.TOKEN_TYPE_RESTRICTED,
        livemode=True,
        permissions=["charges:write", "customers:read", "events:read"],
    )
    answer = token_service_pb2.AuthenticateResponse(principal=principal, revision=2)
    answer.cache_for.FromSeconds(HOUR)
    return answer.SerializeToString()


def key_at(index: int) -> str:
    return f"rk_live_{index:038d}"


def resident_mib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def remember(count: str) -> dict[str, object]:
    cache, before = alone(65_536), resident_mib()
    for index in range(int(count)):
        keep(cache, key_at(index), good_answer(index))
    mib = resident_mib()
    gc.collect()
    return {"keys": len(cache), "beforeMiB": before, "mib": mib, "afterGcMiB": resident_mib()}


def flood(count: str) -> dict[str, object]:
    cache, good = alone(64), [key_at(index) for index in range(1000)]
    for index, key in enumerate(good):
        keep(cache, key, good_answer(index))
    unknown = token_service_pb2.Refusal(reason=token_service_pb2.REFUSAL_REASON_KEY_UNKNOWN)
    response = token_service_pb2.AuthenticateResponse(refusal=unknown, revision=2)
    response.cache_for.FromSeconds(5)
    answer = response.SerializeToString()

    def once() -> None:
        for key in good:
            if not isinstance(cache.decide(key, QUESTION), Principal):
                fail()

    measure(once, 1000, 0.3)
    mib, hit_us, part = [], [measure(once, 1000, 0.3)], int(count) // 5
    for index in range(int(count)):
        keep(cache, key_at(1_000_000 + index), answer)
        if index % part == part - 1:
            mib.append(resident_mib())
            hit_us.append(measure(once, 1000, 0.3))
    return {"mib": mib, "hitUs": hit_us}


JOBS: dict[str, Callable[..., dict[str, object]]] = {"decide": decide, "hits": hits, "remember": remember, "flood": flood}
print(json.dumps(JOBS[sys.argv[1]](*sys.argv[2:])))
