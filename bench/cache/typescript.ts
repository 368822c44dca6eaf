// The cache of the TypeScript client, measured in the process that uses it. Prints one JSON object.
//
//   decide ADDRESS KEYS ROUNDS ROUND-MS   CPU of a decision in microseconds, round by round
//   hits ADDRESS KEYS COUNT               so many decisions from memory, between two looks at files for strace
//   remember COUNT                        MiB of a process that keeps so many keys
//   flood COUNT                           the same, and a good key's decision, beside so many distinct unknown keys
import { hash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { TokenType } from "../../clients/typescript/gen/casapay/token/v1/token_pb.ts";
import {
  AuthenticateResponseSchema,
  RefusalReason,
} from "../../clients/typescript/gen/casapay/token/v1/token_service_pb.ts";
import { machineClocks, momentOf } from "../../clients/typescript/src/cache/clocks.ts";
import { factsOf } from "../../clients/typescript/src/cache/facts.ts";
import { KeyCache } from "../../clients/typescript/src/cache/key-cache.ts";
import { type Authority, connect, type Question } from "../../clients/typescript/src/index.ts";

const question: Question = { requiredPermissions: ["charges:read"], livemode: true, allowedTypes: [] };
const callsAtOnce = 8;
const hour = 3_600_000;

const [job = "", ...args] = process.argv.slice(2);
const jobs: Readonly<Record<string, () => Promise<object> | object>> = {
  decide: () => decide(args[0] ?? "", keysOf(args[1] ?? ""), Number(args[2]), Number(args[3])),
  hits: () => hits(args[0] ?? "", keysOf(args[1] ?? ""), Number(args[2])),
  remember: () => remember(Number(args[0])),
  flood: () => flood(Number(args[0])),
};
console.log(JSON.stringify(await jobs[job]?.()));

function keysOf(file: string): readonly string[] {
  return [...new Set(readFileSync(file, "utf8").split("\n"))].filter((key) => key !== "").slice(0, 1_000);
}

async function decide(address: string, keys: readonly string[], rounds: number, roundMs: number) {
  using authority = connect(address, { security: "plaintext", cache: { maxMiB: 64 } });
  using asking = connect(address, { security: "plaintext" });
  await warm(authority, keys);
  const known = new Map(keys.map((key) => [hash("sha256", key, "latin1"), key]));
  const lookUp = (key: string) => known.get(hash("sha256", key, "latin1"));
  const lookUpLater = async (key: string) => lookUp(key);
  const arms = {
    bare: () => measure(keys, roundMs, (key) => void (lookUp(key) === undefined && fail())),
    bareLater: () =>
      measureLater(keys, roundMs, async (key) => void ((await lookUpLater(key)) === undefined && fail())),
    hit: () =>
      measureLater(keys, roundMs, async (key) => {
        const { source } = await authority.authenticate(key, question);
        if (source !== "cache") {
          fail();
        }
      }),
    rpc: () =>
      measureLater(keys, roundMs, async () => {
        const some = keys.slice(0, callsAtOnce);
        await Promise.all(some.map((key) => asking.authenticate(key, question)));
      }).then((us) => us / callsAtOnce),
  };
  const figures: Record<string, number[]> = { bare: [], bareLater: [], hit: [], rpc: [] };
  // One round is not counted.
  for (let round = 0; round <= rounds; round += 1) {
    for (const [name, run] of Object.entries(arms)) {
      const us = await run();
      if (round > 0) {
        figures[name]?.push(us);
      }
      // The lease is renewed between the rounds, as it is between requests.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  return figures;
}

async function warm(authority: Authority, keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    while ((await authority.authenticate(key, question)).source !== "cache") {
      await new Promise(setImmediate);
    }
  }
}

/** CPU of this process for one call, in microseconds. */
function measure(keys: readonly string[], roundMs: number, call: (key: string) => void): number {
  const endMs = performance.now() + roundMs;
  const before = process.cpuUsage();
  let calls = 0;
  while (performance.now() < endMs) {
    for (const key of keys) {
      call(key);
    }
    calls += keys.length;
  }
  return usedSince(before) / calls;
}

async function measureLater(keys: readonly string[], roundMs: number, call: (key: string) => Promise<void>) {
  const endMs = performance.now() + roundMs;
  const before = process.cpuUsage();
  let calls = 0;
  while (performance.now() < endMs) {
    for (const key of keys) {
      await call(key);
      calls += 1;
      if (calls % keys.length === 0) {
        // A gateway reads its sockets between requests: this is how it hears that its lease goes on.
        await new Promise(setImmediate);
      }
      if (performance.now() >= endMs && calls >= callsAtOnce) {
        break;
      }
    }
  }
  return usedSince(before) / calls;
}

function usedSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function fail(): never {
  throw new Error("what was kept was not found");
}

async function hits(address: string, keys: readonly string[], count: number) {
  using authority = connect(address, { security: "plaintext", cache: { maxMiB: 64 } });
  await warm(authority, keys);
  const run = async () => {
    let kept = 0;
    for (let done = 0; done < count; done += 1) {
      const decision = await authority.authenticate(keys[done % keys.length] ?? "", question);
      kept += decision.source === "cache" ? 1 : 0;
    }
    return kept;
  };
  // The first time, the compiler is at work.
  await run();
  existsSync("/the-hits-begin");
  const kept = await run();
  existsSync("/the-hits-end");
  return { kept };
}

/** A cache with a lease, apart from any authority: nobody renews it when a busy machine moves its clocks apart. */
function alone(maxMiB: number): KeyCache {
  // Read once for both: else a pause between the readings moves them apart.
  let readMs = 0;
  const monotonicMs = () => {
    readMs = machineClocks.monotonicMs();
    return readMs;
  };
  const clocks = { monotonicMs, wallMs: () => readMs };
  const cache = new KeyCache(maxMiB * 2 ** 20, clocks);
  cache.beginForgets(1);
  cache.grant(momentOf(clocks), hour);
  return cache;
}

/** As an answer of the authority is read and kept. */
function keep(cache: KeyCache, key: string, answer: Uint8Array): void {
  const begun = cache.beginFill(key, question);
  const response = fromBinary(AuthenticateResponseSchema, answer);
  const facts = factsOf(response, cache.standings);
  if (begun === null || facts === null) {
    throw new Error("the cache keeps nothing");
  }
  cache.endFill(begun, { facts, revision: Number(response.revision), cacheForMs: hour }, question);
  if (cache.usedKeys >= 1_000) {
    cache.takeUses(1_000);
  }
}

function goodAnswer(index: number): Uint8Array {
  const value = {
    tokenId: `tok_${index.toString(36).padStart(20, "0")}`,
    account: `acct_${(index % 100_000).toString(36).padStart(8, "0")}`,
    type: TokenType.RESTRICTED,
    livemode: true,
    permissions: ["charges:write", "customers:read", "events:read"],
  };
  const answer = create(AuthenticateResponseSchema, { outcome: { case: "principal", value }, revision: 2n });
  return toBinary(AuthenticateResponseSchema, answer);
}

function keyOf(index: number): string {
  return `rk_live_${index.toString().padStart(38, "0")}`;
}

function residentMiB(): number {
  return process.memoryUsage.rss() / 2 ** 20;
}

function remember(count: number) {
  const cache = alone(8_192);
  const beforeMiB = residentMiB();
  for (let index = 0; index < count; index += 1) {
    keep(cache, keyOf(index), goodAnswer(index));
  }
  const mib = residentMiB();
  globalThis.gc?.();
  return { keys: cache.size, beforeMiB, mib, afterGcMiB: residentMiB() };
}

async function flood(count: number) {
  const cache = alone(64);
  const good = Array.from({ length: 1_000 }, (_, index) => keyOf(index));
  for (const [index, key] of good.entries()) {
    keep(cache, key, goodAnswer(index));
  }
  const unknown = create(AuthenticateResponseSchema, {
    outcome: { case: "refusal", value: { reason: RefusalReason.KEY_UNKNOWN } },
    revision: 2n,
  });
  const answer = toBinary(AuthenticateResponseSchema, unknown);
  const costUs = () => measure(good, 300, (key) => void (cache.decide(key, question)?.kind !== "principal" && fail()));
  costUs();
  const mib: number[] = [];
  const hitUs: number[] = [costUs()];
  for (let done = 0; done < count; done += 1) {
    keep(cache, keyOf(1_000_000 + done), answer);
    if (done % (count / 5) === count / 5 - 1) {
      mib.push(residentMiB());
      hitUs.push(costUs());
    }
  }
  return { mib, hitUs };
}
