import { join } from "node:path";
import { expect, it } from "vitest";

const { settledWords } = await import(join(import.meta.dirname, "../../src/doors/console/page/settlement.js"));

const gateways = ["gateway-1", "gateway-2", "gateway-3", "gateway-4", "gateway-5", "gateway-6", "gateway-6"].map(
  (identity) => ({ identity }),
);

it("says nothing where nobody decides from memory", () => {
  expect(settledWords({})).toBe("");
});

it("says how many have confirmed a change, and names who was waited out, each once and not all of many", () => {
  expect(settledWords({ acknowledgedCount: 1 })).toBe(" 1 gateway has confirmed it.");
  expect(settledWords({ acknowledgedCount: 2000, silent: gateways.slice(5) })).toBe(
    " 2,000 gateways have confirmed it. Waited out, and cannot decide from memory now: gateway-6.",
  );
  expect(settledWords({ silent: gateways })).toMatch(/: gateway-1, .*, gateway-5 and 1 more\.$/);
});

it("names the nodes that may decide as before, and the latest time at which one of them may", () => {
  const unconfirmed = [
    { identity: "node-2:1", untilTime: "2026-11-29T03:04:05.6Z" },
    { identity: "node-2:2", untilTime: "2026-11-29T03:04:04Z" },
  ];
  expect(settledWords({ unconfirmed })).toBe(
    " Not confirmed: node-2:1, node-2:2 may decide as before until 03:04:05 UTC, cut off from the database.",
  );
});
