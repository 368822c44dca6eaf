import { setTimeout as sleep } from "node:timers/promises";
import type { Gateway } from "./gateway-process.ts";
import type { Round, Stage } from "./round.ts";

/**
 * What befalls the gateways and the authority in one round, and when keys are revoked, held and given back. Ends with
 * all well again.
 */
export type Scenario<Rig extends Stage = Stage> = (round: Round<Rig>) => Promise<void>;

/** Longer than a lease, its grace, and what it takes to come back. */
export const pastLeasesMs = 3600;

/** What befalls gateways and their links, whatever is at the other end. */
export const gatewayScenarios = {
  "nothing fails": (round) => round.changeOver(800, 6),

  "keys are first asked about while they are revoked": async (round) => {
    for (let left = 20; left > 0; left -= 1) {
      await round.changeWhileFirstAsked();
    }
  },

  "a gateway is stopped": (round) => {
    const ms = between(round, 100, 5000);
    return all(anyGateway(round).stopFor(ms), round.changeOver(ms, 6));
  },

  "a gateway is killed": async (round) => {
    const gateway = anyGateway(round);
    round.change(2);
    await gateway.kill();
    await round.changeOver(between(round, 50, 1000), 3);
    await gateway.restart();
    await round.changeOver(500, 3);
  },

  "messages are late both ways": (round) => {
    const { link } = anyGateway(round);
    const latency = between(round, 50, 700);
    const attributes = { latency, jitter: Math.floor(latency / 2) };
    const late = round.random.pick(["downstream", "upstream"] as const);
    return link.with({ type: "latency", stream: late, attributes }, () => round.changeOver(2500, 6));
  },

  "connections are reset again and again": (round) => {
    const { link } = anyGateway(round);
    const attributes = { timeout: between(round, 0, 300) };
    return link.with({ type: "reset_peer", stream: "downstream", attributes }, () => round.changeOver(2000, 6));
  },

  "what is sent gets lost": (round) => {
    const { link } = anyGateway(round);
    const stream = round.random.pick(["downstream", "upstream"] as const);
    const attributes = { timeout: 0 };
    return link.with({ type: "timeout", stream, attributes }, () => round.changeOver(between(round, 500, 4000), 6));
  },

  "a link carries a few bytes a second": (round) => {
    const { link } = anyGateway(round);
    return link.with({ type: "bandwidth", stream: "downstream", attributes: { rate: 1 } }, () =>
      round.changeOver(2500, 8),
    );
  },

  "leases come late, and then nothing": async (round) => {
    const { link } = anyGateway(round);
    const latency = between(round, 1500, 1900);
    await link.with({ type: "latency", stream: "downstream", attributes: { latency, jitter: 0 } }, async () => {
      // By now each lease that comes was asked for so long ago.
      await sleep(1200);
      round.change(3);
      await sleep(latency - 60);
      await all(
        link.stopFor(pastLeasesMs),
        sleep(1500).then(() => round.change(2)),
      );
    });
  },

  "a link is stopped": async (round) => {
    const { link } = anyGateway(round);
    const stopped = link.stopFor(pastLeasesMs);
    await sleep(20);
    await all(stopped, round.changeOver(1500, 6));
  },

  "a link is killed, and comes back late": async (round) => {
    const { link } = anyGateway(round);
    await link.kill();
    round.change(3);
    await sleep(pastLeasesMs);
    round.change(2);
    await link.restart();
    await round.changeOver(300, 2);
  },
} as const satisfies Record<string, Scenario>;

export function anyGateway({ rig, random }: Round): Gateway {
  return random.pick(rig.gateways);
}

export function between({ random }: Round, low: number, high: number): number {
  return low + random.below(high - low);
}

export async function all(...promises: readonly Promise<void>[]): Promise<void> {
  await Promise.all(promises);
}
