import { expect, it } from "vitest";
import { createSteadyClock, createTimeSeen } from "../../src/authority/clock.ts";

it("holds the greatest time seen when the system's clock runs back, and says by how much it is behind", () => {
  let systemMs = 1000;
  const clock = createSteadyClock(() => systemMs, createTimeSeen(0));
  expect(clock.now()).toBe(1000);
  systemMs = 400;
  expect([clock.now(), clock.behindMs()]).toEqual([1000, 600]);
  systemMs = 1001;
  expect([clock.now(), clock.behindMs()]).toEqual([1001, 0]);
});

it("starts no earlier than a time that is known to have passed", () => {
  const clock = createSteadyClock(() => 1000, createTimeSeen(1200));
  expect([clock.now(), clock.behindMs()]).toEqual([1200, 200]);
});

it("runs back in no thread after another has seen a later time", () => {
  const seen = createTimeSeen(0);
  const late = createSteadyClock(() => 2000, seen);
  const early = createSteadyClock(() => 1000, seen);
  expect([early.now(), late.now(), early.now(), early.behindMs()]).toEqual([1000, 2000, 2000, 1000]);
});

it("shows no time before one that has passed elsewhere, and says by how much the system's clock is behind it", () => {
  let passedMs = 900;
  const clock = createSteadyClock(
    () => 1000,
    createTimeSeen(0),
    () => passedMs,
  );
  expect([clock.now(), clock.behindMs()]).toEqual([1000, 0]);
  passedMs = 1300;
  expect([clock.now(), clock.behindMs()]).toEqual([1300, 300]);
});

it("holds a time that was seen while the system's clock was wrong only until that is known to be right", () => {
  let systemMs = 3_600_000;
  let isRight = false;
  const seen = createTimeSeen(0);
  const clock = createSteadyClock(
    () => systemMs,
    seen,
    () => 0,
    () => isRight,
  );
  expect(clock.now()).toBe(3_600_000);
  systemMs = 10_000;
  expect([clock.now(), clock.behindMs()]).toEqual([3_600_000, 3_590_000]);
  isRight = true;
  expect([clock.now(), clock.behindMs()]).toEqual([10_000, 0]);
  systemMs = 5001;
  expect(clock.now()).toBe(10_000);
});
