import { setTimeout as sleep } from "node:timers/promises";
import { createLedger } from "../crash/ledger.ts";
import { runLoad } from "../crash/load.ts";
import { settle, verifyAll, verifyRecent } from "../crash/verification.ts";
import type { Random } from "../support/random.ts";
import type { TokenClient } from "../support/token-client.ts";
import type { Fleet } from "./fleet.ts";

const maxLoadMs = 1500;
const roundsBetweenVerifications = 10;

type Victims = { readonly postgres: boolean; readonly nodes: "none" | "one" | "all"; readonly failsOver: boolean };

const choices: readonly Victims[] = [
  { postgres: false, nodes: "one", failsOver: false },
  { postgres: false, nodes: "all", failsOver: false },
  { postgres: true, nodes: "none", failsOver: false },
  { postgres: true, nodes: "none", failsOver: false },
  { postgres: true, nodes: "one", failsOver: false },
  { postgres: true, nodes: "all", failsOver: false },
  { postgres: true, nodes: "none", failsOver: true },
];

/**
 * Kills nodes, PostgreSQL or both with kill -9 at random moments, load running, and holds them to what they had
 * answered. One database lives through all rounds.
 */
export async function killAndVerify(
  start: (onLine: (line: string) => void) => Promise<Fleet>,
  { rounds, random }: { readonly rounds: number; readonly random: Random },
): Promise<{ readonly count: number; readonly summary: string }> {
  const ledger = createLedger();
  await using fleet = await start((line) => ledger.noteLogLine(line));
  let round = 0;
  while (round < rounds && ledger.faults.length === 0) {
    round += 1;
    await settle(ledger, clientOf(fleet), round);
    await verifyRecent({ ledger, client: clientOf(fleet), random, round });
    let isOver = false;
    const loads = fleet.nodes.map((node) =>
      runLoad({ ledger, client: running(node.client()), random, round, isOver: () => isOver }),
    );
    await sleep(random.below(maxLoadMs));
    isOver = true;
    await killSome(fleet, random.pick(choices), random);
    await Promise.all(loads);
    await fleet.serves();
    if (round % roundsBetweenVerifications === 0) {
      await verifyJournal();
      console.log(`round ${round}: ${ledger.summary()}`);
    }
  }
  await settle(ledger, clientOf(fleet), round);
  await verifyAll(ledger, clientOf(fleet));
  await verifyJournal();
  for (const { when, text } of ledger.faults.slice(0, 20)) {
    console.log(`FAULT ${when}: ${text}`);
  }
  const count = ledger.faults.length;
  return { count, summary: `${round} rounds of kill -9: ${ledger.summary()}, ${count} faults` };

  async function verifyJournal(): Promise<void> {
    await fleet.verifyJournal(ledger.loggedHead()).catch((error) => ledger.fault("after a restart", String(error)));
  }
}

async function killSome(fleet: Fleet, { postgres, nodes, failsOver }: Victims, random: Random): Promise<void> {
  const { database } = fleet;
  const victims = { none: [], one: [random.pick(fleet.nodes)], all: fleet.nodes }[nodes];
  const killed = victims.map((node) => node.kill());
  if (failsOver) {
    await database.failOver("killed");
    await database.addStandby();
  } else if (postgres) {
    await database.primary().kill9();
    await database.primary().start();
  }
  await Promise.all(killed);
  await Promise.all(victims.map((node) => node.restart()));
}

function clientOf(fleet: Fleet): TokenClient {
  return running(fleet.client());
}

function running(client: TokenClient | null): TokenClient {
  if (client === null) {
    throw new Error("no node is running");
  }
  return client;
}
