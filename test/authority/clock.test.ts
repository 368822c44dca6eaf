import { expect, it } from "vitest";
import { createSteadyClock } from "../../src/authority/clock.ts";

it("holds the greatest time seen when the system's clock runs back, and says by how much it is behind", () => {
  let systemMs = 1000;
  const clock = createSteadyClock(() => systemMs, 0);
  expect(clock.now()).toBe(1000);
  systemMs = 400;
  expect([clock.now(), clock.behindMs()]).toEqual([1000, 600]);
  systemMs = 1001;
  expect([clock.now(), clock.behindMs()]).toEqual([1001, 0]);
});

it("starts no earlier than a time that is known to have passed", () => {
  const clock = createSteadyClock(() => 1000, 1200);
  expect([clock.now(), clock.behindMs()]).toEqual([1200, 200]);
});
