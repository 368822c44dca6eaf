// Sends the server what no good client sends: a corpus of malformed, huge and slow connections, then mutated requests.
// After each batch it must be the same process, answer a good Authenticate, hold bounded memory, and have let go of
// every connection.
//
//   npm run suite:robustness -- [--mutations 100000] [--seed N]
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { CorpusCase } from "./robustness/corpus-case.ts";
import { foreignCorpus, http1Corpus, slowHttp1Corpus } from "./robustness/http1-corpus.ts";
import { http2Corpus, slowHttp2Corpus } from "./robustness/http2-corpus.ts";
import { mutate } from "./robustness/mutation.ts";
import { openConnection } from "./robustness/raw-connection.ts";
import { type Recording, recordRequests } from "./robustness/recording.ts";
import { recordClientHello, slowTlsCorpus, tlsCorpus } from "./robustness/tls-corpus.ts";
import { createCertificateAuthority } from "./support/certificates.ts";
import { createRandom, seedFrom } from "./support/random.ts";
import { createReport } from "./support/report.ts";
import { type ServerProcess, startServerProcess } from "./support/server-process.ts";
import { createTokenClient } from "./support/token-client.ts";

const maxRssBytes = 512 * 1024 * 1024;
const megabyte = 1024 * 1024;
/**
 * From our half-close to the server's end of the connection: it may have 10 000 requests to work off before it sees
 * that.
 */
const endTimeoutMs = 60_000;
/** The longest that the server waits is for the answer to a PING, which it sends after 60 s: 80 s in all. */
const slowTimeoutMs = 95_000;
const batchSize = 1000;
const concurrency = 48;
const helloMutations = 1000;
const maxMinutes = 45;

const { values } = parseArgs({
  options: { mutations: { type: "string", default: "100000" }, seed: { type: "string" } },
});
const mutations = Number(values.mutations);
const seed = seedFrom(values.seed);
const random = createRandom(seed);
const deadlineMs = performance.now() + maxMinutes * 60_000;

const report = createReport("robustness");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-robustness-"));
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });
console.log(`robustness: ${mutations} mutations, seed ${seed}`);

await overPlaintext();
await overTls();
report.close();

async function overPlaintext(): Promise<void> {
  await using server = await startServerProcess({ dataDirectory: join(scratch.path, "data"), sealingSecret });
  const hello = await recordClientHello();
  const { id: revocableId } = await createToken(server);
  const recordings = await recordRequests(server.port, { ...(await createToken(server)), revocableId });
  const goodKey = (await createToken(server)).key;
  const check = await createCheck(server, () => authenticate(server, goodKey));
  const quick = [...http1Corpus, ...http2Corpus, ...foreignCorpus, ...tlsCorpus(hello)];
  await report.step(`the plaintext port: ${quick.length} malformed connections`, async () => {
    await runCorpus(server.port, quick);
    await check();
  });
  const slow = [...slowHttp1Corpus, ...slowHttp2Corpus, ...slowTlsCorpus(hello)];
  await report.step(`the plaintext port: ${slow.length} slow connections`, async () => {
    await runCorpus(server.port, slow, slow.length);
    await check();
  });
  await report.step(`the plaintext port: ${mutations} mutations of ${recordings.length} requests`, async () => {
    for (let done = 0; done < mutations; done += batchSize) {
      assert.ok(performance.now() < deadlineMs, `${maxMinutes} minutes are over after ${done} mutations`);
      await runMutations(server.port, recordings, Math.min(batchSize, mutations - done));
      await check();
      if (done % (10 * batchSize) === 0) {
        console.log(`after ${done + batchSize}: ${memoryOf(server)}`);
      }
    }
  });
  await report.step("the plaintext port: the server ends in good order", async () => {
    console.log(memoryOf(server));
    assert.equal(await server.stop(), 0, server.output());
  });
}

async function overTls(): Promise<void> {
  const authority = createCertificateAuthority(scratch.path);
  const own = authority.issue("server", "DNS:localhost,IP:127.0.0.1");
  const callers = join(scratch.path, "callers.json");
  writeFileSync(callers, JSON.stringify({ nobody: "operator" }));
  await using server = await startServerProcess({
    dataDirectory: join(scratch.path, "tls-data"),
    sealingSecret,
    settings: { TLS_CERT: own.cert, TLS_KEY: own.key, TLS_CLIENT_CA: authority.cert, CALLERS: callers },
  });
  const hello = await recordClientHello();
  const check = await createCheck(server, () => Promise.resolve());
  const quick = [...tlsCorpus(hello), ...foreignCorpus, ...http1Corpus];
  await report.step(`the TLS port: ${quick.length} malformed connections`, async () => {
    await runCorpus(server.port, quick);
    await check();
  });
  const slow = slowTlsCorpus(hello);
  await report.step(`the TLS port: ${slow.length} slow connections`, async () => {
    await runCorpus(server.port, slow, slow.length);
    await check();
  });
  await report.step(`the TLS port: ${helloMutations} mutations of a hello`, async () => {
    await runMutations(server.port, [{ name: "TLS hello", bytes: hello, keep: 5 }], helloMutations);
    await check();
  });
  await report.step("the TLS port: the server ends in good order", async () => {
    console.log(memoryOf(server));
    assert.equal(await server.stop(), 0, server.output());
  });
}

