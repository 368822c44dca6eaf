import { expect, it } from "vitest";
import { createRequestForgetter } from "../src/stores/forget-requests.ts";

const log = { info() {}, warn() {}, error() {} };

it("forgets no request id early for a clock that is a day ahead for a moment", async () => {
  const forgotten: number[] = [];
  const startMs = Date.now();
  let [wallMs, monotonicMs] = [startMs, 5000];
  const store = { forgetRequests: async (nowMs: number) => void forgotten.push(nowMs - startMs) };
  const forget = createRequestForgetter(
    store,
    () => wallMs,
    log,
    () => monotonicMs,
  );
  for (const aheadMs of [0, 86_400_000, 0, -86_400_000, 0]) {
    monotonicMs += 60_000;
    wallMs = startMs + monotonicMs - 5000 + aheadMs;
    await forget();
  }
  expect(forgotten).toEqual([60_000, 120_000, 180_000, 240_000 - 86_400_000, 300_000 - 86_400_000]);
});

it("follows a clock that was set forward from the second time on", async () => {
  const forgotten: number[] = [];
  let [wallMs, monotonicMs] = [0, 0];
  const store = { forgetRequests: async (nowMs: number) => void forgotten.push(nowMs) };
  const forget = createRequestForgetter(
    store,
    () => wallMs,
    log,
    () => monotonicMs,
  );
  for (const setMs of [0, 3_600_000, 0]) {
    monotonicMs += 60_000;
    wallMs += 60_000 + setMs;
    await forget();
  }
  expect(forgotten).toEqual([60_000, 120_000, 3_780_000]);
});
