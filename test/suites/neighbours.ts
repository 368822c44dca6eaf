// Hostile neighbours beside a good gateway: strangers with unfinished bodies, unread lists of a leaked key, idle
// connections, silent ones, loops of handshakes. The process lives on within its memory, and no call of the gateway
// fails.
//
//   npm run suite:neighbours -- [--seconds 60]
//
// Latencies are printed and not judged: who else is on the machine decides over them. Memory, failed calls and the
// process are judged.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { createAuthority } from "../support/certificates.ts";
import { createReport } from "./support/report.ts";
import { startServerProcess } from "./support/server-process.ts";

const mebibyte = 1024 * 1024;
const maxRssMib = 700;
// An eighth of 1 GiB.
const maxHeldMib = 128;
// What a process with 1 GiB derives from it; a test may not limit its memory everywhere.
const connectionsOfOneGibibyte = 3276;
const callEveryMs = 10;
const callTimeoutMs = 5000;

const { values } = parseArgs({ options: { seconds: { type: "string", default: "60" } } });
const seconds = Number(values.seconds);
const report = createReport("neighbours");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-neighbours-"));
const root = createAuthority();
const write = (name: string, content: string | Uint8Array) => {
  const file = join(scratch.path, name);
  writeFileSync(file, content, { mode: 0o600 });
  return file;
};
const own = root.issue();
const [certificate, privateKey] = [write("cert.pem", own.certificatePem), write("key.pem", own.keyPem)];
await using server = await startServerProcess({
  dataDirectory: join(scratch.path, "data"),
  sealingSecret: write("sealing-secret", randomBytes(32)),
  settings: {
    ADMIN_LISTEN: "127.0.0.1:0",
    REST_LISTEN: "127.0.0.1:0",
    MAX_CONNECTIONS: String(connectionsOfOneGibibyte),
    ...{ TLS_CERT: certificate, TLS_KEY: privateKey, REST_TLS_CERT: certificate, REST_TLS_KEY: privateKey },
    TLS_CLIENT_CA: write("ca.pem", root.certificatePem),
    CALLERS: write("callers.json", '{"spiffe://casapay/gateway":"gateway","spiffe://casapay/oncall":"operator"}'),
  },
});

function clientAs(identity: string) {
  const { certificatePem, keyPem } = root.issue({ names: [{ uri: identity }] });
  const nodeOptions = { ca: root.certificatePem, cert: certificatePem, key: keyPem };
  return createClient(TokenService, createGrpcTransport({ baseUrl: `https://localhost:${server.port}`, nodeOptions }));
}

const gateway = clientAs("spiffe://casapay/gateway");
const restPort = server.restAddress.split(":").at(-1) ?? "";

/** An account whose lists are as long as lists can be. */
async function issueKeys(): Promise<string> {
  const operator = clientAs("spiffe://casapay/oncall");
  const { key } = await operator.create({ account: "acct_1", name: "leaked", type: TokenType.SECRET });
  const permissions = Array.from({ length: 100 }, (_, at) => `${"a".repeat(60)}${String(at).padStart(3, "0")}:write`);
  for (let at = 0; at < 100; at += 1) {
    await operator.create({ account: "acct_1", name: `token ${at}`, type: TokenType.RESTRICTED, permissions });
  }
  return key;
}

type Figures = { readonly calls: number; readonly p50Ms: number; readonly p99Ms: number; readonly failures: string[] };

/** What a gateway sees that asks every ten milliseconds for so long. */
async function callFor(ms: number, key: string): Promise<Figures> {
  const took: number[] = [];
  const failures: string[] = [];
  const calls: Promise<void>[] = [];
  for (const endMs = performance.now() + ms; performance.now() < endMs; await sleep(callEveryMs)) {
    const startedAtMs = performance.now();
    const call = gateway.authenticate({ key }, { timeoutMs: callTimeoutMs }).then(
      ({ outcome }) => {
        took.push(performance.now() - startedAtMs);
        if (outcome.case !== "principal") {
          failures.push(`refused: ${outcome.value?.reason}`);
        }
      },
      (error: Error) => void failures.push(error.message),
    );
    calls.push(call);
  }
  await Promise.all(calls);
  took.sort((one, other) => one - other);
  const at = (part: number) => took[Math.floor(took.length * part)] ?? Number.NaN;
  return { calls: calls.length, p50Ms: at(0.5), p99Ms: at(0.99), failures };
}

async function beside<T>(
  kinds: readonly (readonly [kind: string, port: string])[],
  key: string,
  run: () => Promise<T>,
) {
  const script = resolve(import.meta.dirname, "neighbours/hostile.ts");
  const children: ChildProcess[] = kinds.map(([kind, port]) =>
    spawn(process.execPath, [script, kind, port, key], { stdio: ["ignore", "inherit", "inherit"] }),
  );
  try {
    return await run();
  } finally {
    for (const child of children) {
      assert.equal(child.exitCode, null, "a hostile process ended by itself");
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  }
}

function judge(name: string, figures: Figures): void {
  const { calls, p50Ms, p99Ms, failures } = figures;
  const rssMib = Math.round(server.peakRssBytes() / mebibyte);
  console.log(
    `     ${name}: ${calls} calls, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms = ${(p99Ms / idle.p99Ms).toFixed(1)} times idle; peak RSS ${rssMib} MiB`,
  );
  assert.deepEqual(failures, []);
  assert.ok(server.isRunning(), "the process ended");
  assert.ok(rssMib <= maxRssMib, `the process took ${rssMib} MiB`);
}

const key = await issueKeys();
const idle = await callFor((seconds * 1000) / 6, key);
judge("idle", idle);

await report.step(`unfinished bodies, unread lists, idle and silent connections, for ${seconds} s`, async () => {
  const port = String(server.port);
  const kinds = [
    ["unfinished-bodies", port],
    ["silence", port],
    ["unread-lists", restPort],
    ["idle", restPort],
  ] as const;
  const [figures, metrics] = await beside(kinds, key, async () => {
    const called = await callFor(seconds * 1000, key);
    return [called, await (await fetch(`http://${server.adminAddress}/metrics`)).text()] as const;
  });
  judge("beside them", figures);
  for (const line of metrics.matchAll(/^token_authority_(?:connections\S*|held_bytes) \d+$/gm)) {
    console.log(`     ${line[0]}`);
  }
  const heldBytes = Number(/^token_authority_held_bytes (\d+)$/m.exec(metrics)?.[1]);
  assert.ok(heldBytes <= maxHeldMib * mebibyte, `connections hold ${heldBytes} bytes`);
});

await report.step("twelve loops of handshakes at the REST API", async () => {
  const figures = await beside([["handshakes", restPort]], key, () => callFor((seconds * 1000) / 4, key));
  judge("beside them", figures);
});

await report.step("a new gateway gets in, and the process ends in good order", async () => {
  const { outcome } = await clientAs("spiffe://casapay/gateway").authenticate({ key }, { timeoutMs: callTimeoutMs });
  assert.equal(outcome.case, "principal");
  assert.equal(await server.stop(), 0);
});
report.close();
process.exit();
