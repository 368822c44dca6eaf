// The long run of the fuzzer. Ends at the first failure, or where memory grows; tells its rate.
//
//   npm run suite:fuzz -- [INPUTS [FIRST_SEED]]
//
// Of INPUTS, 1 000 000 by default, each goes to our server, and one of 50 to node:http2 as well, which must agree.
import { FuzzTarget, fuzzOnce } from "../http2/support/fuzz.ts";
import { compareOnce, startOracle } from "../http2/support/oracle.ts";
import { readRecordings, recordConversations } from "../http2/support/recordings.ts";

const maxGrowthBytes = 15e6;
const inputsToOneCompared = 50;
const comparedAtOnce = 16;

const [inputsText = "1000000", firstSeed = "1"] = process.argv.slice(2);
const inputs = Number(inputsText);
const first = Number(firstSeed);
const recorded = [...readRecordings().values()];
const all = [...(await recordConversations()), ...recorded];
const startMs = performance.now();
await fuzz();
await compare();

async function fuzz(): Promise<void> {
  const target = new FuzzTarget();
  const readings: number[] = [];
  for (let count = 1; count <= inputs; count++) {
    await fuzzOnce(target, first + count - 1, all);
    if (count % 1_000 === 0) {
      readings.push(bytesInUse());
    }
    if (count % 10_000 === 0) {
      console.log(`${count} inputs, ${rateOf(count)} a second, ${((readings.at(-1) ?? 0) / 1e6).toFixed(1)} MB`);
      requireSteady(readings);
    }
  }
  await target.http2.close(0);
  console.log(`${inputs} inputs from seed ${first}: every stream answered or reset`);
}

async function compare(): Promise<void> {
  await using oracle = await startOracle();
  const last = first + Math.ceil(inputs / inputsToOneCompared) - 1;
  let seed = first;
  await Promise.all(
    Array.from({ length: comparedAtOnce }, async () => {
      while (seed <= last) {
        seed += 1;
        await compareOnce(oracle, seed - 1, recorded);
      }
    }),
  );
  console.log(`${last - first + 1} inputs from seed ${first}: node:http2 agrees wherever RFC 9113 leaves no choice`);
}

/** One reading may hold 20 MB that are about to be freed. What leaks stays, and so raises the lowest reading. */
function requireSteady(readings: readonly number[]): void {
  const half = Math.floor(readings.length / 2);
  if (Math.min(...readings.slice(half)) > Math.min(...readings.slice(0, half)) + maxGrowthBytes) {
    throw new Error("memory grows");
  }
}

function bytesInUse(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function rateOf(count: number): string {
  return ((count * 1_000) / (performance.now() - startMs)).toFixed(0);
}
