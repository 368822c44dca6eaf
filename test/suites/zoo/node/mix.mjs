import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const connections = 4;
const workers = 32;
const patienceMs = 20_000;
const keptFaults = 5;

/**
 * A client library: `dial` makes one connection, whose `call` takes a message, milliseconds until its deadline, a
 * signal that cancels it and whether to compress. `isCancelled` and `isExpired` tell what the library says by an error.
 * @typedef {{ call(request: Buffer, options: { timeoutMs: number, signal: AbortSignal | null, compressed: boolean }):
 * Promise<Buffer>, close(): void }} Caller @typedef {{ version: string, dial(address: string, path: string): Caller,
 * isCancelled(error: unknown): boolean, isExpired(error: unknown): boolean }} Stack
 */

/** Reads what the suite asks for: messages as bytes, and the bytes that answer them. */
export function readOrder(file) {
  const order = JSON.parse(readFileSync(file, "utf8"));
  for (const name of ["good", "revoked", "large"]) {
    const { request, response } = order[name];
    order[name] = { request: Buffer.from(request, "base64"), response: Buffer.from(response, "base64") };
  }
  return order;
}

/** Calls as a busy gateway does, with a witness on one of its connections and one on a connection of its own. */
export async function run(stack, order) {
  const callers = Array.from({ length: connections }, () => stack.dial(order.address, order.path));
  const apart = stack.dial(order.otherAddress, order.path);
  const endMs = performance.now() + order.seconds * 1000;
  const busy = { ...newTally(), cancelled: 0, expired: 0 };
  const [same, other] = [newTally(), newTally()];
  let next = 0;
  const work = async (worker) => {
    while (performance.now() < endMs) {
      next += 1;
      await busyCall(stack, callers[worker % connections], order, next, busy);
    }
  };
  console.log("begun");
  await Promise.all([
    witness(callers[0], order, endMs, same),
    witness(apart, order, endMs, other),
    ...Array.from({ length: workers }, (_, worker) => work(worker)),
  ]);
  for (const caller of [...callers, apart]) {
    caller.close();
  }
  return { version: stack.version, busy, same, other };
}

async function busyCall(stack, caller, order, number, busy) {
  const [isCancelled, isExpired] = [number % 3 === 0, number % 3 === 1];
  const asked = number % 10 === 9 ? order.large : order.good;
  const controller = isCancelled ? new AbortController() : null;
  if (controller !== null) {
    void sleep(Math.random() * 3).then(() => controller.abort());
  }
  const timeoutMs = isExpired ? 1 + Math.floor(Math.random() * 5) : patienceMs;
  try {
    const options = { timeoutMs, signal: controller?.signal ?? null, compressed: number % 2 === 0 };
    take(busy, asked, await caller.call(asked.request, options), 0);
  } catch (error) {
    if (isCancelled && stack.isCancelled(error)) {
      busy.cancelled += 1;
    } else if (isExpired && stack.isExpired(error)) {
      busy.expired += 1;
    } else {
      fail(busy, error);
    }
  }
}

/** A client that does nothing wrong: one call after the other, of a good key and of a revoked one. */
async function witness(caller, order, endMs, tally) {
  for (let number = 0; performance.now() < endMs; number += 1) {
    const asked = number % 2 === 0 ? order.good : order.revoked;
    const startMs = performance.now();
    try {
      const answer = await caller.call(asked.request, { timeoutMs: patienceMs, signal: null, compressed: false });
      take(tally, asked, answer, performance.now() - startMs);
    } catch (error) {
      fail(tally, error);
    }
  }
}

function newTally() {
  return { calls: 0, wrong: 0, failed: 0, faults: [], longestMs: 0 };
}

function take(tally, asked, answer, tookMs) {
  tally.calls += 1;
  tally.longestMs = Math.max(tally.longestMs, Math.round(tookMs));
  if (!asked.response.equals(answer)) {
    tally.wrong += 1;
    note(tally, new Error("another answer than the contract's"));
  }
}

function fail(tally, error) {
  tally.calls += 1;
  tally.failed += 1;
  note(tally, error);
}

function note(tally, error) {
  if (tally.faults.length < keptFaults) {
    tally.faults.push(String(error));
  }
}
