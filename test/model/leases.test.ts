import { describe, expect, it } from "vitest";
import { type RoundOptions, type RoundResult, runRound } from "./round.ts";
import { ruleNames, rules } from "./rules.ts";

const seeds = Array.from({ length: 20 }, (_, index) => index + 1);

/** The seed of the first round with a fault; null when all rounds are well. */
function firstFaultySeed(options: Omit<RoundOptions, "seed">): number | null {
  return seeds.find((seed) => runRound({ ...options, seed }).faults.length > 0) ?? null;
}

function total(results: readonly RoundResult[], count: (result: RoundResult) => number): number {
  return results.reduce((sum, result) => sum + count(result), 0);
}

describe("the protocol of leases, simulated", () => {
  it("keeps its promise in every round, whatever fails", () => {
    const results = seeds.map((seed) => {
      const result = runRound({ seed });
      expect(result.faults, `seed ${seed}`).toEqual([]);
      return result;
    });
    expect(total(results, ({ decisions }) => decisions)).toBeGreaterThan(150_000);
    expect(total(results, ({ answeredChanges }) => answeredChanges)).toBeGreaterThan(1000);
  });

  it.each(ruleNames)("breaks its promise without the rule %s", (without) => {
    expect(firstFaultySeed({ without }), rules[without]).not.toBeNull();
  });

  it("answers a change within milliseconds when nothing fails", () => {
    const { waitsMs, faults } = runRound({ seed: 1, isCalm: true });
    expect(faults).toEqual([]);
    expect(waitsMs[Math.floor(waitsMs.length / 2)]).toBeLessThan(40);
  });

  it("promises nothing for clocks that stand still for longer than the grace, and sees what happens then", () => {
    expect(firstFaultySeed({ hasLongFreezes: true })).not.toBeNull();
  });
});
