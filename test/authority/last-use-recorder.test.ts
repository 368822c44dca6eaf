import { expect, it } from "vitest";
import { createLastUseRecorder } from "../../src/authority/last-use-recorder.ts";
import type { TokenUse } from "../../src/authority/token-store.ts";

it("notes a use a minute after the last one, also when the clock was an hour ahead then", async () => {
  const written: TokenUse[] = [];
  let monotonicMs = 0;
  const recorder = createLastUseRecorder(
    { recordUses: async (uses) => void written.push(...uses) },
    { info() {}, warn() {}, error() {} },
    () => monotonicMs,
  );
  const startMs = Date.now();
  recorder.record(1, startMs + 3_600_000);
  monotonicMs += 59_999;
  recorder.record(1, startMs + 59_999);
  monotonicMs += 1;
  recorder.record(1, startMs + 60_000);
  await recorder.flush();
  expect(written.map(({ usedAtMs }) => usedAtMs - startMs)).toEqual([3_600_000, 60_000]);
});
