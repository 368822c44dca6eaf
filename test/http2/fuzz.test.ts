import { expect, it } from "vitest";
import { FuzzTarget, fuzzOnce } from "./support/fuzz.ts";
import { recordConversations } from "./support/recordings.ts";

const inputs = 3_000;

it(`answers or resets every stream, and says nothing that RFC 9113 forbids, on ${inputs} inputs`, async () => {
  const recordings = await recordConversations();
  expect(recordings.length).toBeGreaterThanOrEqual(2);
  const target = new FuzzTarget();
  for (let seed = 1; seed <= inputs; seed++) {
    await fuzzOnce(target, seed, recordings);
  }
  await target.http2.close(0);
}, 120_000);
