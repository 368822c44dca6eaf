"""What is called, how, and what is counted."""

import asyncio
import base64
import dataclasses
import itertools
import json
import random
import time

CONNECTIONS = 4
WORKERS = 32
PATIENCE_S = 20.0
KEPT_FAULTS = 5


class Expired(Exception):
    """The library says that the deadline passed."""


@dataclasses.dataclass
class Example:
    request: bytes
    response: bytes


@dataclasses.dataclass
class Tally:
    calls: int = 0
    wrong: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    longestMs: int = 0
    faults: list = dataclasses.field(default_factory=list)

    def take(self, asked, answer, took_s):
        self.calls += 1
        self.longestMs = max(self.longestMs, round(took_s * 1000))
        if answer != asked.response:
            self.wrong += 1
            self.note("another answer than the contract's")

    def fail(self, error):
        self.calls += 1
        self.failed += 1
        self.note(repr(error))

    def note(self, fault):
        if len(self.faults) < KEPT_FAULTS:
            self.faults.append(fault)


def read_order(file):
    with open(file, encoding="utf-8") as opened:
        order = json.load(opened)
    for name in ("good", "revoked", "large"):
        order[name] = Example(**{part: base64.b64decode(text) for part, text in order[name].items()})
    return order


async def run(stack, order):
    """Calls as a busy gateway does, with a witness on one of its connections and one on a connection of its own."""
    callers = [stack(order["address"], order["path"]) for _ in range(CONNECTIONS)]
    apart = stack(order["otherAddress"], order["path"])
    end = time.monotonic() + order["seconds"]
    busy, same, other = Tally(), Tally(), Tally()
    numbers = itertools.count(1)
    print("begun", flush=True)
    await asyncio.gather(
        witness(callers[0], order, end, same),
        witness(apart, order, end, other),
        *(work(callers[worker % CONNECTIONS], order, end, numbers, busy) for worker in range(WORKERS)),
    )
    for caller in [*callers, apart]:
        await caller.close()
    return {"version": stack.version, **{name: dataclasses.asdict(tally) for name, tally in
            (("busy", busy), ("same", same), ("other", other))}}


async def work(caller, order, end, numbers, busy):
    while time.monotonic() < end:
        number = next(numbers)
        is_cancelled, is_expired = number % 3 == 0, number % 3 == 1
        asked = order["large"] if number % 10 == 9 else order["good"]
        timeout_s = random.randint(1, 5) / 1000 if is_expired else PATIENCE_S
        call = asyncio.ensure_future(caller.call(asked.request, timeout_s, number % 2 == 0))
        if is_cancelled:
            asyncio.get_running_loop().call_later(random.random() * 0.003, call.cancel)
        try:
            busy.take(asked, await call, 0)
        except asyncio.CancelledError:
            busy.cancelled += 1
        except Expired as error:
            if is_expired:
                busy.expired += 1
            else:
                busy.fail(error)
        except Exception as error:
            busy.fail(error)


async def witness(caller, order, end, tally):
    """A client that does nothing wrong: one call after the other, of a good key and of a revoked one."""
    for number in itertools.count():
        if time.monotonic() >= end:
            return
        asked = order["good"] if number % 2 == 0 else order["revoked"]
        start = time.monotonic()
        try:
            tally.take(asked, await caller.call(asked.request, PATIENCE_S, False), time.monotonic() - start)
        except Exception as error:
            tally.fail(error)
