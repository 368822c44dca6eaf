import { FuzzTarget, fuzzOnce } from "../http2/support/fuzz.ts";
import { recordConversations } from "../http2/support/recordings.ts";

// node --expose-gc test/suites/fuzz.ts INPUTS [FIRST_SEED]: the long run of the fuzzer. Ends at the first failure, or where memory grows.
const [inputs = "1000000", firstSeed = "1"] = process.argv.slice(2);
const recordings = await recordConversations();
const target = new FuzzTarget();
let baselineBytes = 0;
const first = Number(firstSeed);
for (let count = 0; count < Number(inputs); count++) {
  await fuzzOnce(target, first + count, recordings);
  if (count % 10_000 === 9_999) {
    globalThis.gc?.();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    baselineBytes ||= heapUsed + arrayBuffers;
    process.stdout.write(`${count + 1} inputs, ${((heapUsed + arrayBuffers) / 1e6).toFixed(1)} MB\n`);
    if (heapUsed + arrayBuffers > baselineBytes + 20e6) {
      throw new Error("memory grows");
    }
  }
}
await target.http2.close(0);
process.stdout.write(`${inputs} inputs from seed ${firstSeed}: every stream answered or reset\n`);
