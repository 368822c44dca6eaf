import { setTimeout as sleep } from "node:timers/promises";
import { DeafGateway } from "./deaf-gateway.ts";
import { all, anyGateway, between, gatewayScenarios, pastLeasesMs, type Scenario } from "./gateway-scenarios.ts";
import type { Rig } from "./rig.ts";

export const scenarios = {
  ...gatewayScenarios,

  "the authority is stopped": (round) => {
    const ms = between(round, 100, 3000);
    return all(round.rig.freezeAuthorityFor(ms), round.changeOver(ms, 6));
  },

  "the authority is killed while a link is stalled": async (round) => {
    const { link } = anyGateway(round);
    const stalled = link.stopFor(pastLeasesMs);
    await sleep(50);
    await round.rig.killAuthority();
    round.change(1);
    await round.rig.startAuthority();
    round.change(3);
    await stalled;
    await round.changeOver(300, 3);
  },

  "the authority ends in good order while a link is stalled": async (round) => {
    const { link } = anyGateway(round);
    const stalled = link.stopFor(pastLeasesMs);
    await sleep(50);
    await round.rig.stopAuthority();
    await round.rig.startAuthority();
    round.change(3);
    await stalled;
    await round.changeOver(300, 3);
  },

  "ends of connections come late": (round) => {
    const { link } = anyGateway(round);
    return link.with({ type: "slow_close", stream: "downstream", attributes: { delay: 2000 } }, async () => {
      await round.rig.killAuthority();
      round.change(2);
      await round.rig.startAuthority();
      await round.changeOver(1500, 4);
    });
  },

  "a gateway takes nothing of what it is told": async (round) => {
    using deaf = new DeafGateway(round.rig.address());
    await deaf.leased();
    await round.askAlso(deaf, async () => {
      for (let lives = 0; lives < 2; lives += 1) {
        await deaf.leased();
        // What it is asked about now it keeps, while its window fills.
        await sleep(200);
        round.change(3);
      }
      await sleep(1500);
    });
  },

  "wall clocks jump": async (round) => {
    const clocks = [round.rig.clock(), ...round.rig.gateways.map(({ clock }) => clock)];
    // Rotations have an overlap of a day, and none of these ends it.
    const jump = () => {
      const seconds = round.random.pick([-86_400, -3, 0, 2, 1800]);
      round.random.pick(clocks.filter((clock) => clock !== null)).jumpTo(seconds);
    };
    for (let jumps = 0; jumps < 4; jumps += 1) {
      jump();
      await round.changeOver(700, 2);
    }
    for (const clock of clocks) {
      clock?.jumpTo(0);
    }
  },
} as const satisfies Record<string, Scenario<Rig>>;

export type ScenarioName = keyof typeof scenarios;
