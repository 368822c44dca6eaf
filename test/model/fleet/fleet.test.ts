import { describe, expect, it } from "vitest";
import { runFleetRound } from "./fleet-round.ts";
import { nodeRuleNames, nodeRules } from "./node-rules.ts";

const seeds = Array.from({ length: 20 }, (_, index) => index + 1);
const manySeeds = Array.from({ length: 60 }, (_, index) => index + 1);

describe("the project's nodes over a database, simulated", () => {
  it("keep the promise in every round, whatever fails, and none of them goes back", () => {
    let [decisions, changes] = [0, 0];
    for (const seed of seeds) {
      const { stale, wentBack, ...counts } = runFleetRound({ seed });
      // A gateway without a lease may ask one node after another.
      const byNodes = wentBack.filter((fault) => / ms node /.test(fault));
      expect([...stale, ...byNodes], `seed ${seed}`).toEqual([]);
      decisions += counts.decisions;
      changes += counts.answeredChanges;
    }
    expect(decisions).toBeGreaterThan(150_000);
    expect(changes).toBeGreaterThan(700);
  });

  it("keep it where monotonic clocks stand still for seconds, as long as the wall clocks go on", () => {
    for (const seed of seeds) {
      expect(runFleetRound({ seed, hasLongFreezes: true }).stale, `seed ${seed}`).toEqual([]);
    }
  });

  it.each(nodeRuleNames)("break it without the rule %s", (without) => {
    const hasLongFreezes = without === "N1 clocks";
    const found = manySeeds.find((seed) => runFleetRound({ seed, without, hasLongFreezes }).stale.length > 0);
    expect(found, nodeRules[without]).toBeDefined();
  });

  it("settle a change within milliseconds when nothing fails", () => {
    const { waitsMs, stale } = runFleetRound({ seed: 1, isCalm: true });
    expect(stale).toEqual([]);
    expect(waitsMs[Math.floor(waitsMs.length / 2)]).toBeLessThan(40);
  });
});
