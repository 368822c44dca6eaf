import { setTimeout as sleep } from "node:timers/promises";
import { all, between, gatewayScenarios, pastLeasesMs, type Scenario } from "../freshness/gateway-scenarios.ts";
import type { Link, Toxic } from "../freshness/link.ts";
import type { Round } from "../freshness/round.ts";
import type { Postgres } from "../support/postgres.ts";
import { cancelWaits } from "./cluster.ts";
import type { Fleet } from "./fleet.ts";
import type { Node } from "./node.ts";

/** What befalls the nodes and their database in one round. Ends with all well again. */
const ofNodes = {
  "a node is stopped": (round) => {
    const ms = between(round, 100, 5000);
    return all(round.rig.anyNode().stopFor(ms), round.changeOver(ms, 6));
  },

  "a node is stopped until it is forgotten": async (round) => {
    const ms = pastLeasesMs + 600;
    const changes = sleep(ms - 100).then(() => round.changeOver(800, 8));
    await all(round.rig.anyNode().stopFor(ms), changes);
  },

  "a node is killed": async (round) => {
    const node = round.rig.anyNode();
    round.change(2);
    await node.kill();
    await round.changeOver(between(round, 50, 1500), 3);
    await node.restart();
    await round.changeOver(500, 3);
  },

  "a node ends in good order": async (round) => {
    const node = round.rig.anyNode();
    round.change(2);
    await node.end();
    await round.changeOver(500, 3);
    await node.restart();
    await round.changeOver(500, 3);
  },

  "every node is killed": async (round) => {
    round.change(2);
    await all(...round.rig.nodes.map((node) => node.kill()));
    await all(...round.rig.nodes.map((node) => node.restart()));
    await round.changeOver(1500, 5);
  },

  "wall clocks jump": async (round) => {
    const clocks = [...round.rig.nodes, ...round.rig.gateways].map(({ clock }) => clock).filter((one) => one !== null);
    for (let jumps = 0; jumps < 4; jumps += 1) {
      // So far from the database's clock that a node serves nothing. One that is seconds behind may still accept a key
      // whose rotation was ended by one that is ahead: that end is a time, and each node has its own.
      round.random.pick(clocks).jumpTo(round.random.pick([-86_400, 0, 1800]));
      await round.changeOver(700, 2);
    }
    for (const clock of clocks) {
      clock.jumpTo(0);
    }
  },

  "a node's messages to the database are late": (round) => {
    const latency = between(round, 50, 700);
    const attributes = { latency, jitter: Math.floor(latency / 2) };
    const stream = round.random.pick(["downstream", "upstream"] as const);
    return onLinks(round.rig.anyNode(), { type: "latency", stream, attributes }, () => round.changeOver(2500, 6));
  },

  "a node's sessions are reset again and again": (round) => {
    const attributes = { timeout: between(round, 0, 300) };
    const toxic = { type: "reset_peer", stream: "downstream", attributes } as const;
    return onLinks(round.rig.anyNode(), toxic, () => round.changeOver(2000, 6));
  },

  "what a node sends to the database gets lost": (round) => {
    const stream = round.random.pick(["downstream", "upstream"] as const);
    const toxic = { type: "timeout", stream, attributes: { timeout: 0 } } as const;
    return onLinks(round.rig.anyNode(), toxic, () => round.changeOver(between(round, 500, 4000), 6));
  },

  "a node is cut off from the database": async (round) => {
    const { links } = round.rig.anyNode();
    await all(...links.map((link) => link.kill()));
    await round.changeOver(between(round, 500, pastLeasesMs), 4);
    await all(...links.map((link) => link.restart()));
    await round.changeOver(500, 3);
  },

  "a node's link to the database is stopped": async (round) => {
    const { links } = round.rig.anyNode();
    // Until well after the changes are answered.
    const stopped = links.map((link) => link.stopFor(pastLeasesMs + 1500));
    await sleep(20);
    await all(...stopped, round.changeOver(1500, 6));
  },

  "renewals come late, and then nothing": async (round) => {
    const { links } = round.rig.anyNode();
    // A server that answers later than this is given up.
    const latency = between(round, 1200, 1400);
    const toxic = { type: "latency", stream: "downstream", attributes: { latency, jitter: 0 } } as const;
    await onAll(links, toxic, async () => {
      // By now each renewal that is answered was sent so long ago.
      await sleep(2500);
      round.change(3);
      await sleep(latency - 60);
      await all(
        ...links.map((link) => link.stopFor(pastLeasesMs)),
        sleep(1500).then(() => round.change(2)),
      );
    });
  },
} as const satisfies Record<string, Scenario<Fleet>>;

