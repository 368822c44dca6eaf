import { statfsSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Holder, Verdict } from "../freshness/gateway-process.ts";
import type { Random } from "../support/random.ts";
import { createReport, type Report } from "../support/report.ts";
import type { Fleet } from "./fleet.ts";

const { method: rpc } = TokenService;
/** A lease, and what a busy machine adds. */
const pastLeaseMs = 3000;
const lookMs = 1000;
const pauseMs = 20;
const revocations = 100;
const account = "acct_outages";
const diskMiB = 400;

type Key = { readonly tokenId: string; readonly key: string; isRevoked: boolean };
/** Verdicts of all holders, the nodes' own threads and the gateways. */
type Tally = { right: number; wrong: number; undecided: number };

type Outage = { readonly name: string; begin(fleet: Fleet): Promise<void>; end(fleet: Fleet): Promise<void> };

let giveBack = async () => {};

const outages: readonly Outage[] = [
  {
    name: "PostgreSQL has ended",
    begin: ({ database }) => database.primary().stop(),
    end: ({ database }) => database.primary().start(),
  },
  {
    name: "PostgreSQL stands still",
    begin: async ({ database }) => database.primary().sigstop(),
    end: async ({ database }) => database.primary().sigcont(),
  },
  {
    name: "PostgreSQL is cut off",
    begin: (fleet) => each(fleet, (link) => link.kill()),
    end: (fleet) => each(fleet, (link) => link.restart()),
  },
  {
    name: "PostgreSQL takes no writes",
    begin: ({ database }) => database.setReadOnly(true),
    end: ({ database }) => database.setReadOnly(false),
  },
  {
    name: "PostgreSQL has no connection left",
    begin: async ({ database }) => {
      giveBack = await database.takeConnections();
    },
    end: () => giveBack(),
  },
  {
    name: "the standby is cut off, and nothing is committed without it",
    begin: ({ database }) => database.cutReplication(),
    end: ({ database }) => database.mendReplication(),
  },
];

/** Shows what callers see of outages and failovers, and how long a revocation takes. */
export async function showOutages(start: (diskMiB?: number) => Promise<Fleet>, random: Random): Promise<void> {
  const report = createReport("nodes, outages");
  {
    await using fleet = await start();
    const keys = await makeKeys(fleet);
    await showRevocations(fleet, report);
    for (const outage of outages) {
      await report.step(outage.name, () => showOutage(fleet, keys, outage));
    }
    await showFailover(fleet, keys, report);
    await showOneNodeGone(fleet, report, random);
    await showLostRevocation(fleet, keys, report);
  }
  if (process.getuid?.() === 0) {
    await using fleet = await start(diskMiB);
    const keys = await makeKeys(fleet);
    await report.step("PostgreSQL's disk is full", () => showFullDisk(fleet, keys));
  } else {
    console.log("skip PostgreSQL's disk is full: a small file system is mounted by root");
  }
  report.close();
}

async function showOutage(fleet: Fleet, keys: readonly Key[], { begin, end }: Outage): Promise<void> {
  await fleet.serves();
  const pids = fleet.nodes.map((node) => node.pid());
  const asking = startAsking(fleet, keys);
  await begin(fleet);
  await sleep(pastLeaseMs);
  const during = await look(fleet, keys, lookMs);
  const codes = await codesOfChanges(fleet, keys);
  await end(fleet);
  const backMs = await timed(() => fleet.serves());
  await sleep(lookMs);
  const all = await asking.end();
  console.log(`     ${told(during)} during it, ${told(all)} in all; changes: ${codes.join(", ")}`);
  console.log(`     every thread served again ${backMs.toFixed(0)} ms after it`);
  require(all.wrong === 0, `${all.wrong} wrong answers`);
  require(during.right === 0 && during.undecided > 0, `${during.right} answers without a lease`);
  require(codes.every(isUndecided), `a change was answered with ${codes.join(", ")}`);
  requireSameProcesses(fleet, pids);
}

async function showFailover(fleet: Fleet, keys: readonly Key[], report: Report): Promise<void> {
  await report.step("the standby takes over, and the old primary lives on", async () => {
    await fleet.serves();
    const pids = fleet.nodes.map((node) => node.pid());
    const asking = startAsking(fleet, keys);
    await fleet.database.failOver("alive");
    const backMs = await timed(() => fleet.serves());
    await sleep(pastLeaseMs);
    const all = await asking.end();
    console.log(`     ${told(all)}; every thread decided again ${backMs.toFixed(0)} ms after the promotion`);
    await fleet.database.addStandby();
    require(all.wrong === 0, `${all.wrong} wrong answers`);
    requireSameProcesses(fleet, pids);
  });
}

