import { expect, it } from "vitest";
import { createLastUseRecorder } from "../../src/authority/last-use-recorder.ts";
import type { TokenUse } from "../../src/authority/token-store.ts";

it("notes a use a minute after the last one, also when the clock was an hour ahead then", async () => {
  const written: TokenUse[] = [];
  let monotonicMs = 0;
  const recorder = createLastUseRecorder(
    { recordUses: async (uses) => void written.push(...uses) },
    () => {},
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

it("writes uses in the order of their tokens, whatever batches they make, and those of one token in their own order", async () => {
  const batches: (readonly TokenUse[])[] = [];
  let monotonicMs = 0;
  const recorder = createLastUseRecorder(
    { recordUses: async (uses) => void batches.push(uses) },
    () => {},
    () => monotonicMs,
  );
  const revisions = Array.from({ length: 2500 }, (_, place) => 10_000_000 + ((place * 7919) % 2500));
  for (const revision of [...revisions, revisions[0] ?? 0]) {
    recorder.record(revision, 1_795_000_000_000 + monotonicMs);
    monotonicMs += 60_000 / 2500;
  }
  await recorder.flush();
  const written = batches.flat();
  expect(batches.map(({ length }) => length)).toEqual([1000, 1000, 501]);
  expect(written.map(({ issueRevision }) => issueRevision)).toEqual(
    [...revisions, revisions[0] ?? 0].toSorted((one, other) => one - other),
  );
  const [first, second] = written.filter(({ issueRevision }) => issueRevision === revisions[0]);
  expect([first?.usedAtMs, second?.usedAtMs]).toEqual([1_795_000_000_000, 1_795_000_060_000]);
});