const ofDatabase = {
  "PostgreSQL is killed": async (round) => {
    const { database } = round.rig;
    round.change(2);
    await sleep(between(round, 0, 40));
    await database.primary().kill9();
    await round.changeOver(between(round, 0, 3000), 2);
    await database.primary().start();
    await round.changeOver(500, 3);
  },

  "PostgreSQL and a node are killed": async (round) => {
    const { database } = round.rig;
    const node = round.rig.anyNode();
    round.change(3);
    await sleep(between(round, 0, 40));
    await all(database.primary().kill9(), node.kill());
    await database.primary().start();
    await node.restart();
    await round.changeOver(500, 3);
  },

  "PostgreSQL is stopped": (round) => {
    const ms = between(round, 100, 5000);
    return all(round.rig.database.stopPrimaryFor(ms), round.changeOver(ms, 6));
  },

  "a session's process is stopped": (round) => {
    const ms = between(round, 100, 5000);
    return all(stopBackend(round, ms, "of a node"), round.changeOver(ms, 8));
  },

  "what feeds the standby is stopped": (round) => {
    const ms = between(round, 100, 4000);
    return all(stopBackend(round, ms, "of the standby"), round.changeOver(ms, 6));
  },

  "waits for the standby are cancelled": async (round) => {
    const ms = between(round, 1000, 4000);
    await all(
      stopBackend(round, ms, "of the standby"),
      sleep(between(round, 100, 900)).then(() => cancelWaits(round.rig.database.primary(), ms)),
      round.changeOver(ms, 8),
    );
  },

  "every session of the nodes is ended": async (round) => {
    for (let times = 0; times < 3; times += 1) {
      round.change(2);
      await sleep(between(round, 0, 20));
      await round.rig.database.endSessions();
      await round.changeOver(500, 1);
    }
  },

  "PostgreSQL takes no writes": async (round) => {
    const { database } = round.rig;
    await database.setReadOnly(true);
    await round.changeOver(between(round, 500, 4000), 3);
    await database.setReadOnly(false);
    await round.changeOver(500, 3);
  },

  "PostgreSQL has no connection left": async (round) => {
    const giveBack = await round.rig.database.takeConnections();
    await round.changeOver(between(round, 500, 4000), 3);
    await giveBack();
    await round.changeOver(500, 3);
  },

  "the standby takes over, and the old primary lives on": (round) => failOver(round, "alive"),

  "the standby takes over from a primary that was killed": (round) => failOver(round, "killed"),

  "the standby takes over, and one node sees the old primary alone": (round) => split(round, async () => {}),

  "the standby takes over, and waits at the old primary are cancelled": (round) =>
    split(round, (old) => cancelWaits(old, 2 * pastLeasesMs)),

  // Whoever saw them stops, since nobody knows that they were answered to none.
  "what waits for the standby is cancelled, and lost when the standby takes over": async (round) => {
    const { database } = round.rig;
    await database.cutReplication();
    round.change(5);
    await sleep(between(round, 50, 300));
    await cancelWaits(database.primary(), between(round, 200, 1000));
    await database.failOver("killed");
    await sleep(pastLeasesMs);
    await round.rig.recover("without what was lost");
    await database.addStandby();
    await round.changeOver(300, 3);
  },

  // What it lacks is no change that was answered.
  "the standby takes over without the row of a node": async (round) => {
    const { database, nodes } = round.rig;
    const apart = round.rig.anyNode();
    await apart.end();
    await database.setSynchronous(false);
    await sleep(500);
    await database.cutReplication();
    await apart.restart();
    await sleep(1500);
    await apart.links[database.standbyPlace()]?.kill();
    const old = await database.failOver("alive");
    await old.kill9();
    await changeAtOthers(round, apart, async () => {
      await all(...nodes.filter((node) => node !== apart).map((node) => node.serves()));
      round.change(6);
      await sleep(pastLeasesMs);
    });
    await all(...apart.links.map((link) => link.restart()));
    await database.addStandby();
    await round.changeOver(300, 2);
  },
} as const satisfies Record<string, Scenario<Fleet>>;

export const nodeScenarios = {
  ...gatewayScenarios,
  ...ofNodes,
  ...ofDatabase,
} as const satisfies Record<string, Scenario<Fleet>>;

export type NodeScenarioName = keyof typeof nodeScenarios;

/** One node with the old primary on one side, the others with the new one on the other. */
async function split(round: Round<Fleet>, act: (old: Postgres) => Promise<void>): Promise<void> {
  const { database, nodes } = round.rig;
  const apart = round.rig.anyNode();
  const others = nodes.filter((node) => node !== apart);
  const [next, before] = [database.standbyPlace(), database.primaryPlace()];
  await apart.links[next]?.kill();
  await all(...others.map(async ({ links }) => links[before]?.kill()));
  const old = await database.failOver("alive");
  await changeAtOthers(round, apart, async () => {
    await all(act(old), round.changeOver(2 * pastLeasesMs, 8));
  });
  await all(...nodes.flatMap(({ links }) => links.map((link) => link.restart())));
  await database.addStandby();
  await round.changeOver(300, 2);
}

/** What would be changed at the node that is apart would be a change of another history. */
async function changeAtOthers({ rig }: Round<Fleet>, apart: Node, action: () => Promise<void>): Promise<void> {
  rig.avoided = apart;
  await action();
  rig.avoided = null;
}

async function failOver(round: Round<Fleet>, old: "killed" | "alive"): Promise<void> {
  const { database } = round.rig;
  round.change(3);
  await sleep(between(round, 0, 40));
  await database.failOver(old);
  await round.changeOver(between(round, 500, 3000), 4);
  await database.addStandby();
  await round.changeOver(300, 2);
}

function stopBackend({ rig, random }: Round<Fleet>, ms: number, which: "of a node" | "of the standby"): Promise<void> {
  return rig.database.stopBackendFor(ms, which, (pids) => random.pick(pids));
}

function onLinks(node: Node, toxic: Toxic, action: () => Promise<void>): Promise<void> {
  return onAll(node.links, toxic, action);
}

async function onAll(links: readonly Link[], toxic: Toxic, action: () => Promise<void>): Promise<void> {
  const [first, ...others] = links;
  await (first === undefined ? action() : first.with(toxic, () => onAll(others, toxic, action)));
}