/** What was answered may be lost where nothing waits for the standby: then every node stops, until it is recovered. */
async function showLostRevocation(fleet: Fleet, keys: readonly Key[], report: Report): Promise<void> {
  const { database } = fleet;
  const lost = await createKey(fleet);
  const known = [...keys, lost];
  await report.step("a failover that lost an answered revocation stops every node", async () => {
    await fleet.serves();
    await database.setSynchronous(false);
    await look(fleet, known, lookMs);
    await database.cutReplication();
    await revoke(fleet, lost);
    await sleep(lookMs);
    const asking = startAsking(fleet, known);
    await database.failOver("killed");
    await sleep(pastLeaseMs);
    const after = await look(fleet, known, pastLeaseMs);
    const all = await asking.end();
    console.log(`     ${told(after)} after it, ${told(all)} in all`);
    require(all.wrong === 0, `${all.wrong} wrong answers`);
    require(after.right === 0, `${after.right} answers from a journal that went back`);
  });
  await report.step("recover revokes again what was lost, and the nodes serve again", async () => {
    await database.addStandby();
    await fleet.recover("with the nodes' logs");
    const backMs = await timed(() => fleet.serves());
    const after = await look(fleet, known, lookMs);
    console.log(`     ${told(after)}; every thread served again ${backMs.toFixed(0)} ms after it`);
    require(after.wrong === 0, `${after.wrong} wrong answers`);
    require(after.right > 0, "nobody serves");
  });
}

/** What cannot be written is not answered as done; what is written stays true. */
async function showFullDisk(fleet: Fleet, keys: readonly Key[]): Promise<void> {
  const { database } = fleet;
  const pids = fleet.nodes.map((node) => node.pid());
  const asking = startAsking(fleet, keys);
  const filler = join(dirname(database.primary().directory), "filler");
  fill(filler);
  const codes = new Set<string>();
  // Tables grow by 8 KiB. Then the log has no room for its next segment, and the server ends.
  for (let left = 300; left > 0 && codes.size === 0; left -= 1) {
    const code = await codeOf(() => createKey(fleet));
    if (code !== "OK") {
      codes.add(code);
    }
  }
  await database
    .primary()
    .sql("SELECT pg_switch_wal()")
    .catch(() => undefined);
  for (let left = 20; left > 0; left -= 1) {
    codes.add(await codeOf(() => createKey(fleet)));
    await sleep(pauseMs);
  }
  await sleep(pastLeaseMs);
  const during = await look(fleet, keys, lookMs);
  await rm(filler);
  if (!database.primary().isRunning()) {
    await database.primary().start();
  }
  const backMs = await timed(() => fleet.serves());
  await sleep(lookMs);
  const all = await asking.end();
  console.log(`     ${told(during)} during it, ${told(all)} in all; creates: ${[...codes].join(", ")}`);
  console.log(`     every thread served again ${backMs.toFixed(0)} ms after there was room`);
  require(all.wrong === 0, `${all.wrong} wrong answers`);
  require([...codes].every((code) => code === "OK" || code === "RESOURCE_EXHAUSTED" || isUndecided(code)), "refused");
  requireSameProcesses(fleet, pids);
}

/** Printed, not judged: a busy machine takes its own time. */
async function showRevocations(fleet: Fleet, report: Report): Promise<void> {
  await report.step(`${revocations} revocations, everyone alive`, async () => {
    // Each node has lived long enough to answer fast.
    await sleep(2 * pastLeaseMs);
    const times: number[] = [];
    for (let left = revocations; left > 0; left -= 1) {
      const key = await createKey(fleet);
      times.push(await timed(() => revoke(fleet, key)));
    }
    const sorted = times.toSorted((left, right) => left - right);
    const [p50, p99] = [0.5, 0.99].map((part) => sorted[Math.floor(part * (sorted.length - 1))]?.toFixed(0));
    console.log(`     ${p50} ms (p50), ${p99} ms (p99)`);
  });
}

async function showOneNodeGone(fleet: Fleet, report: Report, random: Random): Promise<void> {
  const ways = {
    stopped: { begin: (node: Fleet["nodes"][number]) => signal(node.pid(), "SIGSTOP"), end: resume },
    killed: { begin: (node: Fleet["nodes"][number]) => node.kill(), end: restart },
    "cut off": {
      begin: async ({ links }: Fleet["nodes"][number]) => {
        await Promise.all(links.map((link) => link.kill()));
      },
      end: async ({ links }: Fleet["nodes"][number]) => {
        await Promise.all(links.map((link) => link.restart()));
      },
    },
  };
  for (const [name, { begin, end }] of Object.entries(ways)) {
    await report.step(`one node is ${name}`, async () => {
      await fleet.serves();
      await sleep(2 * pastLeaseMs);
      const gone = random.pick(fleet.nodes);
      const other = fleet.nodes.find((node) => node !== gone);
      const keys = await Promise.all([createKey(fleet), createKey(fleet), createKey(fleet)]);
      await begin(gone);
      const times: string[] = [];
      for (const [index, key] of keys.entries()) {
        times.push((await timed(() => revokeAt(other?.client() ?? null, key))).toFixed(0));
        await sleep(index === 0 ? 5000 : 0);
      }
      await end(gone);
      console.log(`     the first revocation took ${times[0]} ms; 5 s later ${times.slice(1).join(" and ")} ms`);
    });
  }
}