async function createToken(server: ServerProcess): Promise<{ id: string; key: string; account: string }> {
  using client = createTokenClient(server.address);
  const account = `acct_${randomBytes(8).toString("hex")}`;
  const request = { account, name: "robustness", type: TokenType.RESTRICTED, permissions: ["a:read"] };
  const { token, key } = await client.call(TokenService.method.create, request);
  return { id: token?.id ?? "", key, account };
}

/** Asks once by gRPC over h2c and once by Connect over HTTP/1.1. */
async function authenticate(server: ServerProcess, key: string): Promise<void> {
  using client = createTokenClient(server.address);
  const { outcome } = await client.call(TokenService.method.authenticate, { key });
  assert.equal(outcome.case, "principal");
  const response = await fetch(`http://${server.address}/casapay.token.v1.TokenService/Authenticate`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ key }),
    signal: AbortSignal.timeout(5000),
  });
  const answer: unknown = await response.json();
  assert.ok(typeof answer === "object" && answer !== null && "principal" in answer, JSON.stringify(answer));
}

/** Holds the server to its word: it must have as many open files as now, whatever came in between. */
async function createCheck(server: ServerProcess, ask: () => Promise<void>): Promise<() => Promise<void>> {
  await ask();
  await sleep(1000);
  const openFiles = server.openFiles();
  return async () => {
    assert.ok(server.isRunning(), `process ${server.pid} has ended:\n${server.output()}`);
    await ask();
    assert.ok(server.peakRssBytes() <= maxRssBytes, memoryOf(server));
    const untilMs = performance.now() + endTimeoutMs;
    while (server.openFiles() > openFiles) {
      assert.ok(performance.now() < untilMs, `${server.openFiles()} open files, and ${openFiles} at the start`);
      await sleep(50);
    }
  };
}

function memoryOf(server: ServerProcess): string {
  const [now, peak] = [server.rssBytes(), server.peakRssBytes()].map((bytes) => Math.round(bytes / megabyte));
  return `resident memory of process ${server.pid}: ${now} MiB, at its peak ${peak} MiB, limit ${maxRssBytes / megabyte} MiB`;
}

async function runCorpus(port: number, corpus: readonly CorpusCase[], atOnce = 8): Promise<void> {
  const faults: string[] = [];
  await forEach(corpus, atOnce, async (one) => {
    const fault = await runCase(port, one);
    if (fault !== null) {
      faults.push(`${one.name}: ${fault}`);
    }
  });
  assert.deepEqual(faults, []);
}

async function runCase(port: number, { send, isLeftOpen = false, until }: CorpusCase): Promise<string | null> {
  const connection = await openConnection(port);
  try {
    await send(connection);
    if (!isLeftOpen) {
      connection.end();
    }
    const isDone = () => connection.isClosed() || (until?.(connection) ?? false);
    const timeoutMs = isLeftOpen ? slowTimeoutMs : endTimeoutMs;
    return (await connection.waitUntil(isDone, timeoutMs)) ? null : `not ended after ${timeoutMs} ms`;
  } finally {
    connection.destroy();
  }
}

async function runMutations(port: number, recordings: readonly Recording[], count: number): Promise<void> {
  const originals = recordings.map(({ bytes }) => bytes);
  const faults: string[] = [];
  await forEach(Array.from({ length: count }), concurrency, async () => {
    const { name, bytes, keep } = random.pick(recordings);
    const mutated = mutate(random, bytes, keep, originals);
    const splitAt = random.chance(0.2) ? random.below(mutated.byteLength) : mutated.byteLength;
    const fault = await runCase(port, {
      name,
      async send(connection) {
        await connection.write(mutated.subarray(0, splitAt));
        if (splitAt < mutated.byteLength) {
          await sleep(1);
          await connection.write(mutated.subarray(splitAt));
        }
      },
    });
    if (fault !== null) {
      faults.push(`${name}: ${fault}: ${mutated.toString("base64")}`);
    }
  });
  assert.deepEqual(faults, []);
}

async function forEach<T>(items: readonly T[], atOnce: number, act: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      // The workers share one iterator: each takes the next item that none has taken.
      for (const item of rest) {
        await act(item);
      }
    }),
  );
}
