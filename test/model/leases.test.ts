import { describe, expect, it } from "vitest";
import type { RoundResult } from "./history.ts";
import { type RoundOptions, runRound } from "./round.ts";
import { type Rule, ruleNames, rules } from "./rules.ts";

const seeds = Array.from({ length: 20 }, (_, index) => index + 1);
/** Those that do not stand in the pieces of the project that run here. `npm run suite:freshness` has bugs in these. */
const rulesAroundPieces: readonly Rule[] = [
  "W5 catch up",
  "A1 revision",
  "R1 wait",
  "R2 bound",
  "R3 retry",
  "R4 threads",
  "S1 stream",
  "S2 release",
  "M1 crash",
  "M2 stop",
];

/** The seed of the first round with a fault; null when all rounds are well. */
function firstFaultySeed(
  options: Omit<RoundOptions, "seed">,
  faultsOf: (result: RoundResult) => number,
): number | null {
  return seeds.find((seed) => faultsOf(runRound({ ...options, seed })) > 0) ?? null;
}

function total(results: readonly RoundResult[], count: (result: RoundResult) => number): number {
  return results.reduce((sum, result) => sum + count(result), 0);
}

function expectMany(results: readonly RoundResult[]): void {
  expect(total(results, ({ decisions }) => decisions)).toBeGreaterThan(150_000);
  expect(total(results, ({ answeredChanges }) => answeredChanges)).toBeGreaterThan(1000);
}

describe("the protocol of leases, simulated", () => {
  it("keeps its promise in every round, whatever fails, and no gateway goes back", () => {
    const results = seeds.map((seed) => {
      const result = runRound({ seed });
      expect([...result.stale, ...result.wentBack], `seed ${seed}`).toEqual([]);
      return result;
    });
    expectMany(results);
  });

  it.each(ruleNames)("breaks without the rule %s", (without) => {
    const seed = firstFaultySeed({ without }, ({ stale, wentBack }) => stale.length + wentBack.length);
    expect(seed, rules[without]).not.toBeNull();
  });

  it("answers a change within milliseconds when nothing fails", () => {
    const { waitsMs, stale } = runRound({ seed: 1, isCalm: true });
    expect(stale).toEqual([]);
    expect(waitsMs[Math.floor(waitsMs.length / 2)]).toBeLessThan(40);
  });

  it("promises nothing for clocks that stand still for longer than the grace, and sees what happens then", () => {
    expect(firstFaultySeed({ hasLongFreezes: true }, ({ stale }) => stale.length)).not.toBeNull();
  });
});

describe("the authority's watchers and the TypeScript client's cache, in the same simulation", () => {
  it("keep the promise in every round, whatever fails, and no gateway goes back", () => {
    const results = seeds.map((seed) => {
      const result = runRound({ seed, pieces: "project" });
      expect([...result.stale, ...result.wentBack], `seed ${seed}`).toEqual([]);
      return result;
    });
    expectMany(results);
  });

  it.each(rulesAroundPieces)("break it without the rule %s around them", (without) => {
    const seed = firstFaultySeed({ without, pieces: "project" }, ({ stale }) => stale.length);
    expect(seed, rules[without]).not.toBeNull();
  });
});