async function resume(node: Fleet["nodes"][number]): Promise<void> {
  await signal(node.pid(), "SIGCONT");
}

async function restart(node: Fleet["nodes"][number]): Promise<void> {
  await node.restart();
}

async function signal(pid: number | null, name: NodeJS.Signals): Promise<void> {
  if (pid !== null) {
    process.kill(pid, name);
  }
}

async function makeKeys(fleet: Fleet): Promise<readonly Key[]> {
  await fleet.serves();
  const keys = await Promise.all(Array.from({ length: 8 }, () => createKey(fleet)));
  await Promise.all(keys.slice(0, 3).map((key) => revoke(fleet, key)));
  return keys;
}

async function createKey(fleet: Fleet): Promise<Key> {
  const asked = { account, name: "outages", type: TokenType.SECRET, livemode: true };
  const { token, key } = await clientOf(fleet).call(rpc.create, asked);
  return { tokenId: token?.id ?? "", key, isRevoked: false };
}

async function revoke(fleet: Fleet, key: Key): Promise<void> {
  await revokeAt(fleet.client(), key);
}

async function revokeAt(client: ReturnType<Fleet["client"]>, key: Key): Promise<void> {
  await client?.call(rpc.revoke, { id: key.tokenId, reason: "an outage" });
  key.isRevoked = true;
}

function clientOf(fleet: Fleet): NonNullable<ReturnType<Fleet["client"]>> {
  const client = fleet.client();
  if (client === null) {
    throw new Error("no node is running");
  }
  return client;
}

/** What a create and a revocation come to at each node. */
async function codesOfChanges(fleet: Fleet, keys: readonly Key[]): Promise<readonly string[]> {
  const live = keys.find(({ isRevoked }) => !isRevoked);
  const codes = await Promise.all(
    fleet.nodes.flatMap((node) => [
      codeOf(async () => node.client()?.call(rpc.create, { account, name: "outages", type: TokenType.SECRET })),
      // It is revoked already, so whatever comes of it, no verdict changes.
      codeOf(async () =>
        node.client()?.call(rpc.setHold, { subject: { case: "tokenId", value: live?.tokenId ?? "" } }),
      ),
    ]),
  );
  return [...new Set(codes)];
}

async function codeOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return "OK";
  } catch (error) {
    return error instanceof Error && "code" in error ? (status[Number(error.code)] ?? "?") : String(error);
  }
}

function isUndecided(code: string): boolean {
  return code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED";
}

function startAsking(fleet: Fleet, keys: readonly Key[]): { end(): Promise<Tally> } {
  let isOver = false;
  const asked = askUntil(fleet, keys, () => isOver);
  return {
    end() {
      isOver = true;
      return asked;
    },
  };
}

function look(fleet: Fleet, keys: readonly Key[], ms: number): Promise<Tally> {
  const endMs = performance.now() + ms;
  return askUntil(fleet, keys, () => performance.now() > endMs);
}

async function askUntil(fleet: Fleet, keys: readonly Key[], isOver: () => boolean): Promise<Tally> {
  const tally: Tally = { right: 0, wrong: 0, undecided: 0 };
  await Promise.all(
    fleet.holders.map(async (holder) => {
      while (!isOver()) {
        await Promise.all(keys.map((key) => askOnce(holder, key, tally)));
        await sleep(pauseMs);
      }
    }),
  );
  return tally;
}

async function askOnce(holder: Holder, key: Key, tally: Tally): Promise<void> {
  const wasRevoked = key.isRevoked;
  const answer = await holder.ask(key.key);
  if (answer !== null) {
    count(tally, answer.verdict, key, wasRevoked);
  }
}

function count(tally: Tally, verdict: Verdict, key: Key, wasRevoked: boolean): void {
  if (verdict === "undecided") {
    tally.undecided += 1;
  } else if (verdict === (key.isRevoked ? "refuse" : "accept") || wasRevoked !== key.isRevoked) {
    tally.right += 1;
  } else {
    tally.wrong += 1;
  }
}

function told({ right, wrong, undecided }: Tally): string {
  return `${right} right, ${wrong} wrong, ${undecided} undecided`;
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await action();
  return performance.now() - startMs;
}

function each({ nodes }: Fleet, act: (link: Fleet["nodes"][number]["links"][number]) => Promise<void>): Promise<void> {
  return Promise.all(nodes.flatMap(({ links }) => links.map(act))).then(() => undefined);
}

function fill(file: string): void {
  const { bavail, bsize } = statfsSync(dirname(file));
  writeFileSync(file, Buffer.alloc(bavail * bsize - 64 * 1024));
}

function requireSameProcesses(fleet: Fleet, pids: readonly (number | null)[]): void {
  require(fleet.nodes.every((node, index) => node.isRunning() && node.pid() === pids[index]), "a node has ended");
}

function require(isSo: boolean, otherwise: string): void {
  if (!isSo) {
    throw new Error(otherwise);
  }
}
