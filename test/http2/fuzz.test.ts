import { describe, expect, it } from "vitest";
import { clientPreface, FrameType } from "../../src/wire/http2/frame.ts";
import { FuzzTarget, fuzzOnce } from "./support/fuzz.ts";
import { compareOnce, startOracle } from "./support/oracle.ts";
import { readRecordings, recordConversations } from "./support/recordings.ts";

const inputs = 3_000;
const comparedInputs = 600;
const recordings = readRecordings();

it(`answers or resets every stream, and says nothing that RFC 9113 forbids, on ${inputs} inputs`, async () => {
  const live = await recordConversations();
  expect(live.length).toBeGreaterThanOrEqual(2);
  const all = [...live, ...recordings.values()];
  const target = new FuzzTarget();
  for (let seed = 1; seed <= inputs; seed++) {
    await fuzzOnce(target, seed, all);
  }
  await target.http2.close(0);
}, 120_000);

describe("beside node:http2", () => {
  it.each([...recordings])("answers what %s recorded alike, stream by stream", async (_file, conversation) => {
    await using oracle = await startOracle();
    const streams = requestsIn(conversation);
    expect(streams.size).toBeGreaterThan(0);
    await oracle.compare(conversation, streams);
  });

  it(`agrees wherever RFC 9113 leaves no choice, on ${comparedInputs} inputs`, async () => {
    await using oracle = await startOracle();
    for (let seed = 1; seed <= comparedInputs; seed++) {
      await compareOnce(oracle, seed, [...recordings.values()]);
    }
  }, 120_000);
});

function requestsIn(conversation: Buffer): Set<number> {
  const streams = new Set<number>();
  for (let at = clientPreface.length; at < conversation.length; at += 9 + conversation.readUIntBE(at, 3)) {
    if (conversation[at + 3] === FrameType.Headers) {
      streams.add(conversation.readUInt32BE(at + 5));
    }
  }
  return streams;
}
